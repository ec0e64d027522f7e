//! The kernel image: what release it is, and the uncompressed kernel inside.
//!
//! Booting the ELF image through its PVH entry saves the guest from decompressing itself, which
//! costs about two seconds under TCG. Offsets are those of Documentation/arch/x86/boot.rst.

use std::fs;
use std::path::{Path, PathBuf};

use object::LittleEndian;
use object::elf::{FileHeader64, PT_NOTE};
use object::read::elf::{FileHeader, ProgramHeader};

use crate::cache::write_whole;
use crate::compress::{Format, decompress};
use crate::error::{At, Error};
use crate::kernel::Kernel;
use crate::progress::Progress;

/// The type of the ELF note that holds the 32-bit PVH entry (xen/interface/elfnote.h).
const XEN_ELFNOTE_PHYS32_ENTRY: u32 = 18;

fn field<const N: usize>(image: &[u8], offset: usize) -> Option<[u8; N]> {
    image.get(offset..offset + N)?.try_into().ok()
}

fn is_bzimage(image: &[u8]) -> bool {
    field(image, 0x202) == Some(*b"HdrS")
}

/// Reads the release from the version string of a bzImage.
pub(crate) fn release_of(path: &Path) -> Result<String, Error> {
    let image = fs::read(path).at("read", path)?;
    if is_bzimage(&image) {
        release_in(&image)
            .ok_or_else(|| Error::contents(path, "its boot header names no kernel version"))
    } else if image.starts_with(b"\x7fELF") {
        banner_in(&image).ok_or_else(|| Error::contents(path, "it has no `Linux version` banner"))
    } else {
        Err(Error::contents(
            path,
            "it is neither an x86 bzImage nor an ELF kernel",
        ))
    }
}

fn release_in(image: &[u8]) -> Option<String> {
    let pointer = usize::from(u16::from_le_bytes(field(image, 0x20e)?));
    let text = image.get(pointer + 0x200..)?;
    first_word(text)
}

fn banner_in(image: &[u8]) -> Option<String> {
    let banner = b"Linux version ";
    let at = image
        .windows(banner.len())
        .position(|window| window == banner)?;
    first_word(image.get(at + banner.len()..)?)
}

fn first_word(text: &[u8]) -> Option<String> {
    let end = text.iter().position(|c| !c.is_ascii_graphic())?;
    let word = String::from_utf8(text[..end].to_vec()).ok()?;
    (!word.is_empty()).then_some(word)
}

/// Returns the image to give to QEMU: the extracted kernel if it can be booted through PVH, else
/// the image as shipped.
///
/// # Errors
/// If the cache cannot be written. A payload that cannot be extracted is no error.
pub(crate) fn bootable(kernel: &Kernel, progress: &Progress) -> Result<PathBuf, Error> {
    let extracted = kernel.derived.join("vmlinux");
    if extracted.is_file() {
        return Ok(extracted);
    }
    let image = fs::read(&kernel.image).at("read", &kernel.image)?;
    if !is_bzimage(&image) {
        return Ok(kernel.image.clone());
    }
    progress.say(format!(
        "extracting the kernel from {}",
        kernel.image.display()
    ));
    let payload = payload(&image).map(<[u8]>::to_vec).map(decompress);
    match payload {
        Some(Ok(vmlinux)) if has_pvh_entry(&vmlinux) => {
            write_whole(&extracted, &vmlinux)?;
            Ok(extracted)
        }
        Some(Err(error @ Error::MissingProgram { .. })) => {
            progress.warn(format!("booting more slowly: failed to {error}"));
            Ok(kernel.image.clone())
        }
        _ => Ok(kernel.image.clone()),
    }
}

/// The compressed kernel inside a bzImage.
fn payload(image: &[u8]) -> Option<&[u8]> {
    let sectors = match image.get(0x1f1)? {
        0 => 4,
        count => usize::from(*count),
    };
    let offset = usize::try_from(u32::from_le_bytes(field(image, 0x248)?)).ok()?;
    let length = usize::try_from(u32::from_le_bytes(field(image, 0x24c)?)).ok()?;
    let start = (sectors + 1) * 512 + offset;
    let payload = image.get(start..start + length)?;
    match Format::of(payload) {
        Format::Plain => None,
        // gzip has the uncompressed size in its own trailer; behind the others the kernel's build
        // puts four bytes of it (cmd_*_with_size in scripts/Makefile.lib).
        Format::Gzip => Some(payload),
        _ => payload.get(..payload.len().checked_sub(4)?),
    }
}

/// Says whether QEMU can boot this ELF image directly.
fn has_pvh_entry(vmlinux: &[u8]) -> bool {
    let find = || -> object::Result<bool> {
        let header = FileHeader64::<LittleEndian>::parse(vmlinux)?;
        let endian = header.endian()?;
        for segment in header.program_headers(endian, vmlinux)? {
            if segment.p_type(endian) != PT_NOTE {
                continue;
            }
            let Some(mut notes) = segment.notes(endian, vmlinux)? else {
                continue;
            };
            while let Some(note) = notes.next()? {
                if note.name() == b"Xen" && note.n_type(endian) == XEN_ELFNOTE_PHYS32_ENTRY {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    };
    find().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bzimage(payload: &[u8]) -> Vec<u8> {
        let mut image = vec![0_u8; 1024];
        image[0x1f1] = 1;
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x20e..0x210].copy_from_slice(&0x100_u16.to_le_bytes());
        image[0x300..0x30c].copy_from_slice(b"7.3.4-x (me\0");
        image[0x248..0x24c].copy_from_slice(&16_u32.to_le_bytes());
        image[0x24c..0x250].copy_from_slice(&u32::try_from(payload.len()).unwrap().to_le_bytes());
        image.extend([0; 16]);
        image.extend(payload);
        image
    }

    #[test]
    fn the_release_is_the_first_word() {
        assert_eq!(release_in(&bzimage(b"")).as_deref(), Some("7.3.4-x"));
        assert_eq!(
            banner_in(b"..Linux version 6.1.0 (x)").as_deref(),
            Some("6.1.0")
        );
    }

    #[test]
    fn the_size_behind_the_payload_is_cut_off() {
        let xz = [0xfd, b'7', b'z', b'X', b'Z', 0, 1, 2, 9, 9, 9, 9];
        assert_eq!(payload(&bzimage(&xz)).unwrap(), &xz[..8]);
        let gzip = [0x1f, 0x8b, 8, 1, 2, 3];
        assert_eq!(payload(&bzimage(&gzip)).unwrap(), gzip);
    }

    #[test]
    fn a_short_or_unknown_image_has_no_payload() {
        assert!(payload(&bzimage(b"????????")).is_none());
        assert!(payload(&[0; 100]).is_none());
    }

    #[test]
    fn text_has_no_pvh_entry() {
        assert!(!has_pvh_entry(b"not an elf file"));
    }
}
