//! What a file of the kernel needs, and which of that this process lacks.
//!
//! "Permission denied" has four causes: a capability, the capability in the wrong user namespace, a
//! locked-down kernel, or a file of somebody else. Which of them it was is read from
//! `/proc/self/status`, `/proc/self/uid_map` and securityfs.

use std::fs;
use std::io;
use std::path::Path;

use crate::{PagesError, Roots};

/// A capability by its name and its bit in `CapEff` (`include/uapi/linux/capability.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Capability {
    name: &'static str,
    bit: u32,
}

pub(crate) const SYS_ADMIN: Capability = Capability {
    name: "CAP_SYS_ADMIN",
    bit: 21,
};
pub(crate) const SYS_RAWIO: Capability = Capability {
    name: "CAP_SYS_RAWIO",
    bit: 17,
};
pub(crate) const SYSLOG: Capability = Capability {
    name: "CAP_SYSLOG",
    bit: 34,
};

/// What opening and reading one file needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Needs {
    /// The configuration without which the kernel has no such file.
    pub(crate) config: &'static str,
    /// What the process needs, in words.
    pub(crate) right: &'static str,
    /// The capability among that, if one is.
    pub(crate) capability: Option<Capability>,
    /// Whether lockdown refuses it in its confidentiality mode (`include/linux/security.h`).
    pub(crate) confidential: bool,
}

impl Needs {
    /// Read access, without any capability.
    pub(crate) const fn plain(config: &'static str, right: &'static str) -> Self {
        Self {
            config,
            right,
            capability: None,
            confidential: false,
        }
    }

    /// Sorts an error of opening or reading `path`.
    pub(crate) fn error(&self, roots: &Roots, path: &Path, source: io::Error) -> PagesError {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::NotFound => PagesError::Absent {
                path,
                needs: self.config,
            },
            io::ErrorKind::PermissionDenied => PagesError::NotAllowed {
                path,
                needs: self.right,
                because: self.because(roots),
            },
            _ => PagesError::Io { path, source },
        }
    }

    /// The cause of a refusal, in words that follow "it needs ...".
    pub(crate) fn because(&self, roots: &Roots) -> String {
        let process = Process::read(roots);
        match self.capability {
            Some(needed) if !process.has(needed) => {
                return format!("this process lacks {}", needed.name);
            }
            Some(needed) if !process.in_initial_namespace => {
                return format!(
                    "this process is in a user namespace (a container), where its {} does not \
                     count for the machine",
                    needed.name
                );
            }
            _ => {}
        }
        if !self.confidential {
            return "the file belongs to somebody else".to_owned();
        }
        match lockdown(roots) {
            Some(mode) => format!("the kernel is locked down ({mode})"),
            None => "the kernel or a security module refuses it".to_owned(),
        }
    }
}

/// What counts of this process.
#[derive(Debug, Clone, Copy)]
struct Process {
    effective: u64,
    in_initial_namespace: bool,
}

impl Process {
    /// A file that cannot be read is taken to speak for the process: the cause named is then another.
    fn read(roots: &Roots) -> Self {
        let text = |name: &str| fs::read_to_string(roots.proc.join("self").join(name));
        let effective = text("status").ok().and_then(|status| {
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix("CapEff:"))?;
            u64::from_str_radix(line.trim(), 16).ok()
        });
        // The initial user namespace maps every id to itself (user_namespaces(7)).
        let in_initial_namespace = text("uid_map")
            .map(|map| {
                let words: Vec<&str> = map.split_ascii_whitespace().collect();
                words == ["0", "0", "4294967295"]
            })
            .unwrap_or(true);
        Self {
            effective: effective.unwrap_or(u64::MAX),
            in_initial_namespace,
        }
    }

    fn has(self, capability: Capability) -> bool {
        self.effective >> capability.bit & 1 == 1
    }
}

/// The mode that a locked-down kernel is in: of securityfs, or where that is not mounted, of the
/// command line.
pub(crate) fn lockdown(roots: &Roots) -> Option<String> {
    if let Ok(modes) = fs::read_to_string(roots.sys.join("kernel/security/lockdown")) {
        // "none integrity [confidentiality]"
        let mode = modes.split('[').nth(1)?.split(']').next()?;
        return (mode != "none").then(|| mode.to_owned());
    }
    let line = fs::read_to_string(roots.proc.join("cmdline")).ok()?;
    line.split_ascii_whitespace()
        .filter_map(|word| word.strip_prefix("lockdown="))
        .next_back()
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::Machine;

    const NEEDS: Needs = Needs {
        config: "CONFIG_X",
        right: "CAP_SYS_RAWIO",
        capability: Some(SYS_RAWIO),
        confidential: true,
    };

    fn refused(status: &str, map: &str, lockdown: Option<&str>) -> String {
        let machine = Machine::empty();
        let own = machine.roots().proc.join("self");
        fs::create_dir_all(&own).unwrap();
        fs::write(own.join("status"), status).unwrap();
        fs::write(own.join("uid_map"), map).unwrap();
        if let Some(text) = lockdown {
            let directory = machine.roots().sys.join("kernel/security");
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join("lockdown"), text).unwrap();
        }
        let error = NEEDS.error(
            machine.roots(),
            Path::new("/proc/kcore"),
            io::ErrorKind::PermissionDenied.into(),
        );
        assert!(error.is_missing_requirement());
        error.to_string()
    }

    const ALL: &str = "Name:\tx\nCapEff:\t000001ffffffffff\n";
    const INITIAL: &str = "         0          0 4294967295\n";

    #[test]
    fn each_cause_is_told_apart() {
        let text = refused("CapEff:\t0000000000000000\n", INITIAL, None);
        assert!(text.ends_with("this process lacks CAP_SYS_RAWIO"), "{text}");
        let text = refused(ALL, "0 100000 65536\n", None);
        assert!(text.contains("a user namespace (a container)"), "{text}");
        let text = refused(ALL, INITIAL, Some("none integrity [confidentiality]\n"));
        assert!(text.contains("locked down (confidentiality)"), "{text}");
        let text = refused(ALL, INITIAL, Some("[none] integrity confidentiality\n"));
        assert!(text.contains("a security module"), "{text}");
    }

    #[test]
    fn the_command_line_speaks_where_securityfs_is_not_mounted() {
        let machine = Machine::empty();
        assert_eq!(lockdown(machine.roots()), None);
        fs::write(
            machine.roots().proc.join("cmdline"),
            "quiet lockdown=integrity lockdown=confidentiality\n",
        )
        .unwrap();
        assert_eq!(
            lockdown(machine.roots()).as_deref(),
            Some("confidentiality")
        );
    }

    #[test]
    fn an_absent_file_names_the_configuration() {
        let machine = Machine::empty();
        let error = NEEDS.error(
            machine.roots(),
            Path::new("/proc/kcore"),
            io::ErrorKind::NotFound.into(),
        );
        assert_eq!(
            error.to_string(),
            "open /proc/kcore: the kernel does not offer it, it needs CONFIG_X"
        );
    }
}
