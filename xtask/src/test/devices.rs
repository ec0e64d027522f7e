//! The tests on real devices: one virtual machine runs them all, or several side by side share them.

use std::io::{self, Write, stdout};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow};
use vm::{Cause, Error, Machine, Vm};

use super::programs::Programs;
use super::reader::{Format, Reader};
use super::split::{Depth, Share};
use super::tally::Tally;
use crate::process::say;

/// The driver lowers the number of queues to that of the CPUs, and some tests want four.
const CPUS: u32 = 4;

/// Half of the suite takes about twelve minutes under emulation, on a machine that has a CPU for it.
const LIMIT: Duration = Duration::from_secs(40 * 60);

/// All 160 cells of the conformance table, with 100,000 steps each.
const FULL_LIMIT: Duration = Duration::from_secs(12 * 3600);

/// Programs of the host that the tests use.
const FOUND: [&str; 8] = [
    "fio",
    "strace",
    "mkfs.ext4",
    "fsck.ext4",
    "mkfs.xfs",
    "mkfs.btrfs",
    "btrfs",
    "mdadm",
];

/// Modules that the tests use, beyond what the kernel loads by itself, and ublk_drv, which not every kernel has.
const MODULES: [&str; 7] = ["loop", "null_blk", "brd", "xfs", "btrfs", "raid1", "nbd"];

/// Modules of stacked devices, as far as the kernel has them.
const STACKED: [&str; 8] = [
    "sd_mod",
    "target_core_file",
    "tcm_loop",
    "nvmet",
    "nvme-fabrics",
    "nvme-loop",
    "nvmet-tcp",
    "nvme-tcp",
];

/// Runs the test programs one after the other; the filter follows as `"$@"`. Each reports its own
/// result, and one that fails keeps none of the others from running.
const SCRIPT: &str = "for program in $PROGRAMS; do $program; done; bvecd-suite \"$@\"";

/// Runs these shares of the tests on devices side by side.
///
/// # Errors
/// If a virtual machine cannot be made. One that dies is a failed test.
pub(super) fn run(shares: &[Share], programs: &Programs, filter: &[String]) -> Result<Tally> {
    let results: Vec<_> = thread::scope(|scope| {
        let run = |share| scope.spawn(move || run_one(share, programs, filter));
        let running: Vec<_> = shares.iter().map(run).collect();
        // A thread that panics has said why; its tests are not known to have passed.
        let ended = running.into_iter().map(|thread| {
            let broken = || anyhow!("a thread that watches a virtual machine panicked");
            thread.join().unwrap_or_else(|_| Err(broken()))
        });
        ended.collect()
    });
    let mut sum = Tally::default();
    for tally in results {
        sum += tally?;
    }
    Ok(sum)
}

fn run_one(share: &Share, programs: &Programs, filter: &[String]) -> Result<Tally> {
    let place = format!("kernel {}", share.kernel);
    let names: Vec<_> = programs
        .tests
        .iter()
        .filter(|_| share.programs)
        .filter(|path| filter.is_empty() || filter.iter().any(|word| name_of(path).contains(word)))
        .map(|path| name_of(path))
        .collect();
    let reader = Reader::new(&place, Format::Suite, names.len() + 1);
    let reader = Arc::new(Mutex::new(reader));
    let output = Watched {
        reader: Arc::clone(&reader),
        partial: Vec::new(),
        to: stdout(),
    };
    let vm = guest(share, programs, &names, filter);
    let result = vm.run_into(output, io::stderr());
    let reader = std::mem::replace(
        &mut *reader.lock().unwrap_or_else(PoisonError::into_inner),
        Reader::new("", Format::Suite, 0),
    );
    match result {
        Ok(outcome) => {
            let mut tally = reader.finish();
            if outcome.exit_code != 0 && tally.failed() == 0 {
                let code = outcome.exit_code;
                tally.fail(format!("the suite on {place} ended with exit code {code}"));
            }
            Ok(tally)
        }
        Err(Error::Death(death)) if !matches!(death.cause, Cause::Interrupted { .. }) => {
            say(format_args!("failed to {death}"));
            Ok(reader.finish_with("the guest died"))
        }
        Err(error) => Err(error.into()),
    }
}

