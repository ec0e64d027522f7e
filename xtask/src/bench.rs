//! `cargo xtask bench`: `bvecctl bench run` of a shipped matrix, in a virtual machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use vm::{CopyOut, Machine, Spec, Vm};

use crate::demo;
use crate::process::{self, say};
use crate::setup;

/// The programs of the guest beside its init.
const PROGRAMS: [&str; 2] = ["bvecd", "bvecctl"];
/// Where the results go below cargo's directory, here and in the guest.
const RESULTS: &str = "bench";
/// Backing files and devices in memory, and fio's reports.
const MEMORY_MIB: u64 = 1536;
/// Under emulation the short matrix takes three minutes; the full one an hour or two.
const QUICK: Duration = Duration::from_secs(15 * 60);
const FULL: Duration = Duration::from_secs(4 * 60 * 60);

/// Runs in the guest: a daemon in a session of its own, as a service is, and the matrix. The daemon
/// ends before the guest does, so that a device it would leave is told.
const SCRIPT: &str = r#"
setsid bvecd --log warn &
daemon=$!
left=100
until bvecctl features >/dev/null 2>&1; do
    left=$((left - 1))
    [ "$left" -gt 0 ] || { echo "bench: bvecd does not answer" >&2; exit 125; }
    sleep 0.1
done
bvecctl bench run "$1" --out target/bench --revision "$2"
code=$?
kill "$daemon"
wait "$daemon" || { echo "bench: bvecd ended with $?" >&2; exit 125; }
exit "$code"
"#;

/// Which matrix, and where.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The short matrix: less than three minutes once everything is built.
    #[arg(long)]
    quick: bool,
    /// The kernel of the virtual machine: newest, a version such as 6.12, suite:NAME, or a path.
    #[arg(long, value_name = "SPEC", default_value = "newest")]
    kernel: Spec,
}

/// Runs it, and leaves `target/bench/result.json` and `report.html`; the exit code is that of the run.
///
/// # Errors
/// If something needed is missing, does not compile, or the virtual machine cannot be made.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    setup::ensure()?;
    let built = demo::build()?;
    let out = demo::target().join(RESULTS);
    fs::create_dir_all(&out).with_context(|| format!("failed to make {}", out.display()))?;
    let (matrix, limit) = match arguments.quick {
        true => ("quick", QUICK),
        false => ("full", FULL),
    };
    let mut programs: Vec<PathBuf> = PROGRAMS.map(|name| built.join(name)).to_vec();
    programs.push("fio".into());
    let vm = Vm {
        kernel: arguments.kernel.clone(),
        machine: Machine {
            memory_mib: Some(MEMORY_MIB),
            ..Machine::default()
        },
        programs,
        copy_out: vec![CopyOut {
            guest: Path::new("/root/target").join(RESULTS),
            dir: demo::target(),
        }],
        timeout: Some(limit),
        ..Vm::new(["sh", "-c", SCRIPT, "bench", matrix, &process::revision()])
    };
    let code = vm.run()?.exit_code;
    say(format_args!(
        "the results: {} and {}",
        out.join("report.html").display(),
        out.join("result.json").display()
    ));
    Ok(ExitCode::from(code))
}
