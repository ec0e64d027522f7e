//! The virtual machine's hardware and kernel command line: QEMU's arguments and nothing else.

use std::ffi::OsString;
use std::os::fd::RawFd;
use std::path::Path;

use crate::error::Error;
use crate::kernel::Kernel;
use crate::qemu::Qemu;

/// The hardware that the guest gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Number of virtual CPUs.
    pub cpus: u32,
    /// Memory in MiB; none means enough for the programs and 1 GiB at least.
    pub memory_mib: Option<u64>,
    /// Memory nodes, each with an equal part of the memory; all CPUs are on the first.
    pub nodes: u32,
    /// Insists that the virtual CPUs run at the same time, each on a CPU of the host: with a QEMU that
    /// does it reliably, fetched if need be, or not at all. Idle ones spin instead of sleeping, so that
    /// wake-ups between them are as fast as on a real machine, and the host's CPUs are busy.
    pub parallel: bool,
    /// Counts instructions instead of time: one instruction is one virtual nanosecond. Costs two to
    /// three times the wall time, needs TCG and one CPU, and repeats to three or four digits.
    pub count_instructions: bool,
    /// Leaves out the options that make booting faster but change what is measured: mitigations,
    /// security modules and the checks of the clock stay as the distribution has them.
    pub stock_command_line: bool,
    /// Words added at the end of the kernel's command line, where they win over earlier ones.
    pub append: Vec<String>,
    /// A TCP port of this machine's loopback that leads to the same port of the guest's `eth0`, which nothing
    /// else is reached through. The guest needs the module `virtio_net`, and [`GUEST_ADDRESS`] given to `eth0`.
    pub forward: Option<u16>,
}

/// The address that QEMU's user network expects the guest to have.
pub const GUEST_ADDRESS: &str = "10.0.2.15";

impl Default for Machine {
    fn default() -> Self {
        Self {
            cpus: 2,
            memory_mib: None,
            nodes: 1,
            parallel: false,
            count_instructions: false,
            stock_command_line: false,
            append: Vec::new(),
            forward: None,
        }
    }
}

/// What executes the guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accelerator {
    /// The CPU itself.
    Kvm,
    /// QEMU's translator.
    Tcg,
}

impl std::fmt::Display for Accelerator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        })
    }
}

/// Everything that a command line is made of.
#[derive(Debug)]
pub(crate) struct Boot<'a> {
    pub(crate) qemu: &'a Qemu,
    pub(crate) accelerator: Accelerator,
    pub(crate) kernel: &'a Kernel,
    pub(crate) image: &'a Path,
    pub(crate) memory_mib: u64,
    /// The open initramfs that QEMU inherits.
    pub(crate) initramfs: RawFd,
    /// Connected sockets that QEMU inherits.
    pub(crate) console: RawFd,
    /// The virtio ports by name.
    pub(crate) ports: Vec<(&'static str, RawFd)>,
    /// Whether the console gets everything that the kernel says, or only what is grave.
    pub(crate) talkative: bool,
    /// The interactive terminal, if there is one.
    pub(crate) terminal: Option<RawFd>,
}

