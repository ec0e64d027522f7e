//! `bvecctl fault follow`: a rule that stays on a file's sectors when the file system moves them.
//!
//! No kernel tells when a file's extents move, so this looks again and again. Between a move and the next
//! look the rule is on the old sectors.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use api::fault::Ranges;
use api::{ChangeOptions, RulesChanged, SCHEMA, call};
use clap::Args;
use serde::Serialize;

use super::add::size_of;
use crate::context::Context;
use crate::exit::Failure;
use crate::extents::{Layout, Part};
use crate::interrupt::Interrupt;
use crate::output::note;
use crate::units::Span;

pub(super) const EXAMPLES: &str = "\
The file is looked at once an interval, without syncing it: data that has no place yet is left out
until it has one. While the rule is on the old sectors it fires there. When this ends the rule stays
where it is. The rule keeps its counts when it moves, unless --reset is given.

Examples:
  bvecctl fault follow wal --file /mnt/db/wal
  bvecctl fault follow wal --file /mnt/db/wal --file-range 0+4K --interval 200ms
  bvecctl fault follow wal --file /mnt/db/wal --once";

/// The longest sleep before Ctrl-C is looked for again.
const PATIENCE: Duration = Duration::from_millis(50);

/// Which rule, and which file.
#[derive(Debug, Args)]
pub(crate) struct Follow {
    /// The rule's name.
    name: String,
    /// The file that it is about.
    #[arg(long, value_name = "PATH")]
    file: PathBuf,
    /// Only this part of the file, in bytes.
    #[arg(long, value_name = "START+LENGTH")]
    file_range: Option<Part>,
    /// How often to look.
    #[arg(
        long,
        value_name = "TIME",
        default_value = "1s",
        conflicts_with = "once"
    )]
    interval: Span,
    /// Look once, and end.
    #[arg(long)]
    once: bool,
    /// Start the rule's counts again each time it moves.
    #[arg(long)]
    reset: bool,
    /// The N of /dev/ublkbN; the file says it, too.
    #[arg(long, value_name = "N")]
    dev: Option<u32>,
}

/// One line of `--json` for each time that the sectors have moved.
#[derive(Debug, Serialize)]
struct Moved {
    schema: u32,
    device: u32,
    rule: String,
    generation: u64,
    before: Option<Ranges>,
    lba: Ranges,
}

impl Follow {
    /// What `fault add --watch` does after it has added the rule.
    pub(super) fn new(
        name: &str,
        file: &Path,
        file_range: Option<Part>,
        interval: Span,
        device: u32,
    ) -> Self {
        Self {
            name: name.to_owned(),
            file: file.to_owned(),
            file_range,
            interval,
            once: false,
            reset: false,
            dev: Some(device),
        }
    }
}

/// Follows the file until it is interrupted.
///
/// # Errors
/// The file is not on the device any more; the rule is gone; the daemon cannot be reached.
pub(super) fn run(follow: &Follow, context: &Context) -> Result<()> {
    let interrupt = Interrupt::watch()?;
    loop {
        look(follow, context)?;
        if follow.once {
            return Ok(());
        }
        let Span(mut left) = follow.interval;
        while !left.is_zero() {
            if interrupt.is_raised() {
                return Ok(());
            }
            let step = left.min(PATIENCE);
            thread::sleep(step);
            left -= step;
        }
        if interrupt.is_raised() {
            return Ok(());
        }
    }
}

/// Looks where the file is now, and puts the rule there if it is elsewhere.
fn look(follow: &Follow, context: &Context) -> Result<()> {
    let part = follow.file_range.unwrap_or_default();
    let layout = Layout::of(&follow.file, part, follow.once)?;
    if let Some(asked) = follow.dev.filter(|asked| *asked != layout.device) {
        let message = format!(
            "follow {}: it is on device {}, the rule on {asked}",
            follow.file.display(),
            layout.device
        );
        return Err(Failure::Input(message).into());
    }
    let status = context.ask("show the rule", call::rule(layout.device, &follow.name))?;
    let Ok(ranges) = layout.ranges() else {
        note(format!(
            "{} has no sectors of its own now; the rule stays",
            follow.file.display()
        ));
        return Ok(());
    };
    let mut rule = status.rule;
    if rule.selector.lba.as_ref() == Some(&ranges) {
        return Ok(());
    }
    let before = rule.selector.lba.replace(ranges.clone());
    let options = ChangeOptions {
        reset: follow.reset,
        ..ChangeOptions::default()
    };
    let call = call::replace_rule(layout.device, &rule).under(&options);
    let changed: RulesChanged = context.ask("move the rule", call)?;
    let moved = Moved {
        schema: SCHEMA,
        device: layout.device,
        rule: follow.name.clone(),
        generation: changed.generation,
        before,
        lba: ranges,
    };
    context.output.answer(&moved, text)
}

fn text(moved: &Moved) -> String {
    let before = match &moved.before {
        Some(before) => before.to_string(),
        None => "the whole device".to_owned(),
    };
    format!(
        "{} has moved from {before} to {}, {} (generation {})",
        moved.rule,
        moved.lba,
        size_of(&moved.lba),
        moved.generation
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_move_is_told_in_one_line() {
        let moved = Moved {
            schema: SCHEMA,
            device: 0,
            rule: "wal".to_owned(),
            generation: 4,
            before: "2048+8".parse().ok(),
            lba: "4096+8|8192+16".parse().unwrap(),
        };
        assert_eq!(
            text(&moved),
            "wal has moved from 2048+8 to 4096+8|8192+16, lies on 24 sectors in 2 pieces (generation 4)"
        );
    }
}
