//! The guest of `vm run` and `vm shell`: its kernel, its hardware, what is in it.

use std::env;
use std::path::{Path, PathBuf};

use ::vm::{CopyIn, CopyOut, Machine, Spec, Vm};
use anyhow::{Context as _, Result};
use clap::Args;

use crate::exit::Failure;
use crate::units::Size;

/// Programs that the guest gets if they are on this machine.
const WELCOME: [&str; 2] = ["fio", "strace"];

/// Modules that the guest loads if the kernel has them, beside ublk_drv: other block devices to compare
/// with and to back ours, a file system, and the NBD client for devices without ublk.
pub(crate) const LOADED: [&str; 5] = ["loop", "null_blk", "brd", "ext4", "nbd"];

/// What the guest is made of.
#[derive(Debug, Args)]
pub(crate) struct Guest {
    /// The kernel: newest, host, a version such as 7.2, suite:NAME, or a path to an image.
    #[arg(long, value_name = "SPEC", default_value = "newest")]
    kernel: Spec,
    /// Directory with the modules of a kernel image that is given by its path.
    #[arg(long, value_name = "DIR")]
    modules: Option<PathBuf>,
    /// Virtual CPUs [default: 2; 1 with --count-instructions].
    #[arg(long, value_name = "N")]
    cpus: Option<u32>,
    /// Memory, such as 2G [default: enough for the programs, 1G at least].
    #[arg(long, value_name = "SIZE")]
    memory: Option<Size>,
    /// Divide the memory among so many nodes; all CPUs are on the first.
    #[arg(long, value_name = "N", default_value_t = 1)]
    nodes: u32,
    /// One instruction is one nanosecond of the guest's time, for counts that repeat.
    #[arg(long)]
    count_instructions: bool,
    /// Insist that virtual CPUs run at the same time, with a newer QEMU if need be; idle ones spin.
    #[arg(long)]
    parallel: bool,
    /// Put a file or directory into the guest; may be given often.
    #[arg(long, value_name = "PATH[:GUESTPATH]")]
    copy_in: Vec<CopyIn>,
    /// Bring a file or directory of the guest back; may be given often.
    #[arg(long, value_name = "GUESTPATH[:DIR]")]
    copy_out: Vec<CopyOut>,
    /// Put a program with its libraries into the guest, by path or name; may be given often.
    #[arg(long, value_name = "PROGRAM")]
    program: Vec<PathBuf>,
    /// Load a module of the kernel beside ublk_drv, loop, null_blk, brd, ext4 and nbd; may be given often.
    #[arg(long, value_name = "NAME")]
    module: Vec<String>,
    /// Add words to the kernel's command line, such as 'lsm=lockdown lockdown=confidentiality'.
    #[arg(long, value_name = "WORDS", allow_hyphen_values = true)]
    append: Vec<String>,
    /// Say nothing about fetching, building and booting.
    #[arg(long, short)]
    quiet: bool,
}

impl Guest {
    /// Describes the guest to the harness.
    ///
    /// # Errors
    /// The directory of this program cannot be found, or the memory makes no sense.
    pub(super) fn vm(self, plain: Vm) -> Result<Vm> {
        let cpus = match self.cpus {
            Some(cpus) => cpus,
            None if self.count_instructions => 1,
            None => Machine::default().cpus,
        };
        let mut programs = ours()?;
        programs.extend(
            WELCOME
                .into_iter()
                .filter(|name| is_on_path(name))
                .map(PathBuf::from),
        );
        programs.extend(self.program);
        let mut optional_modules = plain.optional_modules.clone();
        optional_modules.extend(LOADED.map(str::to_owned));
        Ok(Vm {
            kernel: self.kernel,
            modules_dir: self.modules,
            machine: Machine {
                cpus,
                memory_mib: self.memory.map(mebibytes).transpose()?,
                nodes: self.nodes,
                count_instructions: self.count_instructions,
                parallel: self.parallel,
                append: self.append,
                ..plain.machine
            },
            programs,
            modules: self.module,
            optional_modules,
            copy_in: self.copy_in,
            copy_out: self.copy_out,
            quiet: self.quiet,
            ..plain
        })
    }
}

pub(crate) fn mebibytes(size: Size) -> Result<u64> {
    if size.0.is_multiple_of(1 << 20) && size.0 > 0 {
        return Ok(size.0 >> 20);
    }
    let message = format!(
        "use --memory {}: expected whole mebibytes, such as 2G",
        size.0
    );
    Err(Failure::Input(message).into())
}

/// bvecctl itself, and bvecd if it lies beside it.
pub(crate) fn ours() -> Result<Vec<PathBuf>> {
    let program = env::current_exe().context("find this program")?;
    let daemon = program.with_file_name("bvecd");
    let mut programs = vec![program];
    programs.extend(daemon.is_file().then_some(daemon));
    Ok(programs)
}

fn is_on_path(name: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|dir| is_program(&dir.join(name)))
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata()
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        guest: Guest,
    }

    fn guest(line: &str) -> Result<Vm> {
        let words = ["vm"].into_iter().chain(line.split_whitespace());
        Line::try_parse_from(words)?.guest.vm(Vm::new(["true"]))
    }

    #[test]
    fn flags_become_the_machine() {
        let vm = guest("--kernel 7.2 --cpus 4 --memory 2G --module xfs --quiet").unwrap();
        assert_eq!(vm.kernel, Spec::Version("7.2".to_owned()));
        assert_eq!((vm.machine.cpus, vm.machine.memory_mib), (4, Some(2048)));
        assert_eq!(vm.modules, ["xfs"]);
        assert!(vm.quiet && vm.optional_modules.contains(&"ublk_drv".to_owned()));
        assert_eq!(guest("--count-instructions").unwrap().machine.cpus, 1);
        assert_eq!(guest("--nodes 2").unwrap().machine.nodes, 2);
        assert!(guest("--parallel").unwrap().machine.parallel);
        let words = guest("--append lockdown=confidentiality --append quiet").unwrap();
        assert_eq!(words.machine.append, ["lockdown=confidentiality", "quiet"]);
    }

    #[test]
    fn the_running_program_goes_along() {
        let vm = guest("").unwrap();
        assert_eq!(vm.programs.first(), env::current_exe().ok().as_ref());
        assert_eq!(vm.machine.cpus, 2);
    }

    #[test]
    fn bad_input_is_refused() {
        for (line, needle) in [
            ("--kernel a:b", "newest"),
            ("--memory 1X", "column 2"),
            ("--memory 1000", "whole mebibytes"),
            ("--copy-in ..", "copy-in"),
            ("--cpus two", "two"),
        ] {
            let message = format!("{:#}", guest(line).unwrap_err());
            assert!(message.contains(needle), "{line}: {message}");
        }
    }
}
