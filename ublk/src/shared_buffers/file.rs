//! Which files can be shared buffers, and what is wrong with those that cannot.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

use nix::fcntl::{FcntlArg, OFlag, SealFlag, fcntl};
use nix::sys::statfs::{HUGETLBFS_MAGIC, TMPFS_MAGIC, fstatfs};
use nix::unistd::{SysconfVar, sysconf};

use super::{MAX_BUFFER_BYTES, MAX_BUFFERS};
use crate::error::Error;

/// Why memory could not be registered. Each message says what would be right.
#[derive(Debug, thiserror::Error)]
pub enum BufferError {
    /// It is no memory.
    #[error(
        "{name} is not a file of memory; a memfd, or a file on tmpfs or hugetlbfs is needed, since \
         the kernel pins no other file's pages for long"
    )]
    NotMemory {
        /// What the file calls itself.
        name: String,
    },
    /// Its length cannot be registered.
    #[error(
        "{name} has {len_bytes} bytes; whole pages of {page_bytes} up to 4 GiB are needed \
         (`ftruncate` it first)"
    )]
    Length {
        /// What the file calls itself.
        name: String,
        /// Its length.
        len_bytes: u64,
        /// What a page has.
        page_bytes: u64,
    },
    /// It cannot be written through.
    #[error(
        "{name} is {why}: destination requests could not be served; register it as read-only \
         for source requests alone"
    )]
    NotWritable {
        /// What the file calls itself.
        name: String,
        /// Why.
        why: &'static str,
    },
    /// The device has as many as it may.
    #[error("the device has {MAX_BUFFERS} buffers, which is the most; remove one first")]
    TooMany,
    /// Its pages are registered with the device.
    #[error("this memory, or a part of it, is registered with the device already")]
    Registered,
    /// Its pages cannot be pinned.
    #[error("pin the pages: {source}; {hint}")]
    Pin {
        /// The driver's answer.
        source: Error,
        /// What it is likely to mean.
        hint: &'static str,
    },
    /// The driver refused for another reason.
    #[error(transparent)]
    Driver(Error),
    /// A system call failed.
    #[error("{what}: {source}")]
    System {
        /// What was attempted.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

impl BufferError {
    pub(super) fn failed(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { what, source }
    }

    /// What the driver's refusal means (`ublk_ctrl_reg_buf`).
    pub(super) fn refused(source: Error, read_only: bool) -> Self {
        match source.errno() {
            Some(libc::EEXIST) => Self::Registered,
            Some(libc::EFAULT | libc::ENOMEM) => Self::Pin {
                source,
                hint: match read_only {
                    true => "is there enough memory, and enough huge pages for a file of them?",
                    false => {
                        "is there enough memory, and enough huge pages for a file of them? memory \
                         that is sealed against writing must be registered as read-only"
                    }
                },
            },
            _ => Self::Driver(source),
        }
    }
}

/// A file that can be registered.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) name: String,
    pub(super) len_bytes: usize,
    pub(super) fixed_size: bool,
}

/// Looks at a file.
pub(super) fn inspect(file: &File, read_only: bool) -> Result<Memory, BufferError> {
    let name = name(file);
    let kind = fstatfs(file)
        .map_err(io::Error::from)
        .map_err(BufferError::failed("look at the file system"))?
        .filesystem_type();
    let metadata = file
        .metadata()
        .map_err(BufferError::failed("look at the file"))?;
    if !metadata.is_file() || ![TMPFS_MAGIC, HUGETLBFS_MAGIC].contains(&kind) {
        return Err(BufferError::NotMemory { name });
    }
    // Only memfds have seals of their own; other files of memory answer F_SEAL_SEAL, or EINVAL.
    let seals = fcntl(file.as_fd(), FcntlArg::F_GET_SEALS)
        .map_or(SealFlag::empty(), SealFlag::from_bits_truncate);
    if !read_only {
        refuse_if_not_writable(file, &name, seals)?;
    }
    let page_bytes = page_bytes();
    let len_bytes = metadata.len();
    let fits = (1..=MAX_BUFFER_BYTES).contains(&len_bytes) && len_bytes % page_bytes == 0;
    match usize::try_from(len_bytes) {
        Ok(len) if fits => Ok(Memory {
            name,
            len_bytes: len,
            fixed_size: seals.contains(SealFlag::F_SEAL_SHRINK),
        }),
        _ => Err(BufferError::Length {
            name,
            len_bytes,
            page_bytes,
        }),
    }
}

fn refuse_if_not_writable(file: &File, name: &str, seals: SealFlag) -> Result<(), BufferError> {
    let sealed = seals.intersects(SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_FUTURE_WRITE);
    let mode = fcntl(file.as_fd(), FcntlArg::F_GETFL)
        .map_err(io::Error::from)
        .map_err(BufferError::failed("ask how the file is open"))?;
    let why = match OFlag::from_bits_truncate(mode) & OFlag::O_ACCMODE {
        _ if sealed => "sealed against writing",
        OFlag::O_RDWR => return Ok(()),
        _ => "not open for reading and writing",
    };
    Err(BufferError::NotWritable {
        name: name.to_owned(),
        why,
    })
}

/// The name under which the file is listed below `/proc/self/fd`.
fn name(file: &File) -> String {
    let link = format!("/proc/self/fd/{}", file.as_raw_fd());
    std::fs::read_link(link).map_or_else(
        |_| "the file".to_owned(),
        |path| path.to_string_lossy().into_owned(),
    )
}

fn page_bytes() -> u64 {
    let asked = sysconf(SysconfVar::PAGE_SIZE).ok().flatten();
    asked
        .and_then(|bytes| u64::try_from(bytes).ok())
        .unwrap_or(4096)
}

#[cfg(test)]
mod tests {
    use nix::sys::memfd::{MFdFlags, memfd_create};

    use super::*;

    fn memfd(len: u64, seals: SealFlag) -> File {
        let file: File = memfd_create("buffer", MFdFlags::MFD_ALLOW_SEALING)
            .unwrap()
            .into();
        file.set_len(len).unwrap();
        fcntl(&file, FcntlArg::F_ADD_SEALS(seals)).unwrap();
        file
    }

    #[test]
    fn a_memfd_is_memory_and_its_seal_is_seen() {
        let open = inspect(&memfd(8192, SealFlag::empty()), false).unwrap();
        assert_eq!((open.len_bytes, open.fixed_size), (8192, false));
        assert!(open.name.contains("memfd:buffer"), "{}", open.name);
        let sealed = inspect(&memfd(4096, SealFlag::F_SEAL_SHRINK), false).unwrap();
        assert!(sealed.fixed_size);
    }

    #[test]
    fn what_cannot_be_registered_says_why() {
        for len in [0, 1, 4097, MAX_BUFFER_BYTES + 4096] {
            let error = inspect(&memfd(len, SealFlag::empty()), false).unwrap_err();
            assert!(matches!(error, BufferError::Length { .. }), "{error}");
        }
        let sealed = memfd(4096, SealFlag::F_SEAL_WRITE);
        let error = inspect(&sealed, false).unwrap_err();
        assert!(error.to_string().contains("sealed against writing"));
        assert!(inspect(&sealed, true).is_ok());
        let error = inspect(&File::open("/dev/null").unwrap(), false).unwrap_err();
        assert!(matches!(error, BufferError::NotMemory { .. }), "{error}");
    }
}
