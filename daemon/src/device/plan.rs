//! What a configuration means: the driver's parameters, the target, the data path. Everything that
//! can be refused is refused here, before the driver hears of it.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use api::{DataPath, DeviceConfig, Driver, Recovery, TargetConfig, Transport};
use ublk::control::AddDevice;
use ublk::memory::SharedMemory;
use ublk::{DataPathKind, Features, Params, TransportKind};

use super::{DeviceError, geometry, protection, unprivileged};
use crate::backing::{Backing, Mode};
use crate::integrity::{Integrity, TagStore};
use crate::kept_memory::KeptMemory;
use crate::target::{LoopFile, Null, Ram, Target, Zeroing};
use crate::watch::Watch;

/// A configuration, understood.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) add: AddDevice,
    pub(super) params: Params,
    pub(super) data_path: DataPathKind,
    pub(super) transport: TransportKind,
    pub(super) source: Source,
    /// Where protection information is kept; none on devices without.
    pub(super) tags: Option<Arc<TagStore>>,
    /// Whether clients' memory is watched while they write.
    stability_watch: bool,
}

/// What the queues' targets are made from.
#[derive(Debug, Clone)]
pub(super) enum Source {
    Loop(Arc<Backing>),
    Ram(RamSource),
    Null,
}

/// What the targets of a `ram` device are made from.
#[derive(Debug, Clone)]
pub(super) struct RamSource {
    pub(super) memory: Arc<SharedMemory>,
    pub(super) file: Arc<OwnedFd>,
    /// Set where the memory outlives the daemon.
    pub(super) kept: Option<Arc<KeptMemory>>,
}

impl Source {
    /// A target for one queue.
    pub(super) fn target(&self, depth: u16) -> Target {
        match self {
            Self::Loop(backing) => Target::Loop(LoopFile::new(backing.zeroing)),
            Self::Ram(ram) => Target::Ram(Ram::new(Arc::clone(&ram.memory), ram.zeroing())),
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
            Self::Ram(ram) => Some(Arc::clone(&ram.file)),
            Self::Null => None,
        }
    }
}

impl RamSource {
    /// Memory that goes with the daemon.
    fn own(size_bytes: u64) -> io::Result<Self> {
        let memory = Arc::new(SharedMemory::new(size_bytes)?);
        let file = Arc::new(memory.file().try_clone_to_owned()?);
        Ok(Self {
            memory,
            file,
            kept: None,
        })
    }

    fn of(kept: Arc<KeptMemory>, file: OwnedFd, size_bytes: u64) -> io::Result<Self> {
        Ok(Self {
            file: Arc::new(file.try_clone()?),
            memory: Arc::new(SharedMemory::of_file(file, size_bytes)?),
            kept: Some(kept),
        })
    }

    /// Pages of kept memory are never given back: they might not be had again.
    fn zeroing(&self) -> Zeroing {
        match self.kept {
            Some(_) => crate::target::KEPT_RAM_ZEROING,
            None => crate::target::RAM_ZEROING,
        }
    }

    /// The same memory and more.
    pub(super) fn grown(&self, size_bytes: u64) -> Result<Self, DeviceError> {
        match &self.kept {
            Some(kept) => kept.allocate(&self.file, size_bytes)?,
            None => {
                let len = i64::try_from(size_bytes).unwrap_or(i64::MAX);
                nix::unistd::ftruncate(&self.file, len).map_err(|errno| no_memory(errno.into()))?;
            }
        }
        let file = self.file.try_clone().map_err(no_memory)?;
        let memory = SharedMemory::of_file(file, size_bytes).map_err(no_memory)?;
        Ok(Self {
            memory: Arc::new(memory),
            ..self.clone()
        })
    }
}

