//! Memory that fio and a device share, for the data path `shared-memory`.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::PathBuf;

use api::{BufferConfig, Device, SharedMemoryStats, call};
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

use super::device::Stage;
use crate::error::io_error;
use crate::record::Cell;
use crate::{BenchError, Result};

/// What fio takes beside its buffers, to align them (`init_thread_data` in `backend.c`), and more.
const SLACK_BYTES: u64 = 1 << 20;

/// A memfd that is registered with a device; the device's end gives it back.
#[derive(Debug)]
pub(super) struct SharedMemory {
    file: File,
    device: u32,
    before: SharedMemoryStats,
}

impl SharedMemory {
    /// As much as a job of this cell has in flight.
    pub(super) fn of(stage: &Stage, device: &Device, cell: &Cell) -> Result<Self> {
        let failed = |error: nix::Error| io_error("make memory to share")(error.into());
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        let file = File::from(memfd_create(c"fio", flags).map_err(failed)?);
        let bytes = cell.block_size_bytes * u64::from(cell.depth) + SLACK_BYTES;
        file.set_len(bytes.next_multiple_of(SLACK_BYTES))
            .map_err(io_error("make memory to share"))?;
        // bvecd touches only what cannot be cut short.
        fcntl(&file, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_SHRINK)).map_err(failed)?;
        let sent = file.try_clone().map_err(io_error("share memory"))?;
        let call = call::add_buffer(device.id, &BufferConfig::default()).with_file(sent);
        stage.ask("share memory with the device", call)?;
        let mut shared = Self {
            file,
            device: device.id,
            before: SharedMemoryStats {
                shared: 0,
                copied: 0,
            },
        };
        shared.before = shared.counted(stage)?;
        Ok(shared)
    }

    /// Where fio finds it: a memfd has no other name.
    pub(super) fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd()).into()
    }

    /// Requests that were served from it since it is there, and those that were copied.
    pub(super) fn since(&self, stage: &Stage) -> Result<SharedMemoryStats> {
        let now = self.counted(stage)?;
        Ok(SharedMemoryStats {
            shared: now.shared.saturating_sub(self.before.shared),
            copied: now.copied.saturating_sub(self.before.copied),
        })
    }

    fn counted(&self, stage: &Stage) -> Result<SharedMemoryStats> {
        let stats = stage.ask("count requests in shared memory", call::stats(self.device))?;
        stats
            .shared_memory
            .ok_or_else(|| BenchError::Peer("the device counts no shared memory".to_owned()))
    }
}
