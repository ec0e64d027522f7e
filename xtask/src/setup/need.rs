//! The things that bvecd needs, where to look for them, and which packages have them.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use super::unpacked::Unpacked;

/// A thing that bvecd needs beyond the Rust toolchain.
#[derive(Debug)]
pub(super) struct Need {
    /// What it is called.
    pub(super) name: &'static str,
    /// What it is needed for.
    pub(super) purpose: &'static str,
    place: Place,
    /// Packages of Debian and Ubuntu, separated by spaces.
    pub(super) debian: &'static str,
    /// Packages of Fedora.
    pub(super) fedora: &'static str,
    /// Packages of Arch.
    pub(super) arch: &'static str,
}

#[derive(Debug)]
enum Place {
    /// A program on the search path.
    Program(&'static str),
    /// One of these programs.
    AnyProgram(&'static [&'static str]),
    /// One of these files.
    File(&'static [&'static str]),
    /// The library that bindgen loads.
    Libclang,
    /// A program on the search path or in the cache.
    Unpacked(Unpacked),
}

/// Everything that is needed.
pub(super) const NEEDS: &[Need] = &[
    Need {
        name: "qemu-system-x86_64",
        purpose: "virtual machines",
        place: Place::Program("qemu-system-x86_64"),
        debian: "qemu-system-x86",
        fedora: "qemu-system-x86-core",
        arch: "qemu-system-x86",
    },
    Need {
        name: "SeaBIOS",
        purpose: "virtual machines",
        place: Place::File(&[
            "/usr/share/seabios/bios-256k.bin",
            "/usr/share/qemu/bios-256k.bin",
            "/usr/local/share/qemu/bios-256k.bin",
        ]),
        debian: "seabios",
        fedora: "seabios-bin",
        arch: "seabios",
    },
    Need {
        name: "busybox",
        purpose: "the guest's shell",
        place: Place::Program("busybox"),
        debian: "busybox-static",
        fedora: "busybox",
        arch: "busybox",
    },
    Need {
        name: "xz",
        purpose: "kernels and modules",
        place: Place::Program("xz"),
        debian: "xz-utils",
        fedora: "xz",
        arch: "xz",
    },
    Need {
        name: "zstd",
        purpose: "kernels and modules",
        place: Place::Program("zstd"),
        debian: "zstd",
        fedora: "zstd",
        arch: "zstd",
    },
    Need {
        name: "fio",
        purpose: "benchmarks and tests",
        place: Place::Program("fio"),
        debian: "fio",
        fedora: "fio",
        arch: "fio",
    },
    Need {
        name: "strace",
        purpose: "tests of the data path",
        place: Place::Program("strace"),
        debian: "strace",
        fedora: "strace",
        arch: "strace",
    },
    Need {
        name: "mkfs.ext4",
        purpose: "tests of file systems",
        place: Place::Program("mkfs.ext4"),
        debian: "e2fsprogs",
        fedora: "e2fsprogs",
        arch: "e2fsprogs",
    },
    Need {
        name: "mkfs.xfs",
        purpose: "tests of file systems",
        place: Place::Program("mkfs.xfs"),
        debian: "xfsprogs",
        fedora: "xfsprogs",
        arch: "xfsprogs",
    },
    Need {
        name: "btrfs",
        purpose: "tests of file systems",
        place: Place::Program("btrfs"),
        debian: "btrfs-progs",
        fedora: "btrfs-progs",
        arch: "btrfs-progs",
    },
    Need {
        name: "mdadm",
        purpose: "tests of mirrors",
        place: Place::Program("mdadm"),
        debian: "mdadm",
        fedora: "mdadm",
        arch: "mdadm",
    },
    Need {
        name: "python3",
        purpose: "tests of reports",
        place: Place::Program("python3"),
        debian: "python3",
        fedora: "python3",
        arch: "python",
    },
    Need {
        name: "libclang",
        purpose: "building libublk",
        place: Place::Libclang,
        debian: "libclang-dev",
        fedora: "clang-devel",
        arch: "clang",
    },
    Need {
        name: "a C compiler",
        purpose: "linking",
        place: Place::Program("cc"),
        debian: "gcc libc6-dev",
        fedora: "gcc glibc-devel",
        arch: "gcc glibc",
    },
    Need {
        name: "linux/blkzoned.h",
        purpose: "building libublk",
        place: Place::File(&["/usr/include/linux/blkzoned.h"]),
        debian: "linux-libc-dev",
        fedora: "kernel-headers",
        arch: "linux-api-headers",
    },
];

