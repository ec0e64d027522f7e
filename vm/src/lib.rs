//! Boots a real Linux kernel in QEMU and runs a command in it.
//!
//! ```no_run
//! let vm = vm::Vm { programs: vec!["fio".into()], ..vm::Vm::new(["fio", "--version"]) };
//! let outcome = vm.run()?;
//! assert_eq!(outcome.exit_code, 0);
//! # Ok::<(), vm::Error>(())
//! ```
//!
//! # Model
//!
//! A [`Vm`] is a description; [`Vm::run`] finds the kernel ([`Kernel`], fetched from the
//! distribution's mirror and cached), writes an initramfs with our init, the programs and their
//! libraries, the modules and what they need, and boots it. Init runs the command. Its output comes
//! back through virtio ports, live, standard output and error apart; so do its exit code and files.
//!
//! # Ends
//!
//! A command that ends gives an [`Outcome`] with its exit code. Everything else is an [`Error`]:
//! a guest whose kernel reports its own death, that takes too long, or that vanishes is a
//! [`Death`] with the last lines of its console. A death before init spoke is tried once more, and
//! the user told. Nothing is left behind: QEMU dies with this process, and temporary files go.
//!
//! # Layout
//!
//! - the kernel: [`spec`], [`kernel`], `cached`, `distribution`, `sources`, `apt`, `version`, `image`, `cache`
//! - the root file system: `prepared`, `initramfs`, `program`, `modules`, `modinfo`, `slim`, `copy`, `compress`
//! - the machine: [`machine`], `qemu`, `emulator`, `accelerator`
//! - the run: [`run`], `attempt`, `monitor`, `terminal`, [`death`], `lines`, `progress`
//! - inside: [`guest`] (the init), [`plan`] (what it is told and what it answers)

mod accelerator;
mod apt;
mod attempt;
mod cache;
mod cached;
mod compress;
mod copy;
pub mod death;
mod distribution;
mod emulator;
mod error;
pub mod guest;
mod image;
mod initramfs;
pub mod kernel;
mod lines;
pub mod machine;
mod modinfo;
mod modules;
mod monitor;
pub mod plan;
mod prepared;
mod program;
mod progress;
mod qemu;
pub mod run;
mod slim;
mod sources;
pub mod spec;
mod sys;
mod terminal;
mod tool;
mod version;

pub use cache::Cache;
pub use cached::{CachedKernel, cached_kernels};
pub use copy::{CopyIn, CopyOut};
pub use death::{Cause, Death};
pub use distribution::{Candidate, DEBIAN_SUITES};
pub use error::Error;
pub use kernel::{Kernel, available_kernels};
pub use machine::{Accelerator, Machine};
pub use progress::Progress;
pub use run::{Outcome, Vm};
pub use spec::Spec;
pub use tool::find as find_program;
pub use version::Version;
