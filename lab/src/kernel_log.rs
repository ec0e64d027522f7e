//! What the kernel logs during an experiment.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;

use crate::Result;
use crate::error::io_error;

/// Texts that say that something in the kernel is wrong.
const ALARMS: [&str; 14] = [
    "WARNING:",
    "BUG:",
    "Oops",
    "general protection fault",
    "unable to handle",
    "INFO: task ",
    "rcu: INFO",
    "refcount_t:",
    "Bad page",
    "bad page",
    "UBSAN:",
    "EXT4-fs warning",
    "EXT4-fs error",
    "Corruption",
];

/// The longest record that `/dev/kmsg` gives (`CONSOLE_EXT_LOG_MAX`, kernel/printk/printk.c).
const RECORD_BYTES: usize = 8192;

/// The kernel's log from a moment on.
#[derive(Debug)]
pub(crate) struct KernelLog(File);

impl KernelLog {
    /// From now on.
    pub(crate) fn begin() -> Result<Self> {
        let open = || -> io::Result<File> {
            let mut file = File::options()
                .read(true)
                .custom_flags(libc::O_NONBLOCK)
                .open("/dev/kmsg")?;
            file.seek(SeekFrom::End(0))?;
            Ok(file)
        };
        open().map(Self).map_err(io_error("open the kernel's log"))
    }

    /// Every alarm since the last question, but those that contain one of `tolerated`.
    pub(crate) fn alarms(&mut self, tolerated: &[&str]) -> Result<Vec<String>> {
        let mut found = Vec::new();
        let mut record = vec![0; RECORD_BYTES];
        loop {
            match self.0.read(&mut record) {
                Ok(0) => return Ok(found),
                Ok(length) => {
                    let record = String::from_utf8_lossy(&record[..length]);
                    found.extend(alarm(&record, tolerated));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(found),
                // The ring went round: what was lost may have been an alarm.
                Err(error) if error.raw_os_error() == Some(libc::EPIPE) => {
                    found.push("the kernel logged more than its buffer holds".to_owned());
                }
                Err(error) => return Err(io_error("read the kernel's log")(error)),
            }
        }
    }
}

/// The text of a record (`priority,number,time,flags;text`) if it is an alarm.
fn alarm(record: &str, tolerated: &[&str]) -> Option<String> {
    let text = record.split_once(';')?.1.lines().next()?;
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    (has(&ALARMS) && !has(tolerated)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alarms_are_told_from_news() {
        let warning =
            "4,1234,5678,-;WARNING: fs/ext4/inode.c:3664 at ext4_dirty_folio\n SUBSYSTEM=x\n";
        assert_eq!(
            alarm(warning, &[]).as_deref(),
            Some("WARNING: fs/ext4/inode.c:3664 at ext4_dirty_folio")
        );
        assert_eq!(alarm(warning, &["ext4_dirty_folio"]), None);
        for news in [
            "6,1,2,-;EXT4-fs (ublkb0): mounted filesystem\n",
            "3,1,2,-;I/O error, dev ublkb0, sector 0 op 0x0:(READ)\n",
            "no record",
        ] {
            assert_eq!(alarm(news, &[]), None, "{news}");
        }
    }
}
