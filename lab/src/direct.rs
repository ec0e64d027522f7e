//! Direct I/O on the device.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;

use api::Device;

use crate::Result;
use crate::error::io_error;

/// Opens the device for direct reads, so that its requests use the pages of the reader.
pub(crate) fn open(device: &Device) -> Result<File> {
    File::options()
        .read(true)
        .custom_flags(libc::O_DIRECT)
        .open(&device.path)
        .map_err(io_error("open the device for direct I/O"))
}
