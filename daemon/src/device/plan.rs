//! What a configuration means: the driver's parameters, the target, the data path. Everything that
//! can be refused is refused here, before the driver hears of it.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use api::{DataPath, DeviceConfig, TargetConfig, Transport};
use ublk::control::AddDevice;
use ublk::memory::SharedMemory;
use ublk::params::BlockShift;
use ublk::{DataPathKind, Features, Params};

use super::DeviceError;
use crate::backing::{Backing, Mode};
use crate::target::{LoopFile, Null, Ram, Target, Zeroing};

/// A configuration, understood.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) add: AddDevice,
    pub(super) params: Params,
    pub(super) data_path: DataPathKind,
    pub(super) source: Source,
}

/// What the queues' targets are made from.
#[derive(Debug, Clone)]
pub(super) enum Source {
    Loop(Arc<Backing>),
    Ram(Arc<SharedMemory>, Arc<OwnedFd>),
    Null,
}

impl Source {
    /// A target for one queue.
    pub(super) fn target(&self, depth: u16) -> Target {
        match self {
            Self::Loop(backing) => Target::Loop(LoopFile::new(backing.zeroing)),
            Self::Ram(memory, _) => Target::Ram(Ram::new(Arc::clone(memory))),
            Self::Null => Target::Null(Null::new(depth)),
        }
    }

    /// The file that the queues register, if the target has one.
    pub(super) fn file(&self) -> Option<Arc<OwnedFd>> {
        match self {
            Self::Loop(backing) => Some(Arc::clone(&backing.file)),
            Self::Ram(_, file) => Some(Arc::clone(file)),
            Self::Null => None,
        }
    }
}

/// What a target brings along.
struct Medium {
    source: Source,
    size_bytes: u64,
    logical_block_bytes: u32,
    physical_block_bytes: u32,
    zeroing: Zeroing,
    volatile_cache: bool,
    /// Set where client memory must be aligned more strictly than the driver's default.
    memory_alignment_mask: Option<u32>,
}

impl Plan {
    pub(super) fn make(config: &DeviceConfig, offered: Features) -> Result<Self, DeviceError> {
        if config.transport != Transport::PerIo {
            return Err(unsupported("/transport", "this release serves per-io only"));
        }
        let data_path = choose_data_path(config.data_path, offered)?;
        let medium = Medium::open(config)?;
        let logical = block(
            config.logical_block_bytes,
            medium.logical_block_bytes,
            "/logical_block_bytes",
        )?;
        let wish = medium.physical_block_bytes.max(logical.bytes());
        let physical = block(config.physical_block_bytes, wish, "/physical_block_bytes")?;
        if physical.bytes() < logical.bytes() {
            let reason = format!(
                "{} is less than the logical block of {}",
                physical.bytes(),
                logical.bytes()
            );
            return Err(DeviceError::Config {
                field: "/physical_block_bytes",
                reason,
            });
        }
        let sectors =
            (medium.size_bytes / u64::from(logical.bytes())) * u64::from(logical.bytes() >> 9);
        let params = Params {
            device_sectors: sectors,
            logical_block: logical,
            physical_block: physical,
            max_io_bytes: config.max_io_bytes,
            read_only: config.read_only,
            volatile_cache: medium.volatile_cache,
            discard_granularity_bytes: medium.zeroing.can_discard().then_some(physical.bytes()),
            write_zeroes: medium.zeroing.can_write_zeroes(),
            dma_alignment_mask: medium
                .memory_alignment_mask
                .filter(|_| data_path.reaches_client_pages()),
        };
        // A scan would let the kernel's own probing use up one-shot faults.
        let quiet_start = offered & Features::NO_AUTO_PART_SCAN;
        let add = AddDevice {
            id: config.id,
            queues: config.queues,
            depth: config.depth,
            max_io_bytes: config.max_io_bytes,
            flags: data_path.features() | quiet_start,
        };
        Ok(Self {
            add,
            params,
            data_path,
            source: medium.source,
        })
    }
}

impl Medium {
    fn open(config: &DeviceConfig) -> Result<Self, DeviceError> {
        match &config.target {
            TargetConfig::Loop { file, direct } => {
                let read_only = config.read_only;
                let backing = Backing::open(
                    file,
                    Mode {
                        direct: *direct,
                        read_only,
                    },
                )?;
                Ok(Self {
                    size_bytes: backing.size_bytes,
                    logical_block_bytes: backing.logical_block_bytes,
                    physical_block_bytes: backing.physical_block_bytes,
                    zeroing: backing.zeroing,
                    volatile_cache: !read_only,
                    memory_alignment_mask: direct.then_some(backing.memory_alignment_mask),
                    source: Source::Loop(Arc::new(backing)),
                })
            }
            TargetConfig::Ram { size_bytes } => {
                let failed = |source| DeviceError::System {
                    what: "allocate the memory",
                    source,
                };
                let memory = Arc::new(SharedMemory::new(*size_bytes).map_err(failed)?);
                let file = memory.file().as_fd().try_clone_to_owned().map_err(failed)?;
                let source = Source::Ram(memory, Arc::new(file));
                Ok(Self::of_memory(
                    source,
                    *size_bytes,
                    crate::target::RAM_ZEROING,
                ))
            }
            TargetConfig::Null { size_bytes } => Ok(Self::of_memory(
                Source::Null,
                *size_bytes,
                crate::target::NULL_ZEROING,
            )),
        }
    }

    fn of_memory(source: Source, size_bytes: u64, zeroing: Zeroing) -> Self {
        Self {
            source,
            size_bytes,
            logical_block_bytes: 512,
            physical_block_bytes: 4096,
            zeroing,
            volatile_cache: false,
            memory_alignment_mask: None,
        }
    }
}

fn choose_data_path(wanted: DataPath, offered: Features) -> Result<DataPathKind, DeviceError> {
    let kind = match wanted {
        DataPath::Copy => DataPathKind::Copy,
        DataPath::UserCopy => DataPathKind::UserCopy,
        DataPath::AutoZeroCopy => DataPathKind::AutoZeroCopy,
        DataPath::Auto if offered.contains(Features::AUTO_BUF_REG) => DataPathKind::AutoZeroCopy,
        DataPath::Auto => DataPathKind::Copy,
        DataPath::ZeroCopy | DataPath::SharedMemory => {
            let reason = "this release serves copy, user-copy, auto-zero-copy and auto";
            return Err(unsupported("/data_path", reason));
        }
    };
    offered.require(kind.features())?;
    Ok(kind)
}

/// A block size: what was asked for, if it is possible, else the medium's.
fn block(asked: Option<u32>, medium: u32, field: &'static str) -> Result<BlockShift, DeviceError> {
    let bytes = asked.unwrap_or(medium);
    let reason = format!(
        "{bytes} is not possible here; a power of two from {} to 4096 is needed",
        if field == "/logical_block_bytes" {
            medium
        } else {
            512
        }
    );
    let possible = bytes <= 4096 && (field != "/logical_block_bytes" || bytes >= medium);
    BlockShift::from_bytes(bytes)
        .filter(|_| possible)
        .ok_or(DeviceError::Config { field, reason })
}

fn unsupported(field: &'static str, reason: &str) -> DeviceError {
    DeviceError::Unsupported {
        field,
        reason: reason.into(),
    }
}
