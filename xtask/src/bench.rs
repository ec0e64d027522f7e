//! `cargo xtask bench`: `bvecctl bench run` of a shipped matrix, in a virtual machine. `--publish` counts what the
//! published tables show.

mod publish;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use clap::Args;
use vm::{CopyOut, Machine, Spec, Vm};

use crate::demo;
use crate::process::{self, say};
use crate::{guest_nbd, setup};

/// The programs of the guest beside its init.
const PROGRAMS: [&str; 2] = ["bvecd", "bvecctl"];
/// The kernel's own drivers, to compare with.
const PEERS: [&str; 3] = ["loop", "null_blk", "brd"];
/// Where the results go below cargo's directory, here and in the guest.
const RESULTS: &str = "bench";
/// Those next to others.
const PEER_RESULTS: &str = "bench-peers";
/// Backing files and devices in memory, and fio's reports.
const MEMORY_MIB: u64 = 1536;
/// Under emulation the short matrix takes three minutes; the full one an hour or two.
const QUICK: Duration = Duration::from_secs(15 * 60);
const FULL: Duration = Duration::from_secs(4 * 60 * 60);

/// Runs in the guest: a daemon in a session of its own, as a service is, and `bvecctl bench`. The daemon
/// ends before the guest does, so that a device it would leave is told. A signal that ends the bench, which then
/// saves what it has, leaves the shell to see to the daemon.
const SCRIPT: &str = r#"
trap 'told=1' HUP INT TERM
setsid bvecd --log warn &
daemon=$!
left=100
until bvecctl features >/dev/null 2>&1; do
    left=$((left - 1))
    [ "$left" -gt 0 ] || { echo "bench: bvecd does not answer" >&2; exit 125; }
    sleep 0.1
done
[ -z "$told" ] && bvecctl bench "$@"
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
    /// Count instead what a request costs on bvecd and on others, on two kernels, and write the tables of
    /// README.md and docs/benchmarks.md anew.
    #[arg(long, conflicts_with_all = ["quick", "kernel"])]
    publish: bool,
    /// How often everything is counted for the tables.
    #[arg(long, value_name = "N", default_value_t = 2, requires = "publish", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Requests a run for the tables.
    #[arg(long, value_name = "N", default_value_t = 10_000, requires = "publish", value_parser = clap::value_parser!(u64).range(1000..=1_000_000))]
    ios: u64,
}

/// Runs it, and leaves `target/bench/result.json` and `report.html`; the exit code is that of the run.
///
/// # Errors
/// If something needed is missing, does not compile, or the virtual machine cannot be made.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    if arguments.publish {
        return publish::run(arguments.rounds, arguments.ios);
    }
    setup::ensure()?;
    let (matrix, limit) = match arguments.quick {
        true => ("quick", QUICK),
        false => ("full", FULL),
    };
    let guest = Guest {
        kernel: &arguments.kernel,
        words: &["run", matrix],
        results: RESULTS,
        limit,
        parallel: false,
        more: None,
    };
    guest.run()
}

/// Measures bvecd next to others by the clock, and leaves `target/bench-peers/result.json` and `report.html`.
///
/// # Errors
/// As [`run`].
pub(crate) fn peers(kernel: &Spec, rounds: u32, rublk: PathBuf) -> Result<ExitCode> {
    let guest = Guest {
        kernel,
        words: &["peers", "--rounds", &rounds.to_string()],
        results: PEER_RESULTS,
        limit: FULL,
        // Client and server must run at the same time, as they do on a machine.
        parallel: true,
        more: Some(rublk),
    };
    guest.run()
}

/// A guest that measures.
struct Guest<'a> {
    kernel: &'a Spec,
    /// What `bvecctl bench` is told.
    words: &'a [&'a str],
    /// Where the results go, below cargo's directory here and below `target` there.
    results: &'a str,
    limit: Duration,
    parallel: bool,
    /// A program beside ours, fio, and those of NBD.
    more: Option<PathBuf>,
}

impl Guest<'_> {
    fn run(self) -> Result<ExitCode> {
        let built = demo::build()?;
        let out = demo::target().join(self.results);
        fs::create_dir_all(&out).with_context(|| format!("failed to make {}", out.display()))?;
        let begin = SystemTime::now();
        let ended = self.vm(&built).run();
        // A run that failed or was interrupted has left what it had, if it had anything.
        for name in ["report.html", "result.json"] {
            let file = out.join(name);
            let written = file.metadata().and_then(|it| it.modified());
            if written.is_ok_and(|at| at >= begin) {
                say(format_args!("the result: {}", file.display()));
            }
        }
        Ok(ExitCode::from(ended?.exit_code))
    }

    fn vm(self, built: &Path) -> Vm {
        let nbd = guest_nbd::found();
        let mut programs: Vec<PathBuf> = PROGRAMS.map(|name| built.join(name)).to_vec();
        programs.push("fio".into());
        programs.extend(nbd.programs);
        programs.extend(self.more);
        let inside = format!("target/{}", self.results);
        let revision = process::revision();
        let options = ["--out", &inside, "--revision", &revision];
        let script = ["sh", "-c", SCRIPT, "bench"];
        let plain = Vm::new([&script[..], self.words, &options].concat());
        let mut optional_modules = plain.optional_modules.clone();
        optional_modules.extend(PEERS.map(str::to_owned));
        optional_modules.extend(nbd.modules);
        Vm {
            kernel: self.kernel.clone(),
            machine: Machine {
                memory_mib: Some(MEMORY_MIB),
                parallel: self.parallel,
                ..Machine::default()
            },
            programs,
            optional_modules,
            copy_in: nbd.copy_in,
            copy_out: vec![CopyOut {
                guest: Path::new("/root").join(inside),
                dir: demo::target(),
            }],
            timeout: Some(self.limit),
            ..plain
        }
    }
}
