//! The kernel's side: `/dev/nbdN` is given a socket by ioctls, and a thread of ours lends it its life.
//!
//! The ioctls rather than netlink, for what happens when the server is killed: `NBD_DO_IT` waits in the server's
//! own process, so the signal ends it, and on its way out the kernel fails what is under way
//! (`nbd_start_device_ioctl`). A device that netlink made would keep its clients waiting for ever.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::error::Error;

/// `_IO(0xab, n)`, include/uapi/linux/nbd.h.
const SET_SOCK: libc::Ioctl = 0xab00;
const SET_BLKSIZE: libc::Ioctl = 0xab01;
const SET_SIZE: libc::Ioctl = 0xab02;
const DO_IT: libc::Ioctl = 0xab03;
const CLEAR_SOCK: libc::Ioctl = 0xab04;
const DISCONNECT: libc::Ioctl = 0xab08;
const SET_TIMEOUT: libc::Ioctl = 0xab09;
const SET_FLAGS: libc::Ioctl = 0xab0a;
/// `_IO(0x12, 97)`, include/uapi/linux/fs.h.
const FLUSH_CACHE: libc::Ioctl = 0x1261;

/// `NBD_FLAG_*`, include/uapi/linux/nbd.h.
const HAS_FLAGS: u32 = 1;
const READ_ONLY: u32 = 1 << 1;
const SEND_FLUSH: u32 = 1 << 2;
const SEND_FUA: u32 = 1 << 3;
const ROTATIONAL: u32 = 1 << 4;
const SEND_TRIM: u32 = 1 << 5;
/// `NBD_FLAG_SEND_WRITE_ZEROES`; a kernel that does not know it never asks.
const SEND_WRITE_ZEROES: u32 = 1 << 6;

/// How long the kernel may take to begin. It waits for nobody there.
const BEGIN_WAIT: Duration = Duration::from_secs(30);

/// What a device is to be.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Its size in bytes.
    pub size_bytes: u64,
    /// Its block in bytes, logical and physical.
    pub block_bytes: u32,
    /// The longest read or write in bytes.
    pub max_io_bytes: u32,
    /// Whether it cannot be written.
    pub read_only: bool,
    /// Whether it rotates.
    pub rotational: bool,
    /// Whether it has a volatile cache, and so gets flush and FUA.
    pub volatile_cache: bool,
    /// Whether it gets discard.
    pub discard: bool,
    /// Whether it gets write zeroes (since Linux 6.10).
    pub write_zeroes: bool,
}

impl Settings {
    fn flags(&self) -> u32 {
        [
            (true, HAS_FLAGS),
            (self.read_only, READ_ONLY),
            (self.rotational, ROTATIONAL),
            (self.volatile_cache, SEND_FLUSH | SEND_FUA),
            (self.discard, SEND_TRIM),
            (self.write_zeroes, SEND_WRITE_ZEROES),
        ]
        .into_iter()
        .filter(|(wanted, _)| *wanted)
        .fold(0, |flags, (_, flag)| flags | flag)
    }
}

/// Whether this kernel has the client, and its module is loaded.
#[must_use]
pub fn is_there() -> bool {
    Path::new("/sys/block/nbd0").exists()
}

/// A `/dev/nbdN` that is ours, and, once it has begun, the thread that is its life.
#[derive(Debug)]
pub struct Client {
    number: u32,
    device: Arc<File>,
    settings: Settings,
    /// None until it has begun.
    thread: Option<JoinHandle<()>>,
}

