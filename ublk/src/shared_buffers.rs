//! Memory that clients share with the server: registered with the driver, which recognises its pages in
//! requests, and mapped here, so that such a request's payload need not be copied.
//!
//! # Why a place found here stays mapped
//!
//! A queue finds the place of a request once, and uses it until it commits the request. A registration
//! is undone in this order: UNREG_BUF, which waits for every request in flight
//! ([`control::buffers`](crate::control)); then the table without it is published; then the memory is
//! unmapped. So no place outlives its mapping. A request that the driver recognised by a number that the
//! table does not have (registered this moment, or by an earlier server of the device) is copied.

mod file;

use std::fs::File;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use libublk::sys;

pub use file::BufferError;

use crate::control::buffers;
use crate::memory::Mapping;

/// The most buffers of one device. The driver has room for 65536 (`ublk_ctrl_reg_buf`); a client has use
/// for one or two.
pub const MAX_BUFFERS: usize = 256;

/// The longest buffer: 4 GiB (`UBLK_SHMEM_BUF_SIZE_MAX`, ublk_drv.c).
pub const MAX_BUFFER_BYTES: u64 = 1 << 32;

/// The registered buffers of a device.
///
/// One pointer is published to the queues, which read it for each request that the driver recognised.
#[derive(Debug, Default)]
pub struct SharedBuffers {
    table: ArcSwap<Table>,
    /// Held while the table is changed, and the driver with it.
    change: Mutex<()>,
}

/// The buffers, each at its number.
#[derive(Debug, Default, Clone)]
struct Table(Vec<Option<Arc<SharedBuffer>>>);

/// One registered buffer.
#[derive(Debug)]
pub struct SharedBuffer {
    number: u16,
    name: String,
    read_only: bool,
    fixed_size: bool,
    mapping: Mapping,
}

/// Where the payload of a recognised request lies in the server's memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// The first byte; mapped until the request is committed.
    pub(crate) start: *mut u8,
    /// Whether the server may touch it itself. Memory that its owner can shorten is left to the kernel,
    /// which answers `EFAULT` where a load or store of ours would be a SIGBUS.
    pub(crate) touchable: bool,
}

impl SharedBuffer {
    /// The number by which the driver names it.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.number
    }

    /// What the file calls itself (`/proc/self/fd`), such as `/memfd:name (deleted)`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its length in bytes.
    #[must_use]
    pub fn len_bytes(&self) -> u64 {
        self.mapping.len_bytes() as u64
    }

    /// Whether it serves source requests alone.
    #[must_use]
    pub fn read_only(&self) -> bool {
        self.read_only
    }

    /// Whether nobody can shorten it (`F_SEAL_SHRINK`), so that the server touches it itself.
    #[must_use]
    pub fn fixed_size(&self) -> bool {
        self.fixed_size
    }
}

impl SharedBuffers {
    /// Maps all of a file of memory and registers it with the device.
    ///
    /// Waits until every request of the device in flight has been answered, uninterruptibly: nothing may
    /// be held, and the device must have its server.
    ///
    /// # Errors
    /// [`BufferError`]; then nothing is registered.
    pub fn register(
        &self,
        device: u32,
        file: &File,
        read_only: bool,
    ) -> Result<Arc<SharedBuffer>, BufferError> {
        let memory = file::inspect(file, read_only)?;
        let _one_at_a_time = self.changing();
        if self.list().len() >= MAX_BUFFERS {
            return Err(BufferError::TooMany);
        }
        let mapping = Mapping::shared(file, 0, memory.len_bytes, !read_only)
            .map_err(BufferError::failed("map it"))?;
        let (start, len) = (mapping.as_ptr(), mapping.len_bytes() as u64);
        let number = buffers::register(device, start, len, read_only)
            .map_err(|error| BufferError::refused(error, read_only))?;
        let buffer = Arc::new(SharedBuffer {
            number,
            name: memory.name,
            read_only,
            fixed_size: memory.fixed_size,
            mapping,
        });
        self.publish(number, Some(Arc::clone(&buffer)));
        Ok(buffer)
    }

    /// Undoes a registration. Returns false if there is no such buffer. Waits as
    /// [`SharedBuffers::register`] does.
    ///
    /// # Errors
    /// The driver's; then the buffer stays registered.
    pub fn unregister(&self, device: u32, number: u16) -> Result<bool, crate::Error> {
        let _one_at_a_time = self.changing();
        if self.get(number).is_none() {
            return Ok(false);
        }
        match buffers::unregister(device, number) {
            Err(error) if error.errno() != Some(libc::ENOENT) => return Err(error),
            // Somebody else has undone it; the driver has waited for the requests all the same.
            _ => {}
        }
        self.publish(number, None);
        Ok(true)
    }

