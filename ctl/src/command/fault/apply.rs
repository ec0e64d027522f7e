//! `bvecctl fault apply` and `check`: a whole set of rules from a file.

use std::path::PathBuf;

use anyhow::{Error, Result};
use api::fault::{DeviceFacts, RuleError, RuleSet};
use api::{ChangeOptions, ClientError, Problem, RuleFile, RulesChanged, SCHEMA, call};
use clap::Args;
use serde::Serialize;

use super::change::{self, Change};
use crate::context::{Context, refused};
use crate::output::counted;
use crate::source::Source;

pub(super) const APPLY_EXAMPLES: &str = "\
The file is TOML, or JSON with the same keys if its name ends in .json; - is standard input:

  version = 1
  seed = 42

  [[rule]]
  name = \"wal-once\"
  where = { op = [\"write\"], lba = \"266240+8\" }
  when = { count = 1 }
  action = { fail = { status = \"MEDIUM\" } }

A rule that stays as it is keeps its counts. If one rule is refused nothing is changed.

Examples:
  bvecctl fault apply rules.toml
  bvecctl fault apply rules.json --dev 0 --expect-gen 7";

pub(super) const CHECK_EXAMPLES: &str = "\
Without --dev no daemon is asked: the rules must make sense on some device. With it they must make
sense on that one, of its size.

Examples:
  bvecctl fault check rules.toml
  bvecctl fault check rules.toml --dev 0";

/// A new set of rules.
#[derive(Debug, Args)]
pub(crate) struct Apply {
    /// The file.
    file: PathBuf,
    #[command(flatten)]
    change: Change,
    /// The N of /dev/ublkbN; may be left out if there is only one.
    #[arg(long, value_name = "N")]
    dev: Option<u32>,
}

/// A set of rules to look at.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The file.
    file: PathBuf,
    /// The device that the rules are for.
    #[arg(long, value_name = "N")]
    dev: Option<u32>,
}

/// The answer of `fault check --json`.
#[derive(Debug, Serialize)]
struct Checked {
    schema: u32,
    file: PathBuf,
    device: Option<u32>,
    rules: Vec<Words>,
}

#[derive(Debug, Serialize)]
struct Words {
    rule: String,
    words: String,
}

/// Puts the file's rules in the place of the device's.
///
/// # Errors
/// [`crate::exit::Failure::Located`]: a rule is refused; the daemon cannot be reached.
pub(super) fn run(apply: &Apply, context: &Context) -> Result<()> {
    let source = Source::read(&apply.file)?;
    let file: RuleFile = source.parse()?;
    let device = context.device(apply.dev)?;
    let changed = put(&source, &file, device, &apply.change.options(), context)?;
    context
        .output
        .answer(&changed, |changed| change::text("applied to", changed))
}

/// Looks whether the file could be applied.
///
/// # Errors
/// [`crate::exit::Failure::Located`]: a rule would be refused; the daemon cannot be reached.
pub(super) fn run_check(check: &Check, context: &Context) -> Result<()> {
    let source = Source::read(&check.file)?;
    let file: RuleFile = source.parse()?;
    match check.dev {
        Some(device) => {
            let options = ChangeOptions {
                dry_run: true,
                ..ChangeOptions::default()
            };
            put(&source, &file, device, &options, context)?;
        }
        None => {
            alone(&file).map_err(|error| source_error(&source, &Problem::rule_of_file(&error)))?
        }
    }
    let words = |rule: &api::fault::Rule| Words {
        rule: rule.name.clone(),
        words: rule.to_string(),
    };
    let checked = Checked {
        schema: SCHEMA,
        file: check.file.clone(),
        device: check.dev,
        rules: file.rule.iter().map(words).collect(),
    };
    context.output.answer(&checked, checked_text)
}

/// Checks rules as far as it can be done without a device.
pub(crate) fn alone(file: &RuleFile) -> Result<(), RuleError> {
    let anything = DeviceFacts {
        queues: u16::MAX,
        depth: u16::MAX,
        integrity: true,
        ..DeviceFacts::of_size(u64::MAX >> 9)
    };
    let rules = file.clone().into_rules();
    RuleSet::compile(1, 0, rules, None, &anything).map(drop)
}

fn put(
    source: &Source,
    file: &RuleFile,
    device: u32,
    options: &ChangeOptions,
    context: &Context,
) -> Result<RulesChanged> {
    let call = call::apply_rules(device, file).under(options);
    context.client()?.send(call).map_err(|error| match error {
        ClientError::Problem(problem) if points_to_a_rule(&problem) => {
            source_error(source, &problem)
        }
        error => refused("apply the rules", error),
    })
}

fn points_to_a_rule(problem: &Problem) -> bool {
    problem
        .pointer
        .as_deref()
        .is_some_and(|pointer| pointer.starts_with("/rule/"))
}

/// What is wrong with a rule, at its place in the file.
pub(crate) fn source_error(source: &Source, problem: &Problem) -> Error {
    let pointer = problem.pointer.as_deref().unwrap_or("");
    let mut text = problem.detail.clone();
    if let Some(expected) = &problem.expected {
        text.push_str(&format!(", expected {expected}"));
    }
    source.refuse(pointer, text).into()
}

fn checked_text(checked: &Checked) -> String {
    let count = u64::try_from(checked.rules.len()).unwrap_or(u64::MAX);
    let place = match checked.device {
        Some(device) => format!("would do on device {device}"),
        None => "could do on a device that is large enough".to_owned(),
    };
    let mut text = format!(
        "{}: {} {place}",
        checked.file.display(),
        counted(count, "rule")
    );
    for words in &checked.rules {
        text.push_str(&format!("\n  {}: {}", words.rule, words.words));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::fault::Rule;

    #[test]
    fn without_a_device_only_what_can_never_be_right_is_refused() {
        let file = |words: &[&str]| {
            let rules = words.iter().map(|words| Rule::parse("a", words).unwrap());
            RuleFile::new(rules.collect())
        };
        assert!(alone(&file(&["fail where lba=900G+8"])).is_ok());
        let error = alone(&file(&["fail where op=flush,lba=8"])).unwrap_err();
        assert_eq!(error.index, 0);
        assert!(alone(&file(&["fail", "fail"])).is_err(), "two of one name");
    }
}
