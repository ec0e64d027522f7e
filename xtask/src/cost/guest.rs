//! The virtual machine that counts: one CPU under `-icount`, and a script that runs everything.

use std::io::{self, stdout};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use vm::{CopyIn, CopyOut, Machine, Vm};

use super::Arguments;
use super::faults;
use super::jobs;
use super::rows::Report;
use crate::guest_nbd;
use crate::process::root;

/// What the guest runs: every server in rounds.
const ROUNDS: &str = concat!(
    include_str!("guest/common.sh"),
    include_str!("guest/rounds.sh")
);
/// What rules cost.
const FAULTS: &str = concat!(
    include_str!("guest/common.sh"),
    include_str!("guest/faults.sh")
);
/// Where the guest leaves its results.
const RESULTS: &str = "/root/results";
/// Two backing files of 64 MiB lie in the guest's memory beside the programs.
const MEMORY_MIB: u64 = 1536;
/// Three rounds take about ten minutes on a machine that does something else as well. This is for
/// guests that hang, and never a verdict about speed.
const LIMIT: Duration = Duration::from_secs(3 * 60 * 60);

/// Every data path and transport of bvecd's own count.
const ALL_WAYS: &str = "copy/per-io user-copy/per-io zero-copy/per-io auto-zero-copy/per-io \
                        shared-memory/per-io copy/batch user-copy/batch zero-copy/batch auto-zero-copy/batch \
                        shared-memory/batch";
/// Those that a peer has, each on both transports.
const PEERS_WAYS: &str = "copy/per-io auto-zero-copy/per-io copy/batch auto-zero-copy/batch";

/// What is measured in one boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// bvecd alone.
    Alone,
    /// bvecd between its peers.
    Peers,
    /// The same on every data path, without the floor.
    Published,
    /// bvecd and the same of another revision.
    Revisions,
    /// What rules and the stability watch cost.
    Faults,
}

/// Measures, with programs that are built already.
///
/// # Errors
/// If the virtual machine fails, or a run in it does.
pub(super) fn count(
    arguments: &Arguments,
    what: What,
    mut programs: Vec<PathBuf>,
) -> Result<Report> {
    programs.push("fio".into());
    let results = tempfile::tempdir().context("failed to make a temporary directory")?;
    let vm = guest(arguments, what, programs, results.path())?;
    let outcome = vm.run_into(stdout(), io::stderr())?;
    ensure!(
        outcome.exit_code == 0,
        "the runs in the guest ended with exit code {}",
        outcome.exit_code
    );
    let name = Path::new(RESULTS).file_name().unwrap_or_default();
    Report::read(&results.path().join(name), outcome.kernel, arguments)
}

/// The words that are asked for.
fn chosen(all: &str, wanted: impl Fn(&str) -> bool) -> String {
    let words: Vec<_> = all.split_whitespace().filter(|word| wanted(word)).collect();
    words.join(" ")
}

fn guest(
    arguments: &Arguments,
    what: What,
    mut programs: Vec<PathBuf>,
    results: &Path,
) -> Result<Vm> {
    let modules: &[&str] = match what {
        What::Peers | What::Published => &["ublk_drv", "loop", "null_blk"],
        _ => &["ublk_drv"],
    };
    let script = match what {
        What::Faults => FAULTS,
        _ => ROUNDS,
    };
    let env = variables(arguments, what);
    // The watch is counted on other ways than rules are; one of the two may be left out.
    let may_be_empty =
        |name: &str| name == "WATCH_WAYS" || (name == "WAYS" && what == What::Faults);
    for (name, value) in &env {
        ensure!(
            !value.is_empty() || may_be_empty(name),
            "nothing is left to be measured of {name}; see --job, --target and --way"
        );
    }
    let nbd = match what {
        What::Peers | What::Published => guest_nbd::found(),
        _ => guest_nbd::Nbd::default(),
    };
    programs.extend(nbd.programs);
    let mut copy_in = nbd.copy_in;
    copy_in.extend(
        [
            ("fio-jobs", "/root/fio-jobs"),
            (jobs::DIRECTORY, "/root/cost-jobs"),
        ]
        .map(|(host, guest)| CopyIn {
            host: root().join(host),
            guest: guest.into(),
        }),
    );
    Ok(Vm {
        kernel: arguments.kernel.clone(),
        machine: Machine {
            cpus: 1,
            memory_mib: Some(MEMORY_MIB),
            count_instructions: true,
            ..Machine::default()
        },
        env,
        programs,
        modules: modules.iter().map(|&name| name.to_owned()).collect(),
        optional_modules: nbd.modules,
        copy_in,
        copy_out: vec![CopyOut {
            guest: RESULTS.into(),
            dir: results.to_path_buf(),
        }],
        timeout: Some(LIMIT),
        // A part of the rounds is no result.
        patient: false,
        ..Vm::new(["sh", "-c", script])
    })
}

