//! `bvecctl scenario`: steps from a file, with what must come of them.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use api::{Client, SCHEMA};
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::output::counted;
use crate::scenario::report::{Report, Verdict};
use crate::scenario::run::{Stage, run as run_scenario};
use crate::scenario::{Scenario, check::check};
use crate::source::Source;
use crate::units::about_ns;

const EXAMPLES: &str = "\
A scenario is TOML, or JSON with the same keys. Its steps, one key each:

  add = { NAME = \"WORDS\" }   apply = \"FILE\"   rm = \"NAME\"   heal = {}
  arm = \"NAME\"             mark = \"LABEL\"   state = \"NAME\"
  run = \"COMMAND\"           run = { command, exit, says, timeout, background = \"NAME\" }
  join = \"NAME\"             join = { name, exit, says, timeout }
  wait = { rule, fired = N | held = N, timeout }   wait = { time = \"500ms\" }
  release = \"all\" | \"RULE\" | HOLD_ID              fail = { which, status }
  expect = { rule = { name, fired, matched, held, ... } }
  expect = { events = { kind, rule, op, sector, sectors, result, count } }
  expect = { stats = { held, delayed, inflight, errors, backing_errors } }

A count is a number or a comparison: 1, \">=1\", \"2..5\". Commands run in the shell with $DEV, $DEV_ID,
$SCRATCH (a directory, removed at the end), $SCENARIO_DIR and $BVECCTL.

Examples:
  bvecctl scenario run docs/scenarios/flush-fails.toml
  bvecctl scenario run mine.toml --dev 0 --json
  bvecctl scenario check mine.toml";

/// What is done with scenarios.
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Command {
    /// Run a scenario; ends with 3 if something is not as expected.
    #[command(after_help = EXAMPLES)]
    Run(Run),
    /// Say whether a scenario makes sense; nothing is done.
    #[command(after_help = "Examples:\n  bvecctl scenario check mine.toml")]
    Check(Check),
}

/// A scenario to run.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The file.
    file: PathBuf,
    /// The device, for a scenario that makes none; it must have no rules.
    #[arg(long, value_name = "N")]
    dev: Option<u32>,
}

/// A scenario to look at.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The file.
    file: PathBuf,
}

/// The answer of `scenario check --json`.
#[derive(Debug, Serialize)]
struct Checked {
    schema: u32,
    scenario: String,
    steps: usize,
    rules: usize,
}

/// Does it.
///
/// # Errors
/// [`Failure::Located`]: the file makes no sense; [`Failure::NotMet`]: an expectation failed.
pub(crate) fn run(command: Command, context: &Context) -> Result<Exit> {
    match command {
        Command::Run(run) => run_file(&run, context)?,
        Command::Check(Check { file }) => {
            let scenario = read(&file)?;
            let checked = Checked {
                schema: SCHEMA,
                scenario: scenario.name,
                steps: scenario.step.len(),
                rules: scenario.rule.len(),
            };
            context.output.answer(&checked, |checked| {
                let steps = u64::try_from(checked.steps).unwrap_or(u64::MAX);
                format!(
                    "{}: {} make sense",
                    checked.scenario,
                    counted(steps, "step")
                )
            })?;
        }
    }
    Ok(Exit::Done)
}

fn read(file: &Path) -> Result<Scenario> {
    let written = Source::read(file)?.written()?;
    let scenario: Scenario = written.read().map_err(Failure::from)?;
    check(&scenario, &written, directory(file))?;
    Ok(scenario)
}

/// Where the files that a scenario names are.
fn directory(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

fn run_file(run: &Run, context: &Context) -> Result<()> {
    let scenario = read(&run.file)?;
    let device = match scenario.device {
        Some(_) => None,
        None => Some(context.device(run.dev)?),
    };
    let stage = Stage {
        client: Client::new(&context.socket),
        socket: context.socket.clone(),
        device,
        directory: std::path::absolute(directory(&run.file))
            .context("find the current directory")?,
        tells: !context.output.is_json(),
    };
    let interrupt = Interrupt::watch()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the client's runtime")?;
    let report = runtime.block_on(run_scenario(&scenario, &stage, &interrupt))?;
    context.output.answer(&report, summary)?;
    match report.verdict {
        Verdict::Passed => Ok(()),
        Verdict::Failed => {
            let message = format!("run the scenario `{}`: {}", report.scenario, report.why());
            Err(Failure::NotMet(message).into())
        }
        Verdict::Interrupted => Err(Failure::Interrupted.into()),
    }
}

/// The last lines; the steps were told as they ended.
fn summary(report: &Report) -> String {
    let verdict = match report.verdict {
        Verdict::Passed => "passed",
        Verdict::Failed => "FAILED",
        Verdict::Interrupted => "interrupted",
    };
    let mut text = String::new();
    for left in &report.left {
        text.push_str(&format!("left behind: {left}\n"));
    }
    text.push_str(&format!(
        "{verdict}: {} on {} in {}",
        report.scenario,
        report.kernel,
        about_ns(report.duration_ns)
    ));
    text
}
