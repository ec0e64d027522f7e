//! `/dev/ublkcN`, through which a server takes requests.

use std::fs::OpenOptions;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::Error;

/// How long a server that has just closed the character device may keep it busy.
const CLOSING: Duration = Duration::from_secs(10);

/// Opens `/dev/ublkcN`. It can be open once only; the queues share it. A ring gives its files back in a
/// worker, some time after it was closed, so `EBUSY` is waited out for a while.
///
/// # Errors
/// The system's.
pub fn open(device: u32) -> Result<Arc<OwnedFd>, Error> {
    let path = format!("/dev/ublkc{device}");
    let begin = Instant::now();
    loop {
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_CLOEXEC)
            .open(&path);
        match opened {
            Ok(file) => return Ok(Arc::new(file.into())),
            Err(error)
                if error.raw_os_error() == Some(libc::EBUSY) && begin.elapsed() < CLOSING =>
            {
                std::thread::sleep(Duration::from_millis(2));
            }
            Err(error) => return Err(Error::system(format!("open {path}"))(error)),
        }
    }
}
