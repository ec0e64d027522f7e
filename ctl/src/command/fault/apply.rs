//! `bvecctl fault apply` and `check`: a whole set of rules from a file.

use std::path::PathBuf;

use anyhow::{Error, Result};
use api::fault::{DeviceFacts, Document, DocumentError, RuleError, RuleSet};
use api::{ChangeOptions, ClientError, Problem, RuleFile, RulesChanged, SCHEMA, call};
use clap::Args;
use serde::Serialize;

use super::change::{self, Change};
use crate::context::{Context, refused};
use crate::exit::Failure;
use crate::output::counted;
use crate::source::Source;

pub(super) const APPLY_EXAMPLES: &str = "\
The file is TOML, JSON with the same keys, or one rule in words a line; - is standard input:

  version = 1
  seed = 42

  [[rule]]
  name = \"wal-once\"
  where = { op = [\"write\"], lba = \"266240+8\" }
  when = { count = 1 }
  action = { fail = { status = \"MEDIUM\" } }

In words the same rule is one line; `#` begins a comment:

  wal-once: fail(status=MEDIUM) where op=write,lba=266240+8 when count=1

A rule that stays as it is keeps its counts. If one rule is refused nothing is changed.

Examples:
  bvecctl fault apply rules.toml
  echo 'slow: delay:2ms where op=write' | bvecctl fault apply -
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
    /// Let every rule start its counts again, also one that stays as it is.
    #[arg(long)]
    reset: bool,
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
    let document = Source::read(&apply.file)?.rules()?;
    let device = context.device(apply.dev)?;
    let options = ChangeOptions {
        reset: apply.reset,
        ..apply.change.options()
    };
    let changed = put(&document, device, &options, context)?;
    context
        .output
        .answer(&changed, |changed| change::text("applied to", changed))
}

/// Looks whether the file could be applied.
///
/// # Errors
/// [`crate::exit::Failure::Located`]: a rule would be refused; the daemon cannot be reached.
pub(super) fn run_check(check: &Check, context: &Context) -> Result<()> {
    let document = Source::read(&check.file)?.rules()?;
    match check.dev {
        Some(device) => {
            let options = ChangeOptions {
                dry_run: true,
                ..ChangeOptions::default()
            };
            put(&document, device, &options, context)?;
        }
        None => alone(&document.file).map_err(|error| Failure::from(document.locate(&error)))?,
    }
    let words = |rule: &api::fault::Rule| Words {
        rule: rule.name.clone(),
        words: rule.to_string(),
    };
    let checked = Checked {
        schema: SCHEMA,
        file: check.file.clone(),
        device: check.dev,
        rules: document.file.rule.iter().map(words).collect(),
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
    document: &Document,
    device: u32,
    options: &ChangeOptions,
    context: &Context,
) -> Result<RulesChanged> {
    let call = call::apply_rules(device, &document.file).under(options);
    change::client(context, options)?
        .send(call)
        .map_err(|error| match error {
            ClientError::Problem(problem) => match in_document(document, &problem) {
                Some(located) => Error::new(Failure::from(located)),
                None => refused("apply the rules", ClientError::Problem(problem)),
            },
            error => refused("apply the rules", error),
        })
}

/// What the daemon has to say about a rule, at its place in the file.
fn in_document(document: &Document, problem: &Problem) -> Option<DocumentError> {
    let pointer = problem.pointer.as_deref()?;
    let expected = problem.expected.as_deref().unwrap_or_default();
    pointer
        .starts_with("/rule/")
        .then(|| document.refuse(pointer, &problem.detail, expected))
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
