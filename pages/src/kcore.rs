//! `/proc/kcore`: kernel memory as an ELF core file.
//!
//! The file is ELF64 with one `PT_LOAD` a range of kernel addresses (`fs/proc/kcore.c`). The ranges
//! of kernel text (where `vmemmap_base` lies) and of the memory map (`struct page`) are among them.
//! The headers are read once; memory hotplug after that is not seen.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use crate::need::{self, Needs};
use crate::{PagesError, Result, Roots};

const HEADER_BYTES: usize = 64;
const PROGRAM_HEADER_BYTES: usize = 56;
const PT_LOAD: u32 = 1;
/// `PN_XNUM`: the real number of headers would be in section header 0.
const TOO_MANY_HEADERS: u16 = 0xffff;

const NEEDS: Needs = Needs {
    config: "CONFIG_PROC_KCORE",
    right: "CAP_SYS_RAWIO and a lockdown below \"confidentiality\"",
    capability: Some(need::SYS_RAWIO),
    confidential: true,
};

/// One range of kernel addresses and its place in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Segment {
    address: u64,
    length: u64,
    offset: u64,
}

/// Kernel memory, read by virtual address.
#[derive(Debug)]
pub struct Kcore {
    path: PathBuf,
    file: File,
    segments: Vec<Segment>,
}

impl Kcore {
    /// Opens the file and reads its program headers.
    ///
    /// # Errors
    /// [`PagesError::Absent`] without `CONFIG_PROC_KCORE`, [`PagesError::NotAllowed`] without
    /// `CAP_SYS_RAWIO` or under lockdown (`open_kcore`), [`PagesError::Malformed`].
    pub fn open(roots: &Roots) -> Result<Self> {
        let path = roots.proc.join("kcore");
        let file = File::open(&path).map_err(|source| NEEDS.error(roots, &path, source))?;
        // Containers mount /dev/null over it.
        if file.metadata().is_ok_and(|found| !found.is_file()) {
            return Err(PagesError::Masked { path });
        }
        let segments = segments(&file).map_err(|error| match error {
            HeaderError::Io(source) => PagesError::Io {
                path: path.clone(),
                source,
            },
            HeaderError::Form(detail) => PagesError::Malformed {
                path: path.clone(),
                detail,
            },
        })?;
        Ok(Self {
            path,
            file,
            segments,
        })
    }

    /// Fills `bytes` from kernel address `address`.
    ///
    /// # Errors
    /// [`PagesError::Unmapped`] when no single segment contains the whole range,
    /// [`PagesError::Io`].
    pub fn read(&self, address: u64, bytes: &mut [u8]) -> Result<()> {
        let length = bytes.len() as u64;
        let segment = self
            .segments
            .iter()
            .find(|segment| {
                address
                    .checked_sub(segment.address)
                    .and_then(|into| into.checked_add(length))
                    .is_some_and(|end| end <= segment.length)
            })
            .ok_or_else(|| PagesError::Unmapped {
                address,
                path: self.path.clone(),
            })?;
        self.file
            .read_exact_at(bytes, segment.offset + (address - segment.address))
            .map_err(|source| PagesError::Io {
                path: self.path.clone(),
                source,
            })
    }

