//! Which frames the page cache takes, by the tracepoint `filemap:mm_filemap_add_to_page_cache`.
//!
//! A buffered read adds its folios before the request reaches the device
//! (`filemap_add_folio` in `mm/filemap.c`), so that their frames are known while it is held, long
//! before any process maps them. The trace has an instance of its own in tracefs, which other
//! tracers neither see nor disturb, and which goes when the value is dropped. One that a killed
//! process left is removed by the next.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::need::{self, Needs};
use crate::{PagesError, Result, Roots};

const EVENT: &str = "events/filemap/mm_filemap_add_to_page_cache";
/// `O_NONBLOCK` of x86-64 (include/uapi/asm-generic/fcntl.h).
const O_NONBLOCK: i32 = 0o4000;
const PREFIX: &str = "bvec-pages-";

const NEEDS: Needs = Needs {
    config: "CONFIG_FTRACE, CONFIG_EVENT_TRACING and tracefs mounted at /sys/kernel/tracing",
    right: "root (the rights of the tracefs mount) and a lockdown below \"confidentiality\"",
    capability: Some(need::SYS_ADMIN),
    confidential: true,
};

/// A folio that came into the page cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Added {
    /// Major and minor number of the file's file system; of a block device that of the internal
    /// file system of such, not its own.
    pub device: (u32, u32),
    /// Inode number. Of a block device its number, major << 20 | minor (`bdev_add` in
    /// `block/bdev.c`).
    pub inode: u64,
    /// The first frame.
    pub pfn: u64,
    /// Where in the file the folio begins, in bytes.
    pub offset_bytes: u64,
    /// log2 of its number of pages; 0 before 6.0, which does not tell.
    pub order: u8,
}

/// A running trace.
#[derive(Debug)]
pub struct PageCacheTrace {
    roots: Roots,
    instance: PathBuf,
    /// `trace_pipe`, once tracing has begun: reading it takes the entries out, so that none is lost
    /// between two looks.
    pipe: Option<File>,
    /// The beginning of a line whose end was not there yet.
    rest: String,
}

impl PageCacheTrace {
    /// Begins to trace.
    ///
    /// # Errors
    /// [`PagesError::Absent`] and [`PagesError::NotAllowed`] by name, [`PagesError::Io`].
    pub fn start(roots: &Roots) -> Result<Self> {
        check(roots)?;
        let instances = roots.tracefs().join("instances");
        remove_left_behind(roots, &instances);
        let instance = (0..)
            .map(|number| instances.join(format!("{PREFIX}{}-{number}", std::process::id())))
            .find(|path| !path.exists())
            .unwrap_or(instances);
        fs::create_dir(&instance).map_err(|source| denied(roots, &instance, source))?;
        let mut trace = Self {
            roots: roots.clone(),
            instance,
            pipe: None,
            rest: String::new(),
        };
        let path = trace.instance.join("trace_pipe");
        let pipe = File::options()
            .read(true)
            .custom_flags(O_NONBLOCK)
            .open(&path)
            .map_err(|source| denied(roots, &path, source))?;
        trace.pipe = Some(pipe);
        trace.write(&format!("{EVENT}/enable"), "1")?;
        Ok(trace)
    }

    /// What was added since the start or the last call. Entries that the ring buffer lost (1.4 MiB a
    /// CPU) are not told.
    ///
    /// # Errors
    /// [`PagesError::Io`], [`PagesError::Malformed`] for a line that is not understood.
    pub fn added(&mut self) -> Result<Vec<Added>> {
        let path = self.instance.join("trace_pipe");
        let mut bytes = Vec::new();
        if let Some(pipe) = &mut self.pipe {
            match pipe.read_to_end(&mut bytes) {
                Ok(_) => {}
                // All of it has been read.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(source) => return Err(denied(&self.roots, &path, source)),
            }
        }
        self.rest.push_str(&String::from_utf8_lossy(&bytes));
        let whole = self.rest.rfind('\n').map_or(0, |end| end + 1);
        let text: String = self.rest.drain(..whole).collect();
        text.lines()
            .filter_map(|line| line.split_once("mm_filemap_add_to_page_cache:"))
            .map(|(_, fields)| {
                parse(fields).ok_or_else(|| PagesError::Malformed {
                    path: path.clone(),
                    detail: format!(
                        "found `{}`, should have dev, ino, pfn and ofs",
                        fields.trim()
                    ),
                })
            })
            .collect()
    }

    fn write(&self, file: &str, text: &str) -> Result<()> {
        let path = self.instance.join(file);
        fs::write(&path, text).map_err(|source| denied(&self.roots, &path, source))
    }
}

impl Drop for PageCacheTrace {
    fn drop(&mut self) {
        // An instance with an open file cannot be removed.
        self.pipe = None;
        let _ = self.write(&format!("{EVENT}/enable"), "0");
        let _ = fs::remove_dir(&self.instance);
    }
}

