//! The virtio ports, found by name without udev.

use std::fs::{self, File, OpenOptions};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use super::Failure;

/// The driver adds ports from a work queue, so they may appear a little after the bus is probed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Opens a port for writing, waiting for it to appear. Only one open file of a port can exist.
pub(super) fn open(name: &str) -> Result<File, Failure> {
    open_with(name, OpenOptions::new().write(true))
}

/// The same for reading as well.
pub(super) fn open_both_ways(name: &str) -> Result<File, Failure> {
    open_with(name, OpenOptions::new().read(true).write(true))
}

fn open_with(name: &str, options: &OpenOptions) -> Result<File, Failure> {
    let start = Instant::now();
    let device = loop {
        if let Some(device) = find(name) {
            break device;
        }
        if start.elapsed() > PATIENCE {
            return Err(format!("find the virtio port `{name}`"));
        }
        thread::sleep(Duration::from_millis(5));
    };
    options
        .open(&device)
        .map_err(|error| format!("open the port {}: {error}", device.display()))
}

fn find(name: &str) -> Option<PathBuf> {
    let entries = fs::read_dir("/sys/class/virtio-ports").ok()?;
    for entry in entries.flatten() {
        let label = fs::read_to_string(entry.path().join("name")).unwrap_or_default();
        let device = PathBuf::from("/dev").join(entry.file_name());
        if label.trim() == name && device.exists() {
            return Some(device);
        }
    }
    None
}