impl Client {
    /// Takes `/dev/nbdN`, or the first that is free and that `avoid` does not name. Returns it, and the end of the
    /// socket for its server. The block device has no size until [`Client::begin`].
    ///
    /// # Errors
    /// [`Error::NoNbd`] without the driver, [`Error::System`] with `EBUSY` if the device is in use, or all are.
    pub fn claim(
        number: Option<u32>,
        avoid: impl Fn(u32) -> bool,
        settings: Settings,
    ) -> Result<(Self, OwnedFd), Error> {
        if !is_there() {
            return Err(Error::NoNbd);
        }
        if let Some(number) = number {
            return Self::claim_one(number, settings);
        }
        for number in (0..).take_while(|number| block(*number).exists()) {
            if avoid(number) || is_used(number) {
                continue;
            }
            match Self::claim_one(number, settings) {
                Err(error) if error.errno() == Some(libc::EBUSY) => {}
                other => return other,
            }
        }
        let what = "find a free /dev/nbdN: all are in use (nbd's parameter nbds_max makes more)";
        Err(Error::system(what)(io::Error::from_raw_os_error(
            libc::EBUSY,
        )))
    }

    fn claim_one(number: u32, settings: Settings) -> Result<(Self, OwnedFd), Error> {
        let context = |what: &str| Error::system(format!("{what} /dev/nbd{number}"));
        if is_used(number) {
            let busy = io::Error::from_raw_os_error(libc::EBUSY);
            return Err(context("take")(busy));
        }
        let device = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_CLOEXEC)
            .open(format!("/dev/nbd{number}"))
            .map_err(context("open"))?;
        let (ours, theirs) = UnixStream::pair().map_err(context("make a socket pair for"))?;
        let set = |request, value| command(&device, request, value);
        set(SET_SOCK, u64::from(theirs.as_raw_fd().unsigned_abs())).map_err(context("take"))?;
        // From here on it is ours, and is given back on the way out.
        let client = Self {
            number,
            device: Arc::new(device),
            settings,
            thread: None,
        };
        let set = |request, value| command(&client.device, request, value);
        set(SET_BLKSIZE, u64::from(settings.block_bytes)).map_err(context("set the block of"))?;
        set(SET_SIZE, settings.size_bytes).map_err(context("set the size of"))?;
        set(SET_FLAGS, u64::from(settings.flags())).map_err(context("set the flags of"))?;
        // None: a held request is not a dead server. The kernel notes one in its log every 30 s (`nbd_xmit_timeout`).
        set(SET_TIMEOUT, 0).map_err(context("set the timeout of"))?;
        Ok((client, ours.into()))
    }

    /// The number N of `/dev/nbdN`.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Lets requests flow. The kernel's own look at the partition table is over when this returns, so the server must be
    /// at work.
    ///
    /// # Errors
    /// The system's; then nothing flows.
    pub fn begin(&mut self) -> Result<(), Error> {
        let number = self.number;
        let context = |what: &str| Error::system(format!("{what} /dev/nbd{number}"));
        let device = Arc::clone(&self.device);
        let thread = thread::Builder::new()
            .name(format!("nbd{number}"))
            .spawn(move || live(number, &device))
            .map_err(context("start a thread for"))?;
        self.thread = Some(thread);
        let begin = Instant::now();
        while !is_used(number) || size_bytes(number) == 0 {
            let ended = self.thread.as_ref().is_none_or(JoinHandle::is_finished);
            if ended || begin.elapsed() > BEGIN_WAIT {
                let source = io::Error::from_raw_os_error(libc::EIO);
                return Err(context("begin with")(source));
            }
            thread::sleep(Duration::from_millis(1));
        }
        // The kernel has the last word about what is too long.
        let longest = self.settings.max_io_bytes >> 10;
        fs::write(queue(number).join("max_sectors_kb"), longest.to_string())
            .map_err(context("limit the requests of"))?;
        // The first to open it makes the kernel read the partition table (`GD_NEED_PART_SCAN`).
        File::open(format!("/dev/nbd{number}")).map_err(context("open"))?;
        // What was read for that must not answer the first client from the cache.
        command(&self.device, FLUSH_CACHE, 0).map_err(context("empty the cache of"))
    }

    /// Changes the size of a device that has begun.
    ///
    /// # Errors
    /// The system's.
    pub fn resize(&self, size_bytes: u64) -> Result<(), Error> {
        command(&self.device, SET_SIZE, size_bytes)
            .map_err(Error::system(format!("resize /dev/nbd{}", self.number)))
    }

    /// Writes back what the kernel's cache of the block device holds; the server must answer.
    ///
    /// # Errors
    /// `fsync(2)`'s.
    pub fn sync(&self) -> Result<(), Error> {
        self.device
            .sync_all()
            .map_err(Error::system(format!("write back /dev/nbd{}", self.number)))
    }

    /// Ends the connection: the server is told that no more comes, and this waits until it has closed its end, which
    /// it does when it has answered everything. A client that has the device open gets errors from then on.
    pub fn disconnect(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let Some(thread) = self.thread.take() {
            // Fails only where there is no connection any more.
            let _ = command(&self.device, DISCONNECT, 0);
            // It does not panic.
            let _ = thread.join();
        } else {
            let _ = command(&self.device, CLEAR_SOCK, 0);
        }
    }

    /// What the block layer made of the settings.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let value = |name: &str| read_number(&queue(self.number).join(name));
        let size = |name: &str| u32::try_from(value(name)).unwrap_or(u32::MAX);
        Limits {
            physical_block_bytes: size("physical_block_size"),
            io_min_bytes: size("minimum_io_size"),
            io_opt_bytes: size("optimal_io_size"),
            max_io_bytes: size("max_sectors_kb").saturating_mul(1024),
            max_segments: u16::try_from(value("max_segments")).unwrap_or(u16::MAX),
            max_segment_bytes: size("max_segment_size"),
            discard_granularity_bytes: size("discard_granularity"),
            max_discard_bytes: size("discard_max_bytes"),
            max_write_zeroes_bytes: size("write_zeroes_max_bytes"),
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.end();
    }
}

