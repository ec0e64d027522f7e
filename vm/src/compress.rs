//! Decompression through the host's programs, which package managers bring along anyway.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use crate::error::{At, Error};
use crate::tool;

/// A compression format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Not compressed.
    Plain,
    Gzip,
    Xz,
    Zstd,
    Lz4,
    Lzma,
    Bzip2,
}

impl Format {
    /// Recognises a format by its first bytes (scripts/extract-vmlinux in the kernel's tree).
    pub(crate) fn of(bytes: &[u8]) -> Self {
        const MAGIC: [(&[u8], Format); 6] = [
            (&[0x1f, 0x8b], Format::Gzip),
            (&[0xfd, b'7', b'z', b'X', b'Z', 0], Format::Xz),
            (&[0x28, 0xb5, 0x2f, 0xfd], Format::Zstd),
            (&[0x02, 0x21, 0x4c, 0x18], Format::Lz4),
            (&[0x5d, 0, 0], Format::Lzma),
            (b"BZh", Format::Bzip2),
        ];
        MAGIC
            .iter()
            .find(|(magic, _)| bytes.starts_with(magic))
            .map_or(Self::Plain, |(_, format)| *format)
    }

    /// The program that decompresses from standard input, its options, and Debian's package.
    fn program(self) -> Option<(&'static str, &'static [&'static str], &'static str)> {
        match self {
            Self::Plain => None,
            Self::Gzip => Some(("gzip", &["-dc"], "gzip")),
            Self::Xz => Some(("xz", &["-dc", "--single-stream"], "xz-utils")),
            Self::Zstd => Some(("zstd", &["-dcq"], "zstd")),
            Self::Lz4 => Some(("lz4", &["-dc"], "lz4")),
            Self::Lzma => Some(("xz", &["-dc", "--format=lzma"], "xz-utils")),
            Self::Bzip2 => Some(("bzip2", &["-dc"], "bzip2")),
        }
    }
}

/// Decompresses bytes in the format that their beginning tells.
pub(crate) fn decompress(bytes: Vec<u8>) -> Result<Vec<u8>, Error> {
    let Some((program, options, package)) = Format::of(&bytes).program() else {
        return Ok(bytes);
    };
    let path = tool::require(program, package)?;
    let mut child = Command::new(&path)
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .at("run", &path)?;
    let stdin = child.stdin.take();
    // The program writes while it reads, so both ends must be served at once. It may stop reading
    // at the end of the first stream, which is not an error.
    let writer = thread::spawn(move || stdin.map(|mut stdin| stdin.write_all(&bytes)));
    let mut plain = Vec::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout
            .read_to_end(&mut plain)
            .at("read the output of", &path)?;
    }
    let status = child.wait().at("wait for", &path)?;
    let _ = writer.join();
    if !status.success() {
        return Err(Error::Tool {
            command: format!("{program} {}", options.join(" ")),
            status: status.to_string(),
            message: "the compressed data is damaged".into(),
        });
    }
    Ok(plain)
}

/// Reads a file, decompressed if its contents are compressed.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|mut file| file.read_to_end(&mut bytes))
        .at("read", path)?;
    decompress(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_their_magic() {
        assert_eq!(Format::of(&[0x1f, 0x8b, 8]), Format::Gzip);
        assert_eq!(
            Format::of(&[0xfd, b'7', b'z', b'X', b'Z', 0, 0]),
            Format::Xz
        );
        assert_eq!(Format::of(&[0x28, 0xb5, 0x2f, 0xfd]), Format::Zstd);
        assert_eq!(Format::of(b"\x7fELF"), Format::Plain);
        assert_eq!(Format::of(b""), Format::Plain);
    }

    #[test]
    fn plain_bytes_pass_through() {
        assert_eq!(decompress(b"\x7fELF".to_vec()).unwrap(), b"\x7fELF");
    }
}
