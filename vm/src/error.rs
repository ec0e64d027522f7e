//! What can go wrong before, during and after a boot.

use std::io;
use std::path::{Path, PathBuf};

use crate::death::Death;

/// An error of the virtual machine harness. Each is a fragment that fits after "failed to".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or directory could not be used.
    #[error("{action} {}: {source}", path.display())]
    File {
        /// What was tried, for example "read".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// A system call that names no file failed.
    #[error("{action}: {source}")]
    System {
        /// What was tried.
        action: &'static str,
        /// The reason.
        source: io::Error,
    },
    /// The kernel SPEC is not one of the documented forms.
    #[error(
        "read the kernel {0:?}: write `newest`, `host`, a version such as `7.2`, `suite:NAME`, or a path with a slash in it"
    )]
    Spec(String),
    /// No kernel fits the SPEC.
    #[error("find a kernel for `{spec}`: {reason}")]
    NoKernel {
        /// The SPEC as written.
        spec: String,
        /// Why, and what there is instead.
        reason: String,
    },
    /// A program of the host is not installed.
    #[error(
        "find the program {program}: install the package {package} (or run `cargo xtask setup`)"
    )]
    MissingProgram {
        /// The program's name.
        program: String,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// A program of the host ended with an error.
    #[error("run `{command}`: it ended with {status}: {message}")]
    Tool {
        /// The command line.
        command: String,
        /// Its exit status.
        status: String,
        /// The last lines of its standard error.
        message: String,
    },
    /// A kernel image, a module or a program has contents that cannot be used.
    #[error("use {}: {reason}", path.display())]
    Contents {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The kernel has no such module.
    #[error("load the module {module}: kernel {release} has it neither built in nor as a module")]
    NoModule {
        /// The module's name.
        module: String,
        /// The kernel's release.
        release: String,
    },
    /// An option does not fit the others.
    #[error("use {option}: {reason}")]
    Option {
        /// The option.
        option: String,
        /// What would be right.
        reason: String,
    },
    /// The virtual CPUs are to run in parallel, and no emulator that does so reliably can be had.
    #[error(
        "run the virtual CPUs in parallel: QEMU {version} does not do it reliably (8.1 does), {reason}"
    )]
    NoParallel {
        /// The version of the host's QEMU.
        version: String,
        /// Why there is no other.
        reason: String,
    },
    /// The guest's init could not do its work.
    #[error("prepare the guest: {0}")]
    Guest(String),
    /// The guest died, hung or was interrupted.
    #[error("{0}")]
    Death(#[from] Death),
}

impl Error {
    /// The exit code that a program ends with after this error: 2 for bad input, 4 where the emulator
    /// that was asked for cannot be had, 128 + the signal's number after an interruption, else 125, which
    /// `git bisect run` takes as "skip".
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Spec(_) | Self::Option { .. } => 2,
            Self::NoParallel { .. } => 4,
            Self::Death(death) => death.exit_code(),
            _ => 125,
        }
    }

    pub(crate) fn system(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { action, source }
    }

    pub(crate) fn contents(path: &Path, reason: impl Into<String>) -> Self {
        Self::Contents {
            path: path.to_owned(),
            reason: reason.into(),
        }
    }
}

/// Adds the file's name to an I/O error.
pub(crate) trait At<T> {
    /// Names the action and the file.
    fn at(self, action: &'static str, path: &Path) -> Result<T, Error>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, Error> {
        self.map_err(|source| Error::File {
            action,
            path: path.to_owned(),
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::death::Cause;

    #[test]
    fn exit_codes_follow_the_documented_table() {
        let death = |cause| {
            Error::Death(Death {
                cause,
                console: Vec::new(),
            })
            .exit_code()
        };
        assert_eq!(Error::Spec("?".into()).exit_code(), 2);
        assert_eq!(
            Error::NoKernel {
                spec: "99".into(),
                reason: String::new()
            }
            .exit_code(),
            125
        );
        assert_eq!(
            death(Cause::Panicked {
                line: String::new()
            }),
            125
        );
        assert_eq!(death(Cause::TimedOut { limit_s: 1 }), 125);
        assert_eq!(death(Cause::Interrupted { signal: 2 }), 130);
        assert_eq!(death(Cause::Interrupted { signal: 15 }), 143);
    }
}