/// What only `cargo xtask ci` needs: large, and of no use to who wants to see bvecd.
pub(super) const CI_NEEDS: &[Need] = &[
    Need {
        name: "chromium",
        purpose: "the check of report pages",
        place: Place::AnyProgram(&["chromium", "chromium-browser", "google-chrome"]),
        debian: "chromium",
        fedora: "chromium",
        arch: "chromium",
    },
    Need {
        name: "promtool",
        purpose: "the check of metrics",
        place: Place::Unpacked(PROMTOOL),
        debian: "prometheus",
        fedora: "golang-github-prometheus",
        arch: "prometheus",
    },
];

/// Its package starts a server when it is installed.
const PROMTOOL: Unpacked = Unpacked {
    program: "promtool",
    package: "prometheus",
};

/// promtool, where there is one.
pub(crate) fn promtool() -> Option<PathBuf> {
    found(PROMTOOL)
}

fn found(unpacked: Unpacked) -> Option<PathBuf> {
    let mut paths = search_path()
        .map(|dir| dir.join(unpacked.program))
        .chain(unpacked.path());
    paths.find(|path| path.is_file())
}

impl Need {
    /// Looks for it.
    pub(super) fn is_there(&self) -> bool {
        match self.place {
            Place::Program(name) => search_path().any(|dir| dir.join(name).is_file()),
            Place::AnyProgram(names) => names
                .iter()
                .any(|name| search_path().any(|dir| dir.join(name).is_file())),
            Place::File(paths) => paths.iter().any(|path| Path::new(path).is_file()),
            Place::Libclang => library_directories().iter().any(|dir| has_libclang(dir)),
            Place::Unpacked(unpacked) => found(unpacked).is_some(),
        }
    }

    /// What is taken out of its package instead of installed.
    pub(super) const fn unpacked(&self) -> Option<Unpacked> {
        match self.place {
            Place::Unpacked(unpacked) => Some(unpacked),
            _ => None,
        }
    }
}

/// The search path, and the system directories that an ordinary user's path leaves out.
fn search_path() -> impl Iterator<Item = PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut dirs: Vec<_> = env::split_paths(&path).collect();
    dirs.extend(["/usr/sbin", "/sbin"].map(PathBuf::from));
    dirs.into_iter()
}

/// Where clang-sys, which bindgen uses, looks for the library.
fn library_directories() -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> = env::var_os("LIBCLANG_PATH")
        .map(PathBuf::from)
        .into_iter()
        .collect();
    dirs.extend(
        [
            "/usr/lib",
            "/usr/lib64",
            "/usr/local/lib",
            "/usr/lib/x86_64-linux-gnu",
        ]
        .map(PathBuf::from),
    );
    let versions = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    dirs.extend(
        versions
            .filter(|entry| entry.file_name().to_string_lossy().starts_with("llvm"))
            .map(|entry| entry.path().join("lib")),
    );
    dirs
}

fn has_libclang(dir: &Path) -> bool {
    fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .any(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            // libclang-14.so.1 is the one; libclang-cpp.so.14 has another interface.
            name.starts_with("libclang.so")
                || name.strip_prefix("libclang-").is_some_and(|rest| {
                    rest.starts_with(|c: char| c.is_ascii_digit()) && rest.contains(".so")
                })
        })
}

/// Distributions that share package names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// Debian, Ubuntu and what is derived from them: the one we install on.
    Debian,
    /// Any other.
    Other,
}

impl Family {
    /// Reads os-release(5).
    pub(super) fn of(os_release: &str) -> Option<Self> {
        let mut ids = os_release
            .lines()
            .filter_map(|line| {
                line.strip_prefix("ID=")
                    .or_else(|| line.strip_prefix("ID_LIKE="))
            })
            .flat_map(|value| value.trim_matches('"').split(' '))
            .peekable();
        ids.peek()?;
        let debian = ids.any(|id| id == "debian" || id == "ubuntu");
        Some(if debian { Self::Debian } else { Self::Other })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_told() {
        assert_eq!(Family::of("NAME=x\nID=debian\n"), Some(Family::Debian));
        assert_eq!(
            Family::of("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"),
            Some(Family::Debian)
        );
        assert_eq!(Family::of("ID=fedora\n"), Some(Family::Other));
        assert_eq!(Family::of(""), None);
    }

    #[test]
    fn libclang_is_told_by_its_name() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!has_libclang(dir.path()));
        fs::write(dir.path().join("libclang-cpp.so.14"), "").unwrap();
        assert!(!has_libclang(dir.path()));
        fs::write(dir.path().join("libclang-14.so.1"), "").unwrap();
        assert!(has_libclang(dir.path()));
    }

    #[test]
    fn what_no_machine_has_is_missing() {
        let need = |place| Need {
            name: "",
            purpose: "",
            place,
            debian: "",
            fedora: "",
            arch: "",
        };
        assert!(!need(Place::Program("no-such-program-anywhere")).is_there());
        assert!(!need(Place::File(&["/no/such/file"])).is_there());
        assert!(need(Place::File(&["/no/such/file", "/proc/self/stat"])).is_there());
    }
}
