//! `bvecctl fault import`: rules from what other tools call faults.

use std::path::PathBuf;

use anyhow::Result;
use api::fault::{Foreign, Format, Imported, Refused, Rule, import};
use api::{ChangeOptions, Problem, RuleFile, RulesChanged, SCHEMA, call};
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::alone;
use super::change::{self, Change};
use crate::context::Context;
use crate::exit::Failure;
use crate::output::{counted, note};
use crate::source::Source;

pub(super) const EXAMPLES: &str = "\
Formats:
  dm-dust    block numbers one a line, messages (`addbadblock 60 2`), a script of dmsetup
  dm-flakey  table lines: 0 409600 flakey /dev/sdb 0 5 1 1 error_writes
  ddrescue   a map file; what could not be read fails
  null_blk   the words of its `badblocks`: +8-15 and -10-11
  blkdebug   a configuration of QEMU's blkdebug: [inject-error] and [set-state]

The rules are printed, one a line, as `bvecctl fault apply -` takes them; nothing else is done. With
--add or --apply the device gets them. A line that cannot be said here is told with the reason, and
then nothing is applied and the exit code is 2, unless --skip-refused is given.

Examples:
  bvecctl fault import dm-dust badblocks.txt
  bvecctl fault import ddrescue disk.map --as toml > disk.toml
  bvecctl fault import dm-flakey table.txt --name flaky --apply --dev 0
  dmsetup table sick | bvecctl fault import dm-flakey - --add
  echo '+8-15' | bvecctl fault import null_blk - --add --dry-run";

/// A file of another tool.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// Whose: dm-dust, dm-flakey, ddrescue, null_blk or blkdebug.
    format: Foreign,
    /// The file; - is standard input.
    file: PathBuf,
    /// What the names of the rules begin with; the format's name unless told.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// How the rules are printed.
    #[arg(long = "as", value_name = "FORM", value_enum, default_value_t = Form::Words)]
    form: Form,
    /// Put the rules in the place of those of the device, as `fault apply` does.
    #[arg(long, conflicts_with = "add")]
    apply: bool,
    /// Add the rules behind those of the device.
    #[arg(long)]
    add: bool,
    /// With --add or --apply: only say whether the device would take them.
    #[arg(long)]
    dry_run: bool,
    /// Do without the lines that cannot be said here.
    #[arg(long)]
    skip_refused: bool,
    #[command(flatten)]
    change: Change,
    /// The N of /dev/ublkbN; may be left out if there is only one.
    #[arg(long, value_name = "N")]
    dev: Option<u32>,
}

/// How rules are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A rule a line: NAME: WORDS.
    Words,
    /// TOML.
    Toml,
    /// JSON.
    Json,
}

/// The answer with `--json`.
#[derive(Debug, Serialize)]
struct Answer {
    schema: u32,
    format: &'static str,
    file: PathBuf,
    rules: Vec<Rule>,
    refused: Vec<Line>,
    notes: Vec<String>,
    /// What came of it on the device, or would come of it.
    changed: Option<RulesChanged>,
    dry_run: bool,
}

#[derive(Debug, Serialize)]
struct Line {
    line: usize,
    text: String,
    reason: String,
}

/// Translates it, and prints or applies what comes of it.
///
/// # Errors
/// [`Failure::Input`]: a line was refused, or nothing is left; the daemon cannot be reached or refuses.
pub(super) fn run(args: &Import, context: &Context) -> Result<()> {
    if args.dry_run && !args.add && !args.apply {
        let message = "import: found --dry-run alone, expected --add or --apply with it";
        return Err(Failure::Input(message.to_owned()).into());
    }
    let source = Source::read(&args.file)?;
    let name = args.name.as_deref().unwrap_or(args.format.name());
    let imported = import(args.format, name, source.text());
    tell(source.name(), &imported);
    let usable = usable(source.name(), &imported, args.skip_refused);
    let puts = args.add || args.apply;
    let changed = match puts && usable.is_ok() {
        true => Some(put(args, &imported, context)?),
        false => None,
    };
    let answer = Answer {
        schema: SCHEMA,
        format: args.format.name(),
        file: args.file.clone(),
        rules: imported.rules,
        refused: imported.refused.iter().map(Line::of).collect(),
        notes: imported.notes,
        changed,
        dry_run: args.dry_run,
    };
    match (&answer.changed, puts) {
        // Nothing was applied, and there is nothing else to say than why.
        (None, true) if !context.output.is_json() => {}
        (Some(changed), _) => {
            let what = told(&answer, args.dry_run);
            context
                .output
                .answer(&answer, |_| change::text(&what, changed))?;
        }
        (None, _) => {
            let text = text(&answer, args.form)?;
            context.output.answer(&answer, |_| text.clone())?;
        }
    }
    usable.map_err(Into::into)
}

/// Tells what was refused, and what is different here.
fn tell(file: &str, imported: &Imported) {
    for refused in &imported.refused {
        note(place(file, refused));
    }
    for text in &imported.notes {
        note(text);
    }
}

