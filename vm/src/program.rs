//! The programs that go into the guest, with the libraries they are linked to.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use object::LittleEndian;
use object::elf::{FileHeader64, PT_INTERP};
use object::read::elf::{FileHeader, ProgramHeader};

use crate::error::{At, Error};
use crate::tool;

/// A program of the host and the files it needs at the same paths in the guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Program {
    /// The name that the guest calls it by.
    pub(crate) name: String,
    /// The file.
    pub(crate) path: PathBuf,
    /// Its dynamic loader and libraries.
    pub(crate) libraries: BTreeSet<PathBuf>,
}

impl Program {
    /// Finds a program by its path, or by its name on the search path.
    ///
    /// # Errors
    /// If there is none, or its libraries are not there.
    pub(crate) fn find(program: &Path) -> Result<Self, Error> {
        let path = match program.to_str() {
            Some(name) if !name.contains('/') => {
                tool::find(name).ok_or_else(|| Error::MissingProgram {
                    program: name.to_owned(),
                    package: "that has it",
                })?
            }
            _ => program.to_owned(),
        };
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .ok_or_else(|| Error::contents(&path, "it is not the name of a program"))?
            .to_owned();
        let path = path.canonicalize().at("find the program", &path)?;
        let libraries = libraries_of(&path)?;
        Ok(Self {
            name,
            path,
            libraries,
        })
    }
}

/// Asks the program's own dynamic loader what it would load, as ldd(1) does, but without running
/// the program: `ld.so --list` only maps it.
fn libraries_of(path: &Path) -> Result<BTreeSet<PathBuf>, Error> {
    let bytes = fs::read(path).at("read", path)?;
    let Some(loader) = loader_of(&bytes) else {
        return Ok(BTreeSet::new());
    };
    let listed = tool::output(Command::new(&loader).arg("--list").arg(path))?;
    let listed = String::from_utf8_lossy(&listed);
    let mut libraries = parse_list(&listed).map_err(|missing| {
        Error::contents(path, format!("its library {missing} is not installed"))
    })?;
    libraries.insert(loader);
    Ok(libraries)
}

/// The dynamic loader that an ELF program names; none for a static program or a script.
fn loader_of(bytes: &[u8]) -> Option<PathBuf> {
    let header = FileHeader64::<LittleEndian>::parse(bytes).ok()?;
    let endian = header.endian().ok()?;
    let segments = header.program_headers(endian, bytes).ok()?;
    let interp = segments
        .iter()
        .find(|segment| segment.p_type(endian) == PT_INTERP)?;
    let text = interp.data(endian, bytes).ok()?;
    let text = std::str::from_utf8(text.strip_suffix(b"\0")?).ok()?;
    Some(PathBuf::from(text))
}

/// Reads lines such as `libc.so.6 => /lib/libc.so.6 (0x7f)` and `/lib64/ld.so (0x7f)`.
fn parse_list(text: &str) -> Result<BTreeSet<PathBuf>, String> {
    let mut libraries = BTreeSet::new();
    for line in text.lines() {
        let (name, target) = match line.split_once("=>") {
            Some((name, target)) => (name.trim(), target.trim()),
            None => (line.trim(), line.trim()),
        };
        if target.starts_with("not found") {
            return Err(name.to_owned());
        }
        let target = target.rsplit_once(" (").map_or(target, |(path, _)| path);
        // The vDSO has a name but no file.
        if target.starts_with('/') {
            libraries.insert(PathBuf::from(target));
        }
    }
    Ok(libraries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loaders_list_is_read() {
        let found = parse_list(
            "\tlinux-vdso.so.1 (0x00007ffc)\n\
             \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\
             \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n",
        )
        .unwrap();
        let found: Vec<_> = found.iter().map(|path| path.to_str().unwrap()).collect();
        assert_eq!(
            found,
            [
                "/lib/x86_64-linux-gnu/libc.so.6",
                "/lib64/ld-linux-x86-64.so.2"
            ]
        );
    }

    #[test]
    fn a_missing_library_is_named() {
        assert_eq!(
            parse_list("\tliburing.so.2 => not found\n"),
            Err("liburing.so.2".to_owned())
        );
    }

    #[test]
    fn a_script_has_no_loader() {
        assert_eq!(loader_of(b"#!/bin/sh\n"), None);
    }
}
