//! `bvecctl fault`: the rules of a device.

use anyhow::Result;
use api::fault::Rule;
use api::{RuleList, RuleStatus, RulesChanged, SCHEMA, call};
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::output::{counted, fields, or_dash, table};

const EXAMPLES: &str = "\
Words of a rule: ACTION [where SELECTOR,...] [when TRIGGER,...]
  actions    fail[:STATUS]  delay:TIME  hold[:max=TIME,then=release|fail:STATUS]
  selectors  op=read|write|flush|discard|write_zeroes|rw|writes|any  lba=START+LENGTH|START..END
             overlap=any|within|covers|exact
  triggers   skip=N  nth=N  every=N  prob=0.1|10%|1:1000  count=N  seed=N

Sectors are of 512 bytes; with a suffix K, M or G they are bytes. A status is a name of the block
layer or its errno: MEDIUM or ENODATA, IOERR or EIO, NOSPC, TIMEOUT, TRANSPORT, ...

Examples:
  bvecctl fault add bad 'fail:MEDIUM where op=read,lba=2048+8 when count=1'
  bvecctl fault add slow 'delay:2ms where op=write when prob=10%,seed=7'
  bvecctl fault add stop 'hold:max=30s where op=read when count=1'
  bvecctl fault list
  bvecctl fault rm bad";

/// What is done to rules.
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Command {
    /// Add a rule behind those there are; it is in force when this returns.
    #[command(after_help = EXAMPLES)]
    Add(Add),
    /// List the rules and how often each fired.
    #[command(after_help = "Examples:\n  bvecctl fault list\n  bvecctl fault list --dev 0 --json")]
    List(OfDevice),
    /// Show everything about one rule.
    #[command(after_help = "Examples:\n  bvecctl fault show bad\n  bvecctl fault show bad --dev 0")]
    Show(Named),
    /// Remove a rule and release what it holds.
    #[command(after_help = "Examples:\n  bvecctl fault rm bad\n  bvecctl fault rm bad --dev 0")]
    Rm(Named),
    /// Remove every rule of a device and release what they hold.
    #[command(after_help = "Examples:\n  bvecctl fault clear\n  bvecctl fault clear --dev 0")]
    Clear(OfDevice),
}

/// A new rule.
#[derive(Debug, Args)]
pub(crate) struct Add {
    /// Its name, unique on the device: letters, digits, `.`, `_` and `-`.
    name: String,
    /// What it does, to which requests, and when.
    words: String,
    #[command(flatten)]
    of: OfDevice,
}

/// A rule that there is.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// Its name.
    name: String,
    #[command(flatten)]
    of: OfDevice,
}

/// A device.
#[derive(Debug, Args)]
pub(crate) struct OfDevice {
    /// The N of /dev/ublkbN; may be left out if there is only one.
    #[arg(long, value_name = "N")]
    dev: Option<u32>,
}

/// Does it.
///
/// # Errors
/// The words are not a rule, or the daemon cannot be reached or refuses.
pub(crate) fn run(command: Command, context: &Context) -> Result<Exit> {
    match command {
        Command::Add(add) => run_add(&add, context)?,
        Command::List(of) => {
            let device = context.device(of.dev)?;
            let list = context.ask("list the rules", call::rules(device))?;
            context.output.answer(&list, list_text)?;
        }
        Command::Show(Named { name, of }) => {
            let device = context.device(of.dev)?;
            let status = context.ask("show the rule", call::rule(device, &name))?;
            let shown = Shown {
                schema: SCHEMA,
                device,
                rule: status,
            };
            context
                .output
                .answer(&shown, |shown| rule_text(&shown.rule))?;
        }
        Command::Rm(Named { name, of }) => {
            let device = context.device(of.dev)?;
            let changed = context.ask("remove the rule", call::remove_rule(device, &name))?;
            context
                .output
                .answer(&changed, |changed| removed_text(&name, changed))?;
        }
        Command::Clear(of) => {
            let device = context.device(of.dev)?;
            let changed = context.ask("remove the rules", call::clear_rules(device))?;
            context
                .output
                .answer(&changed, |changed| removed_text("every rule", changed))?;
        }
    }
    Ok(Exit::Done)
}

/// The answer of `fault show --json`.
#[derive(Debug, Serialize)]
struct Shown {
    schema: u32,
    device: u32,
    rule: RuleStatus,
}

