//! `bvecctl fault add`: a rule in words, and perhaps on the sectors of a file.

use std::path::PathBuf;

use anyhow::Result;
use api::RulesChanged;
use api::call;
use api::fault::{Ranges, Rule};
use clap::Args;
use serde::Serialize;

use super::change::Change;
use super::follow::{self, Follow};
use crate::context::Context;
use crate::exit::Failure;
use crate::extents::{Layout, Part};
use crate::output::{counted, note};
use crate::units::Span;

pub(super) const EXAMPLES: &str = "\
Words of a rule: ACTION [where SELECTOR,...] [when TRIGGER,...]; see `bvecctl fault --help`.

With --file the rule is about the sectors that the file's data lies on now. The file is synced
first; it must be on a file system that is mounted from the device or a partition of it. When the
file system moves the data the rule stays where it is, unless --watch is given.

A rule that can never do anything (prob=0, a selector that its action cannot meet, another rule that
is always first) is refused with what would be right, unless --allow-inert is given.

Examples:
  bvecctl fault add bad 'fail:MEDIUM where op=read,lba=2048+8 when count=1'
  bvecctl fault add slow 'delay:2ms where op=write when prob=10%,seed=7'
  bvecctl fault add wal 'fail:MEDIUM where op=write when count=1' --file /mnt/db/wal
  bvecctl fault add head 'fail where op=read' --file /mnt/db/wal --file-range 0+4K
  bvecctl fault add wal 'delay:2ms' --file /mnt/db/wal --watch";

/// A new rule.
#[derive(Debug, Args)]
pub(crate) struct Add {
    /// Its name, unique on the device: letters, digits, `.`, `_` and `-`.
    name: String,
    /// What it does, to which requests, and when.
    words: String,
    /// Only requests on the sectors of this file; in place of `lba=`.
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
    /// Only this part of the file, in bytes.
    #[arg(long, value_name = "START+LENGTH", requires = "file")]
    file_range: Option<Part>,
    /// Stay, and keep the rule on the file's sectors when they move; ends by Ctrl-C.
    #[arg(long, requires = "file")]
    watch: bool,
    /// How often to look whether they moved.
    #[arg(long, value_name = "TIME", default_value = "1s", requires = "watch")]
    interval: Span,
    /// Accept the rule although it can never do anything; the same as `with allow_inert=yes`.
    #[arg(long)]
    allow_inert: bool,
    #[command(flatten)]
    change: Change,
    /// The N of /dev/ublkbN; may be left out if there is only one, or with --file.
    #[arg(long, value_name = "N")]
    dev: Option<u32>,
}

/// The answer of `fault add --json`.
#[derive(Debug, Serialize)]
struct Added {
    #[serde(flatten)]
    changed: RulesChanged,
    words: String,
}

/// Adds it.
///
/// # Errors
/// The words are not a rule, the file is not on the device, or the daemon cannot be reached or refuses.
pub(super) fn run(add: &Add, context: &Context) -> Result<()> {
    // Before anything else, so that bad words are told even where no daemon runs.
    let mut rule = Rule::parse(&add.name, &add.words).map_err(|error| Failure::Words {
        name: add.name.clone(),
        error,
    })?;
    rule.options.allow_inert |= add.allow_inert;
    let device = match &add.file {
        None => context.device(add.dev)?,
        Some(file) => {
            let layout = Layout::of(file, add.file_range.unwrap_or_default(), true)?;
            select(&mut rule, &layout, add.dev)?
        }
    };
    let call = call::add_rule(device, &rule).under(&add.change.options());
    let changed = context.ask("add the rule", call)?;
    let added = Added {
        changed,
        words: rule.to_string(),
    };
    context.output.answer(&added, |added| {
        format!(
            "{} is in force on device {} (generation {}): {}",
            rule.name, added.changed.device, added.changed.generation, added.words
        )
    })?;
    match &add.file {
        Some(file) if add.watch => {
            let part = add.file_range;
            let follow = Follow::new(&rule.name, file, part, add.interval, device);
            follow::run(&follow, context)
        }
        _ => Ok(()),
    }
}

/// Puts a file's sectors into the rule. Returns the device that they are on.
fn select(rule: &mut Rule, layout: &Layout, asked: Option<u32>) -> Result<u32> {
    let path = layout.path.display();
    if let Some(lba) = &rule.selector.lba {
        let message =
            format!("use --file {path}: the words say `lba={lba}` too, expected one of both");
        return Err(Failure::Input(message).into());
    }
    if let Some(asked) = asked.filter(|asked| *asked != layout.device) {
        let message = format!(
            "use --file {path}: it is on device {}, --dev says {asked}",
            layout.device
        );
        return Err(Failure::Input(message).into());
    }
    let ranges = layout.ranges()?;
    note(format!("{path} {}", size_of(&ranges)));
    for text in layout.notes() {
        note(text);
    }
    rule.selector.lba = Some(ranges);
    Ok(layout.device)
}

/// How many sectors in how many pieces.
pub(super) fn size_of(ranges: &Ranges) -> String {
    let sectors: u64 = ranges.iter().map(|range| range.sectors()).sum();
    let pieces = u64::try_from(ranges.iter().count()).unwrap_or(u64::MAX);
    format!(
        "lies on {} in {}",
        counted(sectors, "sector"),
        counted(pieces, "piece")
    )
}