fn no_memory(source: io::Error) -> DeviceError {
    DeviceError::System {
        what: "allocate the memory",
        source,
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
    /// For a device that is to be made, or, if it has `memory` already, for one that is taken over.
    pub(super) fn make(
        config: &DeviceConfig,
        offered: Features,
        memory: Option<&Path>,
    ) -> Result<Self, DeviceError> {
        let transport = match config.transport {
            Transport::PerIo => TransportKind::PerIo,
            Transport::Batch => TransportKind::Batch,
        };
        offered.require(transport.features())?;
        let offered = unprivileged::features_left(config, offered)?;
        let data_path = choose_data_path(protection::data_path(config)?, offered)?;
        offered.require(protection::features(config))?;
        can_watch(config, data_path)?;
        let recovery = recovery_features(config, offered)?;
        let medium = Medium::open(config, memory)?;
        let mut params = geometry::params(config, &medium, data_path)?;
        if config.driver == Driver::Nbd {
            // It has one block.
            params.physical_block = params.logical_block;
        }
        let tags = protection::open(config, &params)?;
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
            flags: data_path.features()
                | transport.features()
                | protection::features(config)
                | quiet_start
                | recovery
                | owner,
        };
        Ok(Self {
            add,
            params,
            data_path,
            transport,
            source: medium.source,
            tags,
            stability_watch: config.stability_watch,
        })
    }
}

impl Plan {
    /// What one queue checks protection information with; none on devices without.
    pub(super) fn integrity(&self, max_io_bytes: u32) -> Option<Integrity> {
        let tags = Arc::clone(self.tags.as_ref()?);
        let block = self.params.logical_block.bytes();
        Some(Integrity::new(tags, block, max_io_bytes))
    }
}

impl Plan {
    /// What one queue watches clients' memory with, if it is to.
    pub(super) fn watch(
        &self,
        depth: u16,
        max_io_bytes: u32,
    ) -> Result<Option<Watch>, DeviceError> {
        if !self.stability_watch {
            return Ok(None);
        }
        Watch::new(depth, max_io_bytes).map(Some).map_err(no_memory)
    }
}

impl Medium {
    fn open(config: &DeviceConfig, memory: Option<&Path>) -> Result<Self, DeviceError> {
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
                let ram = open_memory(config.recovery, *size_bytes, memory)?;
                let zeroing = ram.zeroing();
                Ok(Self::of_memory(Source::Ram(ram), *size_bytes, zeroing))
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

/// Memory that outlives the daemon where the device does.
fn open_memory(
    recovery: Recovery,
    size_bytes: u64,
    left: Option<&Path>,
) -> Result<RamSource, DeviceError> {
    if !recovery.outlives_daemon() {
        return RamSource::own(size_bytes).map_err(no_memory);
    }
    let (kept, file) = match left {
        Some(path) => KeptMemory::open(path, size_bytes)?,
        None => KeptMemory::create(size_bytes)?,
    };
    RamSource::of(Arc::new(kept), file, size_bytes).map_err(no_memory)
}

/// The driver's flags for what is to become of the device without a daemon, and for a change of daemon
/// where the kernel has it.
fn recovery_features(config: &DeviceConfig, offered: Features) -> Result<Features, DeviceError> {
    let reason = if !config.recovery.outlives_daemon() {
        None
    } else if config.unprivileged {
        // The driver would drop the flags, silently (`ublk_ctrl_add_dev`).
        Some("an unprivileged device has no recovery but `fail`")
    } else if config.data_path == DataPath::SharedMemory {
        // The driver would go on to name buffers that the next daemon does not have.
        Some(
            "the memory that clients share goes with the daemon, so such a device has no recovery but `fail`",
        )
    } else {
        None
    };
    if let Some(reason) = reason {
        let (field, reason) = ("/recovery", reason.into());
        return Err(DeviceError::Config { field, reason });
    }
    let needed = match config.recovery {
        Recovery::Fail => return Ok(Features::empty()),
        Recovery::Queue => Features::USER_RECOVERY,
        Recovery::Reissue => Features::USER_RECOVERY | Features::USER_RECOVERY_REISSUE,
        Recovery::FailIo => Features::USER_RECOVERY | Features::USER_RECOVERY_FAIL_IO,
    };
    offered.require(needed)?;
    Ok(needed | (offered & Features::QUIESCE))
}

/// Whether clients' memory can be watched on this data path, if it is to be.
fn can_watch(config: &DeviceConfig, data_path: DataPathKind) -> Result<(), DeviceError> {
    if !config.stability_watch || data_path.sees_later_changes() {
        return Ok(());
    }
    Err(DeviceError::Config {
        field: "/stability_watch",
        reason: "on data path copy the driver has copied a write's data when the request arrives, and nobody \
                 sees what becomes of the client's memory; any other data path can be watched"
            .into(),
    })
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