fn run_add(add: &Add, context: &Context) -> Result<()> {
    // Before anything else, so that bad words are told even where no daemon runs.
    let rule = Rule::parse(&add.name, &add.words).map_err(|error| Failure::Words {
        name: add.name.clone(),
        error,
    })?;
    let device = context.device(add.of.dev)?;
    let changed = context.ask("add the rule", call::add_rule(device, &rule))?;
    context.output.answer(&changed, |changed| {
        format!(
            "{} is in force on device {} (generation {}): {rule}",
            rule.name, changed.device, changed.generation
        )
    })
}

fn removed_text(what: &str, changed: &RulesChanged) -> String {
    let left = counted(changed.rules, "rule");
    let mut text = format!(
        "removed {what} from device {} (generation {}, {left} left)",
        changed.device, changed.generation
    );
    if changed.released > 0 {
        text.push_str(&format!(
            " and released {}",
            counted(changed.released, "request")
        ));
    }
    text
}

fn list_text(list: &RuleList) -> String {
    if list.rules.is_empty() {
        return format!(
            "device {} has no rules; add one as `bvecctl fault add --help` shows",
            list.device
        );
    }
    let rows = list.rules.iter().map(|status| {
        [
            status.rule.name.clone(),
            status.words.clone(),
            status.counters.matched.to_string(),
            status.counters.fired.to_string(),
            status.held.to_string(),
        ]
    });
    let heads = ["rule", "words", "matched", "fired", "held"];
    table(&heads, &["matched", "fired", "held"], rows)
}

fn rule_text(status: &RuleStatus) -> String {
    let counters = &status.counters;
    fields([
        ("rule", status.rule.name.clone()),
        ("words", status.words.clone()),
        ("since generation", status.since.to_string()),
        ("held now", status.held.to_string()),
        ("matched", counters.matched.to_string()),
        ("fired", counters.fired.to_string()),
        (
            "skipped",
            format!("{} by skip, nth or every", counters.skipped),
        ),
        (
            "missed",
            format!("{} by the draw of prob", counters.prob_miss),
        ),
        (
            "exhausted",
            format!("{} after count was used up", counters.exhausted),
        ),
        (
            "shadowed",
            format!("{} by an earlier rule", counters.shadowed),
        ),
        (
            "first fired",
            format!("at sector {}", or_dash(counters.first_fired)),
        ),
        (
            "last fired",
            format!("at sector {}", or_dash(counters.last_fired)),
        ),
    ])
}

#[cfg(test)]
mod tests {
    use api::fault::{Counters, Sector};

    use super::*;

    fn status(name: &str, words: &str) -> RuleStatus {
        let rule = Rule::parse(name, words).unwrap();
        let counters = Counters {
            matched: 120,
            fired: 1,
            exhausted: 119,
            first_fired: Some(Sector(2048)),
            last_fired: Some(Sector(2048)),
            ..Counters::default()
        };
        RuleStatus {
            words: rule.to_string(),
            rule,
            counters,
            since: 2,
            held: 0,
        }
    }

    #[test]
    fn a_list_shows_words_and_counts() {
        let list = RuleList {
            schema: SCHEMA,
            device: 0,
            generation: 2,
            seed: 0,
            rules: vec![
                status("bad", "fail:MEDIUM where op=read,lba=2048+8 when count=1"),
                status(
                    "long",
                    "hold:max=30s,then=fail:TIMEOUT where op=read|write,lba=1M+4K|2M+4K|3M+4K,\
                     overlap=covers when skip=1000,every=100,prob=0.1,count=3,seed=12345",
                ),
            ],
        };
        let text = list_text(&list);
        assert!(
            text.lines().all(|line| line.chars().count() <= 100),
            "{text}"
        );
        insta::assert_snapshot!(text);
    }

    #[test]
    fn one_rule_is_shown_whole() {
        insta::assert_snapshot!(rule_text(&status("bad", "fail:MEDIUM when count=1")));
    }

    #[test]
    fn a_removal_says_what_is_left() {
        let changed = RulesChanged {
            schema: SCHEMA,
            device: 0,
            generation: 5,
            rules: 1,
            released: 2,
        };
        assert_eq!(
            removed_text("bad", &changed),
            "removed bad from device 0 (generation 5, 1 rule left) and released 2 requests"
        );
    }
}
