//! Programs without their debugging information.
//!
//! A Rust program built for development is mostly debugging information, which the guest would
//! unpack into memory at every boot: about a second per 60 MB under TCG. Function names stay, so a
//! backtrace is still readable.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use object::Object;

use crate::cache::Cache;
use crate::tool;

/// Below this size it is not worth the trouble.
const SMALL_BYTES: u64 = 4 << 20;

/// Returns a file to pack in place of `program`: a slimmer one from the cache if that can be had.
pub(crate) fn slim(program: &Path, cache: &Cache) -> PathBuf {
    try_slim(program, cache).unwrap_or_else(|| program.to_owned())
}

fn try_slim(program: &Path, cache: &Cache) -> Option<PathBuf> {
    let meta = program.metadata().ok()?;
    if meta.len() < SMALL_BYTES {
        return None;
    }
    let place = place_of(program, cache);
    if is_current(&place, meta.modified().ok()?) {
        return Some(place);
    }
    let bytes = fs::read(program).ok()?;
    object::File::parse(bytes.as_slice())
        .ok()?
        .section_by_name(".debug_info")?;
    // Part of the tools that link a Rust program; without it the program is packed as it is.
    let strip = tool::find("strip")?;
    let dir = place.parent()?;
    fs::create_dir_all(dir).ok()?;
    let slim = tempfile::NamedTempFile::new_in(dir).ok()?;
    tool::output(
        Command::new(strip)
            .arg("--strip-debug")
            .arg("-o")
            .arg(slim.path())
            .arg(program),
    )
    .ok()?;
    fs::set_permissions(slim.path(), meta.permissions()).ok()?;
    // A slim file is current if it carries its original's time. strip may have replaced the file
    // that was open, so the path counts.
    fs::File::open(slim.path())
        .ok()?
        .set_modified(meta.modified().ok()?)
        .ok()?;
    slim.persist(&place).ok()?;
    Some(place)
}

/// One place for each path, so that a program that is built again replaces its older self.
fn place_of(program: &Path, cache: &Cache) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    program.hash(&mut hasher);
    cache.path("slim").join(format!("{:016x}", hasher.finish()))
}

fn is_current(place: &Path, original: SystemTime) -> bool {
    place
        .metadata()
        .and_then(|meta| meta.modified())
        .is_ok_and(|time| time == original)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_files_and_texts_stay_what_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(dir.path().join("cache")).unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "#!/bin/sh\n").unwrap();
        assert_eq!(slim(&file, &cache), file);
        fs::write(&file, vec![b'x'; 5 << 20]).unwrap();
        assert_eq!(slim(&file, &cache), file);
    }

    #[test]
    fn a_program_built_again_is_not_taken_from_the_cache() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("slim");
        fs::write(&place, "x").unwrap();
        let time = place.metadata().unwrap().modified().unwrap();
        assert!(is_current(&place, time));
        assert!(!is_current(
            &place,
            time + std::time::Duration::from_nanos(1)
        ));
    }
}
