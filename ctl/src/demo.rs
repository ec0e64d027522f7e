//! `bvecctl demo`: the whole thing once, with a bvecd of its own.
//!
//! | file | what it does |
//! |---|---|
//! | [`stage`] | the bvecd, its directory, the backing file; all of it gone afterwards |
//! | [`measure`] | fio jobs on a device per data path, then on an `O_DIRECT` backing |
//! | [`observe`] | the page of a held read, and a medium error |
//! | [`verdict`] | whether the numbers are what they must be |
//! | [`report`] | `report.json` |
//! | [`text`] | what is told on the terminal |
//! | [`page`], [`chart`] | `report.html` and its plots |

mod chart;

mod measure;
mod observe;
mod page;
mod report;
mod stage;
mod text;
mod verdict;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use api::SCHEMA;
use clap::Args;
use nix::unistd::geteuid;

use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::output::{Output, note};
use bench::Machine;
use report::Report;
use stage::Stage;

/// How the demo runs.
#[derive(Debug, Args)]
#[command(after_help = "\
Starts a bvecd of its own on a private socket, makes a loop device of 256 MiB per data path, runs
the short list of fio jobs on it, then holds a read and shows its page, then makes one sector fail
once. Writes DIR/report.json and DIR/report.html, and leaves nothing else behind. Needs root, a kernel
with ublk and fio; `cargo xtask demo` runs it in a virtual machine. Ends with 1 when a number is not
what it must be.

Examples:
  bvecctl demo --out target/demo
  bvecctl demo --quick --seed 7")]
pub(crate) struct Arguments {
    /// Where the report goes.
    #[arg(long, value_name = "DIR", default_value = "target/demo")]
    out: PathBuf,
    /// Half a second a job instead of one and a half.
    #[arg(long)]
    quick: bool,
    /// Where the backing file is made [default: the directory for temporary files].
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Seed of fio's random offsets and of the rules.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// The revision that the report names.
    #[arg(long, value_name = "TEXT", default_value = "unknown")]
    revision: String,
}

impl Arguments {
    fn runtime(&self) -> Duration {
        Duration::from_millis(if self.quick { 500 } else { 1500 })
    }

    fn verify_size_bytes(&self) -> u64 {
        if self.quick { 4 << 20 } else { 16 << 20 }
    }
}

/// Runs it.
///
/// # Errors
/// Something needed is missing, the daemon or fio fails, or the user interrupts; nothing is left then.
pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<Exit> {
    if !geteuid().is_root() {
        let message =
            "run the demo: it needs root; `cargo xtask demo` runs it in a virtual machine";
        return Err(Failure::Missing(message.to_owned()).into());
    }
    let interrupt = Interrupt::watch()?;
    let stage = Stage::open(arguments.dir.as_deref(), &interrupt)?;
    let report = perform(arguments, &stage, &interrupt, context.output)?;
    stage.close()?;
    let wrong = verdict::wrong(&report);
    write(&arguments.out, &report, &wrong)?;
    if context.output.is_json() {
        context.output.answer(&report, |_| String::new())?;
    } else {
        context.output.line(text::end(&wrong, &arguments.out))?;
    }
    for what in &wrong {
        note(format!("wrong: {what}"));
    }
    Ok(if wrong.is_empty() {
        Exit::Done
    } else {
        Exit::Bad
    })
}

/// Everything that needs the daemon, told as it goes.
fn perform(
    arguments: &Arguments,
    stage: &Stage,
    interrupt: &Interrupt,
    output: Output,
) -> Result<Report> {
    let tell = |text: String| {
        if output.is_json() {
            Ok(())
        } else {
            output.line(text)
        }
    };
    let machine = Machine::this();
    let features = stage.features()?;
    tell(text::beginning(&machine, &features))?;
    let paths = measure::usable(&features)?;
    let plan = measure::Plan::new(arguments, &paths)?;
    let measured = plan.run(stage, interrupt)?;
    tell(text::jobs(&measured))?;
    let (hold, fault) = observe::run(stage, &paths, interrupt)?;
    tell(text::observations(&hold, &fault))?;
    Ok(Report {
        schema: SCHEMA,
        kernel: features.kernel,
        machine,
        seed: arguments.seed,
        revision: arguments.revision.clone(),
        devices: measured.devices,
        jobs: measured.jobs,
        hold,
        fault,
    })
}

/// Writes both reports.
fn write(out: &Path, report: &Report, wrong: &[String]) -> Result<()> {
    fs::create_dir_all(out).with_context(|| format!("make the directory {}", out.display()))?;
    let json = serde_json::to_string_pretty(report).context("write the report as JSON")? + "\n";
    let html = page::render(report, wrong)?;
    for (name, text) in [("report.json", json), ("report.html", html)] {
        let path = out.join(name);
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}
