//! The guest that experiments run in: hardware, programs and modules for all of them.

use std::path::PathBuf;
use std::time::Duration;

use ::vm::{Machine as Hardware, Spec, Vm, find_program};
use anyhow::Result;
use clap::Args;

use crate::command::vm::{LOADED, mebibytes, ours};
use crate::output::note;
use crate::units::Size;

/// Programs of this machine that experiments need; one that is missing here is missing there, and experiments say so.
const PROGRAMS: [&str; 6] = [
    "mkfs.ext4",
    "mkfs.xfs",
    "mkfs.btrfs",
    "dmsetup",
    "mdadm",
    "losetup",
];
/// Modules that experiments need, as far as a kernel has them. zram of 6.1 wants lzo-rle, which nothing loads.
const MODULES: [&str; 13] = [
    "xfs",
    "btrfs",
    "dm-crypt",
    "dm-integrity",
    "raid1",
    "lzo-rle",
    "zram",
    "sd_mod",
    "target_core_file",
    "tcm_loop",
    "nvmet",
    "nvme-fabrics",
    "nvme-loop",
];

/// The hardware.
#[derive(Debug, Args)]
pub(crate) struct Machine {
    /// Virtual CPUs of each guest: requests of several processes are held at once.
    #[arg(long, value_name = "N", default_value_t = 4)]
    cpus: u32,
    /// Memory of each guest: huge pages and memory nodes want some room.
    #[arg(long, value_name = "SIZE", default_value = "2G")]
    memory: Size,
    /// End a guest after this many seconds.
    #[arg(long, value_name = "S", default_value_t = 3600, value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,
    /// Put one more program with its libraries into each guest; may be given often.
    #[arg(long, value_name = "PROGRAM")]
    program: Vec<PathBuf>,
    /// Add words to each kernel's command line.
    #[arg(long, value_name = "WORDS", allow_hyphen_values = true)]
    append: Vec<String>,
}

impl Machine {
    /// A guest a kernel, each without a command yet.
    pub(super) fn guests(&self, kernels: Vec<(Spec, Option<PathBuf>)>) -> Result<Vec<Vm>> {
        let mut programs = ours()?;
        let mut missing = Vec::new();
        for name in PROGRAMS {
            match find_program(name) {
                Some(path) => programs.push(path),
                None => missing.push(name),
            }
        }
        programs.extend(self.program.clone());
        if !missing.is_empty() {
            note(format!(
                "without {}, not installed here",
                missing.join(", ")
            ));
        }
        // memfd_secret has to be asked for until 6.5; later kernels take no notice (mm/secretmem.c).
        let words = ["secretmem.enable=1".to_owned()];
        let append: Vec<String> = words.into_iter().chain(self.append.clone()).collect();
        let memory_mib = Some(mebibytes(self.memory)?);
        let plain = Vm::new(["true"]);
        let ours = LOADED.iter().chain(&MODULES).map(|name| (*name).to_owned());
        let optional: Vec<String> = plain.optional_modules.iter().cloned().chain(ours).collect();
        let guests = kernels.into_iter().map(|(kernel, modules_dir)| Vm {
            kernel,
            modules_dir,
            machine: Hardware {
                cpus: self.cpus,
                memory_mib,
                // Pages move between nodes.
                nodes: 2,
                append: append.clone(),
                ..Hardware::default()
            },
            programs: programs.clone(),
            optional_modules: optional.clone(),
            timeout: Some(Duration::from_secs(self.timeout)),
            quiet: true,
            // What an experiment has said is here already, and the other guests are told by us.
            patient: false,
            ..plain.clone()
        });
        Ok(guests.collect())
    }
}
