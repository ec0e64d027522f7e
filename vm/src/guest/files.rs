//! Sends files to the host as one archive.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use cpio::newc::{Builder, ModeFileType, trailer};

use super::Failure;

/// Sends the files and directories, each under its last name, and returns notes about what could
/// not be sent.
pub(super) fn send(paths: &[String], port: File) -> Result<Vec<String>, Failure> {
    let mut archive = Archive {
        port,
        notes: Vec::new(),
    };
    for (index, path) in paths.iter().enumerate() {
        let path = Path::new(path);
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        // The number tells the host which request the file belongs to.
        archive
            .tree(path, &format!("{index}/{name}"))
            .map_err(|error| format!("send {}: {error}", path.display()))?;
    }
    trailer(&mut archive.port).map_err(|error| format!("end the archive: {error}"))?;
    Ok(archive.notes)
}

struct Archive {
    port: File,
    notes: Vec<String>,
}

impl Archive {
    fn tree(&mut self, path: &Path, name: &str) -> io::Result<()> {
        let meta = match fs::symlink_metadata(path) {
            Ok(meta) => meta,
            Err(error) => {
                self.notes
                    .push(format!("failed to copy out {}: {error}", path.display()));
                return Ok(());
            }
        };
        let builder = Builder::new(name).mode(meta.permissions().mode() & 0o7777);
        if meta.is_dir() {
            self.entry(builder.set_mode_file_type(ModeFileType::Directory), b"")?;
            let mut entries: Vec<_> = fs::read_dir(path)?.flatten().collect();
            entries.sort_by_key(fs::DirEntry::file_name);
            for entry in entries {
                let below = format!("{name}/{}", entry.file_name().to_string_lossy());
                self.tree(&entry.path(), &below)?;
            }
            return Ok(());
        }
        if meta.is_symlink() {
            let target = fs::read_link(path)?;
            let builder = builder.set_mode_file_type(ModeFileType::Symlink);
            return self.entry(builder, target.as_os_str().as_bytes());
        }
        if meta.is_file() {
            return self.file(
                path,
                builder.set_mode_file_type(ModeFileType::Regular),
                meta.len(),
            );
        }
        self.notes.push(format!(
            "left out {}: it is not a plain file",
            path.display()
        ));
        Ok(())
    }

    fn entry(&mut self, builder: Builder, contents: &[u8]) -> io::Result<()> {
        let mut writer = builder.write(&mut self.port, size(contents.len() as u64)?);
        writer.write_all(contents)?;
        writer.finish().map(drop)
    }

    /// A file in /proc or /sys says 0 and has contents, so small files are read first. A file that
    /// shrinks while it is sent is filled up with zeros: the header has gone out already.
    fn file(&mut self, path: &Path, builder: Builder, length: u64) -> io::Result<()> {
        const IN_MEMORY_BYTES: u64 = 1 << 20;
        let mut file = match File::open(path) {
            // Who still writes there renames and removes.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.notes
                    .push(format!("left out {}: it is gone", path.display()));
                return Ok(());
            }
            other => other?,
        };
        if length < IN_MEMORY_BYTES {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            return self.entry(builder, &bytes);
        }
        let mut writer = builder.write(&mut self.port, size(length)?);
        let sent = io::copy(&mut (&mut file).take(length), &mut writer)?;
        io::copy(&mut io::repeat(0).take(length - sent), &mut writer)?;
        writer.finish().map(drop)
    }
}

fn size(bytes: u64) -> io::Result<u32> {
    u32::try_from(bytes).map_err(|_| {
        io::Error::new(
            io::ErrorKind::FileTooLarge,
            "the archive takes files below 4 GiB",
        )
    })
}
