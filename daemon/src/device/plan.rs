//! What a configuration means: the driver's parameters, the target, the data path. Everything that
//! can be refused is refused here, before the driver hears of it.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use api::{DataPath, DeviceConfig, TargetConfig, Transport};
use ublk::control::AddDevice;
use ublk::memory::SharedMemory;
use ublk::{DataPathKind, Features, Params, TransportKind};

use super::{DeviceError, geometry, unprivileged};
use crate::backing::{Backing, Mode};
use crate::target::{LoopFile, Null, Ram, Target, Zeroing};

/// A configuration, understood.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) add: AddDevice,
    pub(super) params: Params,
    pub(super) data_path: DataPathKind,
    pub(super) transport: TransportKind,
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

    /// Whether that file is in memory, so that using it waits for no device.
    pub(super) fn is_in_memory(&self) -> bool {
        match self {
            Self::Loop(backing) => backing.in_memory,
            Self::Ram(..) => true,
            Self::Null => false,
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
pub(super) struct Medium {
    source: Source,
    pub(super) size_bytes: u64,
    pub(super) logical_block_bytes: u32,
    pub(super) physical_block_bytes: u32,
    pub(super) zeroing: Zeroing,
    pub(super) discard_granularity_bytes: u32,
    pub(super) volatile_cache: bool,
    /// What memory must be aligned to, where the medium cares.
    pub(super) memory_alignment_bytes: Option<u32>,
}

impl Plan {
    pub(super) fn make(config: &DeviceConfig, offered: Features) -> Result<Self, DeviceError> {
        let transport = match config.transport {
            Transport::PerIo => TransportKind::PerIo,
            Transport::Batch => TransportKind::Batch,
        };
        offered.require(transport.features())?;
        let offered = unprivileged::features_left(config, offered)?;
        let data_path = choose_data_path(config.data_path, offered)?;
        let medium = Medium::open(config)?;
        let params = geometry::params(config, &medium, data_path)?;
        // A scan would let the kernel's own probing use up one-shot faults.
        let quiet_start = offered & Features::NO_AUTO_PART_SCAN;
        let owner = match config.unprivileged {
            true => Features::UNPRIVILEGED_DEV,
            false => Features::empty(),
        };
        let add = AddDevice {
            id: config.id,
            queues: config.queues,
            depth: config.depth,
            max_io_bytes: config.max_io_bytes,
            flags: data_path.features() | transport.features() | quiet_start | owner,
        };
        Ok(Self {
            add,
            params,
            data_path,
            transport,
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
                    discard_granularity_bytes: backing.discard_granularity_bytes,
                    volatile_cache: backing.volatile_cache,
                    memory_alignment_bytes: direct.then_some(backing.memory_alignment_bytes),
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
            discard_granularity_bytes: 4096,
            volatile_cache: false,
            memory_alignment_bytes: None,
        }
    }
}

fn choose_data_path(wanted: DataPath, offered: Features) -> Result<DataPathKind, DeviceError> {
    let kind = match wanted {
        DataPath::Copy => DataPathKind::Copy,
        DataPath::UserCopy => DataPathKind::UserCopy,
        DataPath::ZeroCopy => DataPathKind::ZeroCopy,
        DataPath::AutoZeroCopy => DataPathKind::AutoZeroCopy,
        DataPath::Auto if offered.contains(DataPathKind::AutoZeroCopy.features()) => {
            DataPathKind::AutoZeroCopy
        }
        DataPath::Auto => DataPathKind::Copy,
        DataPath::SharedMemory => DataPathKind::SharedMemory,
    };
    offered.require(kind.features())?;
    Ok(kind)
}
