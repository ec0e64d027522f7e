//! The emulator on this host.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use crate::error::Error;
use crate::tool;

/// QEMU's program and version.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(test, derive(Default))]
pub(crate) struct Qemu {
    /// The program.
    pub(crate) path: PathBuf,
    /// Major and minor version.
    pub(crate) version: (u32, u32),
    /// Where its firmware is; none: where it looks by itself.
    pub(crate) firmware: Vec<PathBuf>,
    /// Named by the user, so that no other is taken for it.
    pub(crate) chosen: bool,
}

impl Qemu {
    /// Finds `$BVECD_QEMU`, a path or a name, or else `qemu-system-x86_64`.
    pub(crate) fn find() -> Result<Self, Error> {
        let named = env::var("BVECD_QEMU").ok();
        let program = named.as_deref().unwrap_or("qemu-system-x86_64");
        let path = tool::require(program, "qemu-system-x86")?;
        Ok(Self {
            chosen: named.is_some(),
            ..Self::at(path, Vec::new())?
        })
    }

    /// The program at `path` with its firmware in these directories.
    pub(crate) fn at(path: PathBuf, firmware: Vec<PathBuf>) -> Result<Self, Error> {
        let text = tool::output(Command::new(&path).arg("--version"))?;
        let text = String::from_utf8_lossy(&text);
        let version = parse_version(&text).ok_or_else(|| {
            Error::contents(&path, format!("its version is not readable: {text}"))
        })?;
        Ok(Self {
            path,
            version,
            firmware,
            chosen: false,
        })
    }

    /// Says whether several virtual CPUs may run in several threads under TCG.
    ///
    /// Before 8.1 the guest's patching of its own code races with translation in other threads
    /// (random `Oops: int3` while booting; boot-utils issue 111 of ClangBuiltLinux).
    pub(crate) fn has_reliable_threads(&self) -> bool {
        self.version >= (8, 1)
    }
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split("version ").nth(1)?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        let debian = "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)\nCopyright\n";
        assert_eq!(parse_version(debian), Some((7, 2)));
        assert_eq!(
            parse_version("QEMU emulator version 10.0.2\n"),
            Some((10, 0))
        );
        assert_eq!(parse_version("nonsense"), None);
    }

    #[test]
    fn threads_are_trusted_from_8_1_on() {
        let qemu = |version| Qemu {
            version,
            ..Qemu::default()
        };
        assert!(!qemu((7, 2)).has_reliable_threads());
        assert!(!qemu((8, 0)).has_reliable_threads());
        assert!(qemu((8, 1)).has_reliable_threads());
        assert!(qemu((10, 0)).has_reliable_threads());
    }
}
