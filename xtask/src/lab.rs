//! `cargo xtask lab`: `bvecctl lab run` in a virtual machine.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use vm::{Machine, Spec, Vm};

use crate::guest_nbd::program;
use crate::process::{self, cargo, root, say};
use crate::setup;

/// The programs of ours.
const OURS: [&str; 2] = ["bvecd", "bvecctl"];
/// Those of the host that experiments need; what is missing is skipped there, with its name.
const THEIRS: [&str; 6] = [
    "mkfs.ext4",
    "mkfs.xfs",
    "mkfs.btrfs",
    "dmsetup",
    "mdadm",
    "losetup",
];
/// Modules beside those that every guest loads, as far as the kernel has them.
const MODULES: [&str; 12] = [
    "xfs",
    "btrfs",
    "dm-crypt",
    "dm-integrity",
    "raid1",
    "zram",
    "sd_mod",
    "target_core_file",
    "tcm_loop",
    "nvmet",
    "nvme-fabrics",
    "nvme-loop",
];
/// Requests of several processes are held at once.
const CPUS: u32 = 4;
/// So that a page can be asked to move from one to another.
const NODES: u32 = 2;
/// Huge pages and two memory nodes want some room.
const MEMORY_MIB: u64 = 2048;
/// A full set takes under four minutes under emulation.
const LIMIT: Duration = Duration::from_secs(30 * 60);

/// Which kernel, and what `bvecctl lab run` is told.
#[derive(Debug, Default, Args)]
#[command(after_help = "Examples:
  cargo xtask lab
  cargo xtask lab --kernel 6.12 -- early-data --repeat 5
  cargo xtask lab -- --json")]
pub(crate) struct Arguments {
    /// The kernel of the virtual machine: newest, a version such as 6.12, suite:NAME, or a path.
    #[arg(long, value_name = "SPEC", default_value = "newest")]
    kernel: Spec,
    /// Arguments of `bvecctl lab run`; a `--json` among them is fine.
    #[arg(last = true, value_name = "ARGUMENTS")]
    arguments: Vec<String>,
}

/// Runs it; its exit code is ours.
///
/// # Errors
/// If something needed is missing, does not compile, or the virtual machine cannot be made.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    setup::ensure()?;
    let packages = ["--package", "vm", "--package", "daemon", "--package", "ctl"];
    process::run(&mut cargo(&[&["build", "--bins"][..], &packages].concat()))?;
    let built = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root().join("target"), PathBuf::from)
        .join("debug");
    let mut programs: Vec<PathBuf> = OURS.map(|name| built.join(name)).to_vec();
    for name in THEIRS {
        match program(name) {
            Some(path) => programs.push(path),
            // The experiments that need it say so as well.
            None => say(format_args!("without {name}, which is not installed here")),
        }
    }
    let words = ["bvecctl", "lab", "run", "--dangerous"].map(str::to_owned);
    let vm = Vm {
        kernel: arguments.kernel.clone(),
        machine: Machine {
            cpus: CPUS,
            memory_mib: Some(MEMORY_MIB),
            nodes: NODES,
            ..Machine::default()
        },
        programs,
        timeout: Some(LIMIT),
        ..Vm::new(words.into_iter().chain(arguments.arguments.iter().cloned()))
    };
    let optional = MODULES.map(str::to_owned);
    let vm = Vm {
        optional_modules: vm
            .optional_modules
            .iter()
            .cloned()
            .chain(optional)
            .collect(),
        ..vm
    };
    Ok(ExitCode::from(vm.run()?.exit_code))
}