/// Whether the tracepoint can be used.
pub(crate) fn check(roots: &Roots) -> Result<()> {
    let path = roots.tracefs().join(EVENT).join("enable");
    let tried = File::options().write(true).open(&path);
    tried
        .map(drop)
        .map_err(|source| denied(roots, &path, source))
}

/// Sorts an error. A locked-down kernel leaves tracefs empty (`tracefs_create_file`), so that files which
/// it would refuse are absent.
fn denied(roots: &Roots, path: &Path, source: io::Error) -> PagesError {
    let locked = need::lockdown(roots).is_some_and(|mode| mode == "confidentiality");
    if locked && source.kind() == io::ErrorKind::NotFound {
        return PagesError::NotAllowed {
            path: path.to_owned(),
            needs: NEEDS.right,
            because: "the kernel is locked down (confidentiality), which leaves tracefs empty"
                .to_owned(),
        };
    }
    NEEDS.error(roots, path, source)
}

/// Removes instances whose process is gone.
fn remove_left_behind(roots: &Roots, instances: &Path) {
    let entries = fs::read_dir(instances).into_iter().flatten().flatten();
    for entry in entries {
        let name = entry.file_name();
        let pid = name
            .to_str()
            .and_then(|name| name.strip_prefix(PREFIX))
            .and_then(|rest| rest.split('-').next());
        if pid.is_some_and(|pid| gone(roots, pid)) {
            // Tracing ends with the instance.
            let _ = fs::remove_dir(entry.path());
        }
    }
}

fn gone(roots: &Roots, pid: &str) -> bool {
    pid.parse::<u32>().is_ok()
        && fs::metadata(roots.proc.join(pid))
            .is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// `dev 0:6 ino 10300000 pfn=0x1a2b ofs=4096 order=0`, with `page=PTR` before `pfn` until 6.0
/// (`include/trace/events/filemap.h`).
fn parse(fields: &str) -> Option<Added> {
    let (mut device, mut inode, mut pfn, mut offset, mut order) = (None, None, None, None, 0);
    let mut words = fields.split_ascii_whitespace();
    while let Some(word) = words.next() {
        match word.split_once('=') {
            Some(("pfn", value)) => {
                pfn = u64::from_str_radix(value.trim_start_matches("0x"), 16).ok();
            }
            Some(("ofs", value)) => offset = value.parse().ok(),
            Some(("order", value)) => order = value.parse().ok()?,
            Some(_) => {}
            None if word == "dev" => {
                let (major, minor) = words.next()?.split_once(':')?;
                device = Some((major.parse().ok()?, minor.parse().ok()?));
            }
            None if word == "ino" => inode = u64::from_str_radix(words.next()?, 16).ok(),
            None => {}
        }
    }
    Some(Added {
        device: device?,
        inode: inode?,
        pfn: pfn?,
        offset_bytes: offset?,
        order,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::Machine;

    #[test]
    fn lines_of_old_and_new_kernels_are_read() {
        let expected = Added {
            device: (0, 6),
            inode: 0x1030_0000,
            pfn: 0x1a2b,
            offset_bytes: 8192,
            order: 0,
        };
        let old = " dev 0:6 ino 10300000 page=00000000e6d2d9f4 pfn=0x1a2b ofs=8192";
        assert_eq!(parse(old).as_ref(), Some(&expected));
        let new = " dev 0:6 ino 10300000 pfn=0x1a2b ofs=8192 order=4";
        let expected = Added {
            order: 4,
            ..expected
        };
        assert_eq!(parse(new), Some(expected));
        for bad in ["", "dev 0:6 ino 1 ofs=0", "dev 0 ino 1 pfn=0x1 ofs=0"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_kernel_without_tracing_is_named() {
        let machine = Machine::empty();
        let error = PageCacheTrace::start(machine.roots()).unwrap_err();
        assert!(
            matches!(error, PagesError::Absent { needs, .. } if needs.contains("tracefs")),
            "{error}"
        );
    }

    #[test]
    fn an_empty_tracefs_is_not_mistaken_for_an_old_kernel() {
        let machine = Machine::empty();
        fs::write(
            machine.roots().proc.join("cmdline"),
            "lockdown=confidentiality\n",
        )
        .unwrap();
        let error = PageCacheTrace::start(machine.roots()).unwrap_err();
        assert!(error.to_string().contains("locked down"), "{error}");
    }

    #[test]
    fn what_the_dead_left_is_removed_and_what_the_living_have_is_not() {
        let machine = Machine::empty();
        let roots = machine.roots();
        let instances = roots.tracefs().join("instances");
        for name in ["bvec-pages-41-0", "bvec-pages-42-0", "mine", "bvec-pages-x"] {
            fs::create_dir_all(instances.join(name)).unwrap();
        }
        fs::create_dir(roots.proc.join("42")).unwrap();
        remove_left_behind(roots, &instances);
        let mut left: Vec<_> = fs::read_dir(&instances)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        left.sort();
        assert_eq!(left, ["bvec-pages-42-0", "bvec-pages-x", "mine"]);
    }
}
