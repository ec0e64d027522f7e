//! The virtual machine that counts: one CPU under `-icount`, and a script that runs everything.

use std::env;
use std::io::{self, stdout};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use vm::{CopyIn, CopyOut, Machine, Vm};

use super::Arguments;
use super::jobs::Measure;
use super::rows::Report;
use crate::process::{self, cargo, root};

/// What the guest runs.
const SCRIPT: &str = include_str!("guest.sh");
/// The server that answers at once (ublk/examples).
const FLOOR: &str = "commit_at_once";
/// Where the guest leaves its results.
const RESULTS: &str = "/root/results";
/// Two backing files of 64 MiB lie in the guest's memory beside the programs.
const MEMORY_MIB: u64 = 1536;
/// Three rounds take about ten minutes on a machine that does something else as well. This is for
/// guests that hang, and never a verdict about speed.
const LIMIT: Duration = Duration::from_secs(60 * 60);

/// Every data path and transport of bvecd's own count.
const ALL_WAYS: &str = "copy/per-io user-copy/per-io zero-copy/per-io auto-zero-copy/per-io \
                        copy/batch user-copy/batch zero-copy/batch auto-zero-copy/batch";
/// Those that a peer has, each on both transports.
const PEERS_WAYS: &str = "copy/per-io auto-zero-copy/per-io copy/batch auto-zero-copy/batch";
/// By the clock only what a peer has: every run takes its time.
const CLOCK_WAYS: &str = "copy/per-io auto-zero-copy/per-io";

/// Measures, in one boot: bvecd alone, or between its peers if there is a rublk.
///
/// # Errors
/// If something does not compile, the virtual machine fails, or a run in it does.
pub(super) fn count(arguments: &Arguments, rublk: Option<&Path>) -> Result<Report> {
    ensure!(!arguments.jobs().is_empty(), "no job has such a name");
    let mut programs = build(rublk.is_some())?;
    programs.push("fio".into());
    programs.extend(rublk.map(Path::to_path_buf));
    let results = tempfile::tempdir().context("failed to make a temporary directory")?;
    let vm = guest(arguments, programs, rublk.is_some(), results.path());
    let outcome = vm.run_into(stdout(), io::stderr())?;
    ensure!(
        outcome.exit_code == 0,
        "the runs in the guest ended with exit code {}",
        outcome.exit_code
    );
    let name = Path::new(RESULTS).file_name().unwrap_or_default();
    Report::read(&results.path().join(name), outcome.kernel, arguments)
}

/// Builds the programs as they are shipped. The guest's init is looked for beside this program, so
/// it is built as this program is.
fn build(peers: bool) -> Result<Vec<PathBuf>> {
    process::run(&mut cargo(&["build", "--package", "vm", "--bins"]))?;
    let release = ["build", "--release", "--bins"];
    process::run(cargo(&release).args(["--package", "daemon", "--package", "ctl"]))?;
    let built = target().join("release");
    let mut programs = ["bvecd", "bvecctl"].map(|name| built.join(name)).to_vec();
    if peers {
        let example = [
            "build",
            "--release",
            "--package",
            "ublk",
            "--example",
            FLOOR,
        ];
        process::run(&mut cargo(&example))?;
        programs.push(built.join("examples").join(FLOOR));
    }
    Ok(programs)
}

/// Cargo's directory, which is not among the variables that it sets for us.
pub(super) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

fn guest(arguments: &Arguments, programs: Vec<PathBuf>, peers: bool, results: &Path) -> Vm {
    let flag = |on: bool| u8::from(on).to_string();
    let counts = arguments.measure == Measure::InstructionsPerIo;
    let jobs: Vec<_> = arguments.jobs().iter().map(|job| job.name).collect();
    let modules: &[&str] = if peers {
        &["ublk_drv", "loop", "null_blk", "brd"]
    } else {
        &["ublk_drv"]
    };
    // By the clock bytes count as well, and tmpfs is special: io_uring needs a worker for it.
    let targets = if counts || !peers {
        &["null", "loop"][..]
    } else {
        &["null", "loop", "brd"]
    };
    let wanted = |target: &&str| {
        arguments.target.is_empty() || arguments.target.iter().any(|name| name == target)
    };
    let targets: Vec<_> = targets.iter().copied().filter(wanted).collect();
    let ways = match (peers, counts) {
        (false, _) => ALL_WAYS,
        (true, true) => PEERS_WAYS,
        (true, false) => CLOCK_WAYS,
    };
    Vm {
        kernel: arguments.kernel.clone(),
        machine: Machine {
            // By the clock, client and server must run at the same time, as they do on a machine.
            cpus: if counts { 1 } else { 2 },
            parallel: !counts,
            memory_mib: Some(MEMORY_MIB),
            count_instructions: counts,
            ..Machine::default()
        },
        env: [
            ("ROUNDS", arguments.rounds.to_string()),
            // What ends a run: a number of requests, or a time.
            (
                "END",
                if counts {
                    ios(arguments.ios)
                } else {
                    seconds(arguments.seconds)
                },
            ),
            ("TARGETS", targets.join(" ")),
            ("WAYS", ways.to_owned()),
            ("FLOOR", flag(peers && counts)),
            ("JOBS", jobs.join(" ")),
            ("PEERS", flag(peers)),
            ("AUTOGROUP", flag(!arguments.without_autogroup)),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec(),
        programs,
        modules: modules.iter().map(|&name| name.to_owned()).collect(),
        copy_in: vec![CopyIn {
            host: root().join("fio-jobs"),
            guest: "/root/fio-jobs".into(),
        }],
        copy_out: vec![CopyOut {
            guest: RESULTS.into(),
            dir: results.to_path_buf(),
        }],
        timeout: Some(LIMIT),
        ..Vm::new(["sh", "-c", SCRIPT])
    }
}

fn ios(number: u64) -> String {
    format!("--number_ios={number}")
}

fn seconds(number: u32) -> String {
    format!("--time_based --runtime={number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guest_counts_instructions_and_hears_what_to_do() {
        let arguments = Arguments {
            rounds: 5,
            ios: 1000,
            without_autogroup: true,
            ..Arguments::default()
        };
        let vm = guest(&arguments, vec!["fio".into()], true, Path::new("/tmp"));
        assert!(vm.machine.count_instructions && vm.machine.cpus == 1);
        for (name, value) in [
            ("ROUNDS", "5"),
            ("END", "--number_ios=1000"),
            ("PEERS", "1"),
            ("AUTOGROUP", "0"),
        ] {
            let pair = (name.to_owned(), value.to_owned());
            assert!(vm.env.contains(&pair), "{name}");
        }
        assert!(vm.modules.contains(&"null_blk".to_owned()));
        let clock = Arguments {
            measure: Measure::Iops,
            seconds: 2,
            job: vec!["256k".into()],
            ..arguments
        };
        let vm = guest(&clock, vec!["fio".into()], true, Path::new("/tmp"));
        assert!(!vm.machine.count_instructions && vm.machine.cpus == 2 && vm.machine.parallel);
        for (name, value) in [
            ("END", "--time_based --runtime=2"),
            ("TARGETS", "null loop brd"),
            ("JOBS", "seq-destination-256k-qd32"),
            ("FLOOR", "0"),
        ] {
            let pair = (name.to_owned(), value.to_owned());
            assert!(vm.env.contains(&pair), "{name}");
        }
    }
}