fn guest(share: &Share, programs: &Programs, names: &[String], filter: &[String]) -> Vm {
    let mut command = vec!["sh".to_owned(), "-c".into(), SCRIPT.into(), "sh".into()];
    command.extend_from_slice(filter);
    let shards: Vec<_> = share.shards.iter().map(ToString::to_string).collect();
    let mut env = vec![
        ("PROGRAMS".to_owned(), names.join(" ")),
        ("BVECD_SHARD".to_owned(), shards.join(",")),
    ];
    // The suite runs more, and longer.
    let depth = share.depth.variable();
    env.extend(depth.map(|value| ("BVECD_FULL".to_owned(), value.to_owned())));
    let fuzz = std::env::var("BVECD_FUZZ_SECONDS");
    env.extend(fuzz.map(|seconds| ("BVECD_FUZZ_SECONDS".to_owned(), seconds)));
    let found = FOUND.map(PathBuf::from);
    let plain = Vm::new(command);
    let stacked = STACKED.map(str::to_owned);
    Vm {
        kernel: share.kernel.clone(),
        machine: Machine {
            cpus: CPUS,
            ..Machine::default()
        },
        env,
        programs: [&programs.tools[..], &programs.tests, &found].concat(),
        modules: MODULES.map(str::to_owned).to_vec(),
        timeout: Some(match share.depth {
            Depth::Ci => LIMIT,
            Depth::Cells | Depth::Full => FULL_LIMIT,
        }),
        optional_modules: [&plain.optional_modules[..], &stacked].concat(),
        ..plain
    }
}

fn name_of(path: &std::path::Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// Passes the guest's output on, and counts on the way.
struct Watched<W> {
    reader: Arc<Mutex<Reader>>,
    partial: Vec<u8>,
    to: W,
}

impl<W: Write> Write for Watched<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.partial.extend_from_slice(bytes);
        while let Some(end) = self.partial.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.partial.drain(..=end).collect();
            let text = String::from_utf8_lossy(&line);
            let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
            if reader.take(text.trim_end_matches('\n')) {
                self.to.write_all(&line)?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::split;
    use vm::Spec;

    #[test]
    fn lines_are_counted_however_they_are_cut() {
        let reader = Arc::new(Mutex::new(Reader::new("x", Format::Suite, 1)));
        let mut watched = Watched {
            reader: Arc::clone(&reader),
            partial: Vec::new(),
            to: io::sink(),
        };
        for part in [
            "not applicable  a::b: wh",
            "y\n1 pas",
            "sed, 0 failed, 0 skipped\n",
        ] {
            watched.write_all(part.as_bytes()).unwrap();
        }
        drop(watched);
        let reader = Arc::into_inner(reader).unwrap().into_inner().unwrap();
        let tally = reader.finish();
        assert_eq!(tally.summary(), "1 passed, 0 failed, 0 skipped");
        assert_eq!(tally.details()[..2], ["not applicable: x: why", "    a::b"]);
    }

    #[test]
    fn the_guest_gets_the_filter_and_only_the_programs_it_fits() {
        let programs = Programs {
            tools: vec!["/t/bvecd".into()],
            tests: vec!["/t/deps/no_allocation-1".into()],
        };
        let share = |full| {
            let shares = split::shares(&[Spec::Newest], full, "2/3".parse().unwrap(), 4);
            shares[0][1].clone()
        };
        let vm = guest(&share(false), &programs, &[], &["holds".to_owned()]);
        assert_eq!(vm.command.last().map(String::as_str), Some("holds"));
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            vm.env,
            [pair("PROGRAMS", ""), pair("BVECD_SHARD", "2/3,2/4")]
        );
        assert_eq!(vm.machine.cpus, 4);
        assert!(vm.programs.contains(&"/t/deps/no_allocation-1".into()));
        let full = guest(&share(true), &programs, &[], &[]);
        assert!(full.env.contains(&pair("BVECD_FULL", "1")));
    }
}