    /// The u64 at kernel address `address`.
    ///
    /// # Errors
    /// As [`Kcore::read`].
    pub fn read_u64(&self, address: u64) -> Result<u64> {
        let mut bytes = [0; 8];
        self.read(address, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }
}

enum HeaderError {
    Io(io::Error),
    Form(String),
}

impl From<io::Error> for HeaderError {
    fn from(source: io::Error) -> Self {
        Self::Io(source)
    }
}

/// Reads the ELF header and the program headers.
fn segments(file: &File) -> std::result::Result<Vec<Segment>, HeaderError> {
    let mut header = [0; HEADER_BYTES];
    file.read_exact_at(&mut header, 0)?;
    // EI_CLASS 2 is 64 bits, EI_DATA 1 is little-endian (elf(5)).
    if header[..6] != *b"\x7fELF\x02\x01" {
        return Err(HeaderError::Form(format!(
            "it begins with {:02x?}, should be a little-endian ELF64 file",
            &header[..6]
        )));
    }
    let first = field_u64(&header, 32);
    let size = usize::from(field_u16(&header, 54));
    let count = field_u16(&header, 56);
    if size != PROGRAM_HEADER_BYTES || count == TOO_MANY_HEADERS {
        return Err(HeaderError::Form(format!(
            "it has {count} program headers of {size} bytes, should be fewer than 65535 of 56"
        )));
    }
    let mut table = vec![0; size * usize::from(count)];
    file.read_exact_at(&mut table, first)?;
    let segments = table
        .chunks_exact(size)
        .filter(|entry| field_u32(entry, 0) == PT_LOAD)
        .map(|entry| Segment {
            offset: field_u64(entry, 8),
            address: field_u64(entry, 16),
            // The size in memory, not in the file: the kernel sets both alike.
            length: field_u64(entry, 40),
        });
    Ok(segments.collect())
}

fn field<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    let mut value = [0; N];
    value.copy_from_slice(&bytes[offset..offset + N]);
    value
}

fn field_u16(bytes: &[u8], offset: usize) -> u16 {
    u16::from_le_bytes(field(bytes, offset))
}

fn field_u32(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(field(bytes, offset))
}

fn field_u64(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(field(bytes, offset))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::{Machine, kcore_file};
    use std::fs;

    #[test]
    fn reads_by_virtual_address() {
        let machine = Machine::empty();
        let file = kcore_file(&[
            (0xffff_ffff_8000_0000, b"text....".to_vec()),
            (0xffff_ea00_0000_0000, vec![1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ]);
        fs::write(machine.roots().proc.join("kcore"), file).unwrap();
        let kcore = Kcore::open(machine.roots()).unwrap();
        let mut bytes = [0; 3];
        kcore.read(0xffff_ea00_0000_0004, &mut bytes).unwrap();
        assert_eq!(bytes, [5, 6, 7]);
        assert_eq!(
            kcore.read_u64(0xffff_ea00_0000_0001).unwrap(),
            u64::from_le_bytes([2, 3, 4, 5, 6, 7, 8, 9])
        );
        kcore.read(0xffff_ffff_8000_0000, &mut bytes).unwrap();
        assert_eq!(&bytes, b"tex");
    }

    #[test]
    fn a_range_that_leaves_its_segment_is_refused() {
        let machine = Machine::empty();
        fs::write(
            machine.roots().proc.join("kcore"),
            kcore_file(&[(0x1000, vec![0; 8])]),
        )
        .unwrap();
        let kcore = Kcore::open(machine.roots()).unwrap();
        for address in [0xfff, 0x1001, 0x1008, u64::MAX] {
            let error = kcore.read_u64(address).unwrap_err();
            assert!(
                matches!(error, PagesError::Unmapped { .. }),
                "{address:#x}: {error}"
            );
        }
    }

    #[test]
    fn what_is_not_a_core_is_refused() {
        let machine = Machine::empty();
        assert!(matches!(
            Kcore::open(machine.roots()),
            Err(PagesError::Absent { needs, .. }) if needs.contains("PROC_KCORE")
        ));
        let path = machine.roots().proc.join("kcore");
        std::os::unix::fs::symlink("/dev/null", &path).unwrap();
        assert!(matches!(
            Kcore::open(machine.roots()),
            Err(PagesError::Masked { .. })
        ));
        fs::remove_file(&path).unwrap();
        fs::write(&path, [0; 64]).unwrap();
        assert!(matches!(
            Kcore::open(machine.roots()),
            Err(PagesError::Malformed { .. })
        ));
        fs::write(&path, b"short").unwrap();
        assert!(matches!(
            Kcore::open(machine.roots()),
            Err(PagesError::Io { .. })
        ));
    }
}