impl Machine {
    /// Refuses combinations that cannot work.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let wrong = |option: &str, reason: &str| {
            Err(Error::Option {
                option: option.into(),
                reason: reason.into(),
            })
        };
        match self {
            Self { cpus: 0 | 65.., .. } => wrong("--cpus", "1 to 64 virtual CPUs can be had"),
            Self {
                count_instructions: true,
                cpus: 2..,
                ..
            } => wrong(
                "--count-instructions",
                "it needs --cpus 1: with more, the counts depend on how the CPUs interleave",
            ),
            Self {
                parallel: true,
                cpus: 1,
                ..
            } => wrong(
                "--parallel",
                "it needs two virtual CPUs at least, and does not go with --count-instructions",
            ),
            Self { nodes: 0 | 9.., .. } => wrong("--nodes", "1 to 8 memory nodes can be had"),
            Self {
                memory_mib: Some(0..256),
                ..
            } => wrong(
                "--memory",
                "the kernel and its initramfs need 256 MiB at least",
            ),
            _ => Ok(()),
        }
    }

    /// The arguments for QEMU.
    pub(crate) fn arguments(&self, boot: &Boot<'_>) -> Vec<OsString> {
        // Devices that nobody uses cost time at every boot: the kernel probes them.
        let mut args = Arguments::default();
        for dir in &boot.qemu.firmware {
            args.pair("-L", dir);
        }
        args.pair(
            "-machine",
            "q35,sata=off,smbus=off,usb=off,vmport=off,graphics=off",
        );
        args.pair("-smp", self.cpus.to_string());
        self.memory(boot, &mut args);
        args.words(&[
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-no-reboot",
        ]);
        self.accelerate(boot, &mut args);
        args.pair("-kernel", boot.image);
        args.pair("-initrd", format!("/proc/self/fd/{}", boot.initramfs));
        args.pair("-append", self.command_line(boot));
        args.socket("console", boot.console);
        args.pair("-serial", "chardev:console");
        args.pair("-device", "virtio-serial-pci,max_ports=8");
        for (name, fd) in &boot.ports {
            args.socket(name, *fd);
            args.pair(
                "-device",
                format!("virtserialport,chardev={name},name={name}"),
            );
        }
        if let Some(port) = self.forward {
            let to = format!("hostfwd=tcp:127.0.0.1:{port}-{GUEST_ADDRESS}:{port}");
            args.pair("-netdev", format!("user,id=net,restrict=on,{to}"));
            // Nothing is booted from it.
            args.pair("-device", "virtio-net-pci,netdev=net,romfile=");
        }
        if let Some(fd) = boot.terminal {
            args.socket("terminal", fd);
            args.pair("-device", "virtconsole,chardev=terminal");
        }
        args.0
    }

    /// The nodes of QEMU are memory backends, which together must be all of the memory.
    fn memory(&self, boot: &Boot<'_>, args: &mut Arguments) {
        let nodes = u64::from(self.nodes);
        let part = boot.memory_mib / nodes;
        args.pair("-m", (part * nodes).to_string());
        if nodes == 1 {
            return;
        }
        for node in 0..nodes {
            args.pair(
                "-object",
                format!("memory-backend-ram,id=node{node},size={part}M"),
            );
            // A node without CPUs: to split them among nodes contradicts what the CPUs say of their caches.
            let cpus = match node {
                0 => format!(",cpus=0-{}", self.cpus - 1),
                _ => String::new(),
            };
            args.pair(
                "-numa",
                format!("node,nodeid={node},memdev=node{node}{cpus}"),
            );
        }
    }

    fn accelerate(&self, boot: &Boot<'_>, args: &mut Arguments) {
        if boot.accelerator == Accelerator::Kvm {
            args.pair("-accel", "kvm");
            args.pair("-cpu", "host");
            return;
        }
        let threads = self.cpus > 1 && !self.count_instructions && boot.qemu.has_reliable_threads();
        args.pair(
            "-accel",
            if threads {
                "tcg,thread=multi"
            } else {
                "tcg,thread=single"
            },
        );
        // The fastest of the tried models: newer ones have instructions that cost TCG more than
        // they save.
        args.pair("-cpu", "Nehalem");
        if self.count_instructions {
            args.pair("-icount", "shift=0,sleep=off");
            args.pair("-rtc", "base=2026-01-01,clock=vm");
        }
    }

    fn command_line(&self, boot: &Boot<'_>) -> String {
        // panic=-1 restarts at once, which -no-reboot turns into the end of QEMU.
        let mut words = vec!["console=ttyS0", "panic=-1", "nokaslr", "norandmaps"];
        // Printing costs time under emulation. The early console speaks before there are drivers.
        words.extend(match boot.talkative {
            true => &["loglevel=8", "earlyprintk=serial,ttyS0"][..],
            false => &["loglevel=4"],
        });
        if !self.stock_command_line {
            words.extend(["mitigations=off", "cryptomgr.notests", "audit=0", "lsm="]);
            if boot.accelerator == Accelerator::Tcg {
                words.extend(["no_timer_check", "tsc=reliable"]);
            }
        }
        if boot.kernel.signed_modules {
            words.push("module.sig_enforce=1");
        }
        // Waking a sleeping thread of QEMU's costs a request many times what it costs by itself.
        if self.parallel && boot.accelerator == Accelerator::Tcg {
            words.push("idle=poll");
        }
        words.extend(self.append.iter().map(String::as_str));
        words.join(" ")
    }
}

#[derive(Default)]
struct Arguments(Vec<OsString>);

impl Arguments {
    fn words(&mut self, words: &[&str]) {
        self.0.extend(words.iter().map(OsString::from));
    }

    fn pair(&mut self, option: &str, value: impl Into<OsString>) {
        self.0.push(option.into());
        self.0.push(value.into());
    }

    /// A connected socket: nothing is lost before somebody connects, and nothing is left in the
    /// file system. QEMU's `stdio` would block the guest for ever when our input is at its end.
    fn socket(&mut self, id: &str, fd: RawFd) {
        self.pair("-chardev", format!("socket,id={id},fd={fd}"));
    }
}

#[cfg(test)]
mod tests;
