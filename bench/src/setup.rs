//! What a job runs on, and how much it may do.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::fio::Bound;
use crate::pins::Backing;
use crate::{BenchError, Job, Result};

/// How much a job may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long a job runs that does not verify.
    pub runtime: Duration,
    /// Requests instead of a time, for what is counted per request.
    pub ios: Option<u64>,
    /// Bytes that a verify job writes and reads back.
    pub verify_size_bytes: u64,
    /// When fio counts as hung, beyond `runtime`.
    pub timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            runtime: Duration::from_secs(3),
            ios: None,
            verify_size_bytes: 32 << 20,
            timeout: Duration::from_secs(120),
        }
    }
}

impl Limits {
    /// What ends `job`. A verify job is never cut short by time, it would verify nothing.
    pub(crate) fn bound(&self, job: &Job) -> Bound {
        match self.ios {
            _ if job.verifies => Bound::SizeBytes(self.verify_size_bytes),
            Some(ios) => Bound::Ios(ios),
            None => Bound::Time(self.runtime),
        }
    }
}

/// What a job runs on.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The block device, or a regular file.
    pub device: PathBuf,
    /// Its data path, for the result.
    pub data_path: String,
    /// Whether the daemon may pin pages itself.
    pub backing: Backing,
    /// The longest request that the device takes unsplit.
    pub max_io_bytes: u64,
    /// The daemon or a peer's server, whose CPU time counts; `None` for a device that the kernel serves.
    pub daemon_pid: Option<u32>,
    /// A file that fio's buffers are in, which it shares with the device.
    pub shared_memory: Option<PathBuf>,
    /// How much to do.
    pub limits: Limits,
    /// Seed of fio's random offsets.
    pub seed: u64,
}

impl Setup {
    /// For a device of bvecd.
    #[must_use]
    pub fn of_device(device: &api::Device, limits: Limits, seed: u64) -> Self {
        Self {
            device: PathBuf::from(&device.path),
            data_path: device.data_path.to_string(),
            backing: Backing::of(&device.target),
            max_io_bytes: device.max_io_bytes.into(),
            daemon_pid: Some(device.daemon_pid),
            shared_memory: None,
            limits,
            seed,
        }
    }
}

/// fio would make a missing device a regular file, and read a character device.
pub(crate) fn check_device(path: &Path) -> Result<()> {
    let bad = |detail: String| BenchError::BadDevice {
        path: path.to_owned(),
        detail,
    };
    let kind = fs::metadata(path)
        .map_err(|error| bad(format!("{error}; should be a block device")))?
        .file_type();
    if kind.is_block_device() || kind.is_file() {
        Ok(())
    } else {
        Err(bad("it is neither a block device nor a file".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verify_jobs_are_bound_by_size() {
        let verify = Job::load("verify-4k-qd32").unwrap();
        let plain = Job::load("rand-source-4k-qd1").unwrap();
        let limits = Limits {
            ios: Some(9),
            ..Limits::default()
        };
        assert_eq!(limits.bound(&verify), Bound::SizeBytes(32 << 20));
        assert_eq!(limits.bound(&plain), Bound::Ios(9));
        let timed = Limits::default().bound(&plain);
        assert_eq!(timed, Bound::Time(Duration::from_secs(3)));
    }
}