/// Limits of the block layer, from sysfs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "each is the file of its name below /sys/block/nbdN/queue"
)]
pub struct Limits {
    pub physical_block_bytes: u32,
    pub io_min_bytes: u32,
    pub io_opt_bytes: u32,
    pub max_io_bytes: u32,
    pub max_segments: u16,
    pub max_segment_bytes: u32,
    pub discard_granularity_bytes: u32,
    pub max_discard_bytes: u32,
    pub max_write_zeroes_bytes: u32,
}

/// The life of a device: the kernel takes replies until the connection ends, then fails what is left.
fn live(number: u32, device: &File) {
    crate::control::block_signals();
    if let Err(error) = command(device, DO_IT, 0) {
        tracing::debug!(number, %error, "the connection has ended");
    }
    // The end of the connection alone leaves requests waiting that the server has not answered.
    let _ = command(device, CLEAR_SOCK, 0);
}

fn command(device: &File, request: libc::Ioctl, value: u64) -> io::Result<()> {
    // SAFETY: each of these requests takes a plain number or nothing, and touches no memory of ours.
    match unsafe { libc::ioctl(device.as_raw_fd(), request, value) } {
        0.. => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn block(number: u32) -> std::path::PathBuf {
    format!("/sys/block/nbd{number}").into()
}

fn queue(number: u32) -> std::path::PathBuf {
    block(number).join("queue")
}

/// Whether somebody serves it, or is yet to give it back: the file is there from begin to end (`nbd_start_device`).
fn is_used(number: u32) -> bool {
    block(number).join("pid").exists()
}

fn size_bytes(number: u32) -> u64 {
    read_number(&block(number).join("size")) << 9
}

fn read_number(path: &Path) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_follow_the_settings() {
        let least = Settings {
            size_bytes: 1 << 20,
            block_bytes: 512,
            max_io_bytes: 512 << 10,
            read_only: false,
            rotational: false,
            volatile_cache: false,
            discard: false,
            write_zeroes: false,
        };
        assert_eq!(least.flags(), HAS_FLAGS);
        let most = Settings {
            read_only: true,
            rotational: true,
            volatile_cache: true,
            discard: true,
            write_zeroes: true,
            ..least
        };
        assert_eq!(most.flags(), 0x7f);
    }
}