    /// The buffers, by number.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<SharedBuffer>> {
        self.table.load().0.iter().flatten().cloned().collect()
    }

    fn get(&self, number: u16) -> Option<Arc<SharedBuffer>> {
        self.table.load().0.get(usize::from(number))?.clone()
    }

    fn publish(&self, number: u16, buffer: Option<Arc<SharedBuffer>>) {
        let mut next = Table::clone(&self.table.load());
        let slot = usize::from(number);
        if next.0.len() <= slot {
            next.0.resize(slot + 1, None);
        }
        next.0[slot] = buffer;
        self.table.store(Arc::new(next));
    }

    fn changing(&self) -> MutexGuard<'_, ()> {
        // It guards nothing but the order of changes.
        self.change.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the payload lies that the driver describes by `address` (`ublk_shmem_zc_addr`); none if the
    /// table does not have it, or not all of it.
    pub(crate) fn locate(&self, address: u64, len_bytes: u32, destination: bool) -> Option<Place> {
        let number = usize::try_from((address >> sys::UBLK_SHMEM_ZC_IDX_OFF) & 0xffff).ok()?;
        let offset = usize::try_from(address & u64::from(u32::MAX)).ok()?;
        let table = self.table.load();
        let buffer = table.0.get(number)?.as_ref()?;
        let end = offset.checked_add(len_bytes as usize)?;
        if end > buffer.mapping.len_bytes() || (destination && buffer.read_only) {
            return None;
        }
        let span = buffer.mapping.span(offset, len_bytes as usize);
        Some(Place {
            start: span.as_ptr(),
            touchable: buffer.fixed_size,
        })
    }
}

/// How many requests of one queue were served from shared memory. The queue's thread is the only writer.
#[derive(Debug, Default)]
pub struct SharedCounts {
    shared: AtomicU64,
    copied: AtomicU64,
}

impl SharedCounts {
    /// Reads and writes that arrived in a buffer.
    #[must_use]
    pub fn shared(&self) -> u64 {
        self.shared.load(Relaxed)
    }

    /// Reads and writes that arrived in no buffer, whose payload is copied.
    #[must_use]
    pub fn copied(&self) -> u64 {
        self.copied.load(Relaxed)
    }

    #[inline]
    pub(crate) fn count(&self, shared: bool) {
        let counter = if shared { &self.shared } else { &self.copied };
        counter.store(counter.load(Relaxed).wrapping_add(1), Relaxed);
    }
}

/// What a queue needs for data path `shared-memory`.
#[derive(Debug, Clone, Default)]
pub struct SharedQueue {
    /// The device's buffers.
    pub buffers: Arc<SharedBuffers>,
    /// The queue's counts.
    pub counts: Arc<SharedCounts>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(number: u16, len_bytes: usize, read_only: bool) -> SharedBuffers {
        let buffers = SharedBuffers::default();
        let buffer = SharedBuffer {
            number,
            name: String::new(),
            read_only,
            fixed_size: true,
            mapping: Mapping::anonymous(len_bytes).unwrap(),
        };
        buffers.publish(number, Some(Arc::new(buffer)));
        buffers
    }

    fn address(number: u64, offset: u64) -> u64 {
        number << 32 | offset
    }

    #[test]
    fn an_address_is_a_number_and_an_offset() {
        let buffers = buffer(3, 8192, false);
        let start = buffers.list()[0].mapping.as_ptr();
        let place = buffers.locate(address(3, 4096), 4096, true).unwrap();
        assert_eq!(place.start, start.wrapping_add(4096));
        assert!(place.touchable);
    }

    #[test]
    fn what_is_not_in_the_table_has_no_place() {
        let buffers = buffer(3, 8192, false);
        for (number, offset, len) in [(2, 0, 512), (4, 0, 512), (3, 4096, 4097), (3, 8192, 1)] {
            assert!(
                buffers
                    .locate(address(number, offset), len, false)
                    .is_none()
            );
        }
        buffers.publish(3, None);
        assert!(buffers.locate(address(3, 0), 512, false).is_none());
    }

    #[test]
    fn a_read_only_buffer_is_no_destination() {
        let buffers = buffer(0, 4096, true);
        assert!(buffers.locate(0, 4096, true).is_none());
        assert!(buffers.locate(0, 4096, false).is_some());
    }
}
