//! A backing that must hold a larger device.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use nix::unistd::{Whence, ftruncate, lseek};

use super::Backing;

/// Why a backing does not grow.
#[derive(Debug, thiserror::Error)]
pub enum GrowError {
    /// It is a block device, whose size is not ours to change.
    #[error(
        "the backing is a block device of {has_bytes} bytes, and the device is to have {wanted_bytes}"
    )]
    BlockDevice {
        /// Its size.
        has_bytes: u64,
        /// The size that it would need.
        wanted_bytes: u64,
    },
    /// It is open for reading only.
    #[error("the backing has {has_bytes} bytes and a read-only device does not change it")]
    ReadOnly {
        /// Its size.
        has_bytes: u64,
    },
    /// The system refused.
    #[error("make the backing longer: {0}")]
    Io(#[from] io::Error),
}

/// A file that was made longer.
#[derive(Debug)]
pub struct Grown {
    file: Arc<OwnedFd>,
    before_bytes: i64,
}

impl Grown {
    /// Gives it its old length back: the device did not get larger.
    pub fn shrink_again(self) {
        if let Err(error) = ftruncate(&self.file, self.before_bytes) {
            tracing::warn!(%error, "a backing stays longer than its device");
        }
    }
}

impl Backing {
    /// Makes sure that a device of `size_bytes` fits. A file is made longer, without blocks behind its old
    /// end; it is never made shorter. Returns the file if it was.
    ///
    /// # Errors
    /// [`GrowError`]; the backing is as it was.
    pub fn grow(&self, size_bytes: u64) -> Result<Option<Grown>, GrowError> {
        let end = lseek(&self.file, 0, Whence::SeekEnd).map_err(io::Error::from)?;
        let has_bytes = u64::try_from(end).unwrap_or(0);
        if has_bytes >= size_bytes {
            return Ok(None);
        }
        if self.is_block_device()? {
            return Err(GrowError::BlockDevice {
                has_bytes,
                wanted_bytes: size_bytes,
            });
        }
        if self.read_only {
            return Err(GrowError::ReadOnly { has_bytes });
        }
        let len = i64::try_from(size_bytes).unwrap_or(i64::MAX);
        ftruncate(&self.file, len).map_err(io::Error::from)?;
        Ok(Some(Grown {
            file: Arc::clone(&self.file),
            before_bytes: end,
        }))
    }

    fn is_block_device(&self) -> io::Result<bool> {
        use std::os::unix::fs::FileTypeExt;
        let file = File::from(self.file.try_clone()?);
        Ok(file.metadata()?.file_type().is_block_device())
    }
}