/// What the script is told.
fn variables(arguments: &Arguments, what: What) -> Vec<(String, String)> {
    let flag = |on: bool| u8::from(on).to_string();
    let peers = matches!(what, What::Peers | What::Published);
    let ways = match what {
        What::Faults => faults::WAYS,
        What::Peers => PEERS_WAYS,
        What::Alone | What::Revisions | What::Published => ALL_WAYS,
    };
    let names: Vec<_> = arguments.jobs().iter().map(|job| job.name).collect();
    let target =
        |name: &str| arguments.target.is_empty() || arguments.target.iter().any(|it| it == name);
    let way = |name: &str| {
        arguments.way.is_empty()
            || arguments
                .way
                .iter()
                .any(|text| name.contains(text.as_str()))
    };
    let end = format!("--number_ios={}", arguments.ios);
    let mut env = vec![
        ("ROUNDS", arguments.rounds.to_string()),
        // What ends a run.
        ("END", end),
        ("WAYS", chosen(ways, way)),
        ("JOBS", names.join(" ")),
        ("AUTOGROUP", flag(!arguments.without_autogroup)),
    ];
    if what == What::Faults {
        env.extend([
            ("VARIANTS", faults::VARIANTS.to_owned()),
            ("WATCH_WAYS", chosen(faults::WATCH_WAYS, way)),
            ("WATCH_JOBS", faults::WATCH_JOBS.to_owned()),
        ]);
    } else {
        env.extend([
            ("TARGETS", chosen("null loop", target)),
            ("FLOOR", flag(what == What::Peers)),
            ("PEERS", flag(peers)),
            (
                "REVISIONS",
                match what {
                    What::Revisions => "- base".to_owned(),
                    _ => "-".to_owned(),
                },
            ),
        ]);
    }
    env.into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
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
        let programs = || vec!["fio".into()];
        let vm = guest(&arguments, What::Peers, programs(), Path::new("/tmp")).unwrap();
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
    }

    #[test]
    fn what_leaves_nothing_to_be_measured_is_refused() {
        let arguments = Arguments {
            way: vec!["pigeon".into()],
            ..Arguments::default()
        };
        let error = guest(&arguments, What::Alone, Vec::new(), Path::new("/tmp")).unwrap_err();
        assert!(error.to_string().contains("WAYS"), "{error}");
        let arguments = Arguments {
            way: vec!["copy/batch".into()],
            ..Arguments::default()
        };
        let env = variables(&arguments, What::Alone);
        let ways = env.iter().find(|(name, _)| name == "WAYS").unwrap();
        assert_eq!(
            ways.1,
            "copy/batch user-copy/batch zero-copy/batch auto-zero-copy/batch"
        );
        let published = variables(&Arguments::default(), What::Published);
        let ways = published.iter().find(|(name, _)| name == "WAYS").unwrap();
        assert_eq!(ways.1.split_whitespace().count(), 10);
    }
}