/// `FILE:LINE: TEXT: REASON`; what is wrong with a text as a whole has no line.
fn place(file: &str, refused: &Refused) -> String {
    let Refused { line, text, reason } = refused;
    match line {
        0 => format!("{file}: `{text}`: {reason}"),
        line => format!("{file}:{line}: `{text}`: {reason}"),
    }
}

/// Whether what was translated may be applied.
fn usable(file: &str, imported: &Imported, skip_refused: bool) -> Result<(), Failure> {
    let refused = u64::try_from(imported.refused.len()).unwrap_or(u64::MAX);
    if refused > 0 && !skip_refused {
        let lines = counted(refused, "line");
        return Err(Failure::Input(format!(
            "import {file}: {lines} cannot be said here, expected lines that can, or --skip-refused"
        )));
    }
    if imported.rules.is_empty() {
        return Err(Failure::Input(format!(
            "import {file}: no fault was found in it"
        )));
    }
    alone(&RuleFile::new(imported.rules.clone())).map_err(|error| {
        let problem = Problem::rule_of_file(&error);
        Failure::Input(format!("import {file}: {problem}"))
    })
}

/// Gives the device the rules, all of them or none.
fn put(args: &Import, imported: &Imported, context: &Context) -> Result<RulesChanged> {
    let device = context.device(args.dev)?;
    let mut options = ChangeOptions {
        dry_run: args.dry_run,
        ..args.change.options()
    };
    let mut rules = Vec::new();
    if args.add {
        let list = context.ask("list the rules", call::rules(device))?;
        // What somebody else changes meanwhile must not be undone.
        options.expect_generation.get_or_insert(list.generation);
        rules.extend(list.rules.into_iter().map(|status| status.rule));
    }
    rules.extend(imported.rules.iter().cloned());
    let call = call::apply_rules(device, &RuleFile::new(rules)).under(&options);
    change::ask(context, "apply the rules", call, &options)
}

fn told(answer: &Answer, dry_run: bool) -> String {
    let rules = u64::try_from(answer.rules.len()).unwrap_or(u64::MAX);
    let rules = counted(rules, "rule");
    match dry_run {
        true => format!("would bring {rules} to"),
        false => format!("brought {rules} to"),
    }
}

fn text(answer: &Answer, form: Form) -> Result<String, Failure> {
    let format = match form {
        Form::Words => Format::Words,
        Form::Toml => Format::Toml,
        Form::Json => Format::Json,
    };
    let text = RuleFile::new(answer.rules.clone()).write(format);
    let text = text.map_err(|error| Failure::Input(format!("write the rules: {error}")))?;
    Ok(text.trim_end().to_owned())
}

impl Line {
    fn of(refused: &Refused) -> Self {
        Self {
            line: refused.line,
            text: refused.text.clone(),
            reason: refused.reason.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use api::fault::Document;

    use super::*;

    const DUST: &str = "0 8192 dust /dev/sdb 0 4096\naddbadblock 60\naddbadblock 61 2\n";

    #[test]
    fn what_is_printed_can_be_applied() {
        let imported = import(Foreign::Dust, "d", DUST);
        let answer = Answer {
            schema: SCHEMA,
            format: "dm-dust",
            file: "x".into(),
            rules: imported.rules.clone(),
            refused: Vec::new(),
            notes: Vec::new(),
            changed: None,
            dry_run: false,
        };
        for form in [Form::Words, Form::Toml, Form::Json] {
            let text = text(&answer, form).unwrap();
            let format = Format::of("standard input", &text);
            let document = Document::parse("-", &text, format).unwrap();
            assert_eq!(document.file.rule, imported.rules, "{text}");
        }
        insta::assert_snapshot!(text(&answer, Form::Words).unwrap(), @r"
        d: badmap(status=IOERR) where op=read|write,lba=480+8
        d-wr2: badmap(wr_fail=2,status=IOERR) where op=read|write,lba=488+8
        ");
    }

    #[test]
    fn a_line_that_cannot_be_said_is_told_and_nothing_is_usable() {
        let imported = import(Foreign::Dust, "d", &format!("{DUST}frobnicate 7\n"));
        let said = place("bad.txt", &imported.refused[0]);
        assert!(said.starts_with("bad.txt:4: `frobnicate 7`: "), "{said}");
        let error = usable("bad.txt", &imported, false).unwrap_err().to_string();
        assert!(error.contains("1 line cannot be said"), "{error}");
        assert!(usable("bad.txt", &imported, true).is_ok());
        let none = import(Foreign::Dust, "d", "# nothing\n");
        assert!(usable("none.txt", &none, true).is_err());
    }

    #[test]
    fn a_bad_name_is_refused_before_anything_is_applied() {
        let imported = import(Foreign::Dust, "no name", DUST);
        assert!(usable("bad.txt", &imported, false).is_err());
    }
}
