//! The table: what a device can be made of, and each combination as a cell with a name.

use std::fmt;

use api::{DataPath, Transport};

/// What backs the device of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backing {
    /// `loop` on a file, through the page cache.
    File,
    /// `loop` on a block device with O_DIRECT; the block device is another one of ours.
    Device,
    Ram,
    Null,
}

/// One combination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) backing: Backing,
    pub(crate) path: DataPath,
    pub(crate) transport: Transport,
    pub(crate) queues: u16,
    pub(crate) block: u32,
}

const BACKINGS: [Backing; 4] = [Backing::File, Backing::Device, Backing::Ram, Backing::Null];
const PATHS: [DataPath; 5] = [
    DataPath::Copy,
    DataPath::UserCopy,
    DataPath::ZeroCopy,
    DataPath::AutoZeroCopy,
    DataPath::SharedMemory,
];
const QUEUES: [u16; 2] = [1, 4];
const BLOCKS: [u32; 2] = [512, 4096];

/// How many values each dimension has.
pub(crate) const SIZES: [usize; 5] = [
    BACKINGS.len(),
    PATHS.len(),
    Transport::ALL.len(),
    QUEUES.len(),
    BLOCKS.len(),
];

/// A combination by the index of its value in each dimension.
pub(crate) type Indexes = [usize; SIZES.len()];

impl Cell {
    pub(crate) fn of(indexes: Indexes) -> Self {
        let [backing, path, transport, queues, block] = indexes;
        Self {
            backing: BACKINGS[backing],
            path: PATHS[path],
            transport: Transport::ALL[transport],
            queues: QUEUES[queues],
            block: BLOCKS[block],
        }
    }

    /// The generation of kernels that has a cell: 1 has copies only (6.5), 2 has registered pages (6.16),
    /// 3 has everything (7.1).
    pub(crate) fn generation(self) -> u8 {
        let path = match self.path {
            DataPath::Copy | DataPath::UserCopy | DataPath::Auto => 1,
            DataPath::ZeroCopy | DataPath::AutoZeroCopy => 2,
            DataPath::SharedMemory => 3,
        };
        let transport = match self.transport {
            Transport::PerIo => 1,
            Transport::Batch => 3,
        };
        path.max(transport)
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let backing = match self.backing {
            Backing::File => "file",
            Backing::Device => "device",
            Backing::Ram => "ram",
            Backing::Null => "null",
        };
        let (path, transport) = (self.path, self.transport);
        write!(
            f,
            "{backing}.{path}.{transport}.q{}.b{}",
            self.queues, self.block
        )
    }
}
