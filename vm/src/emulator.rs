//! A newer QEMU than the host's, for guests whose virtual CPUs must run in parallel.
//!
//! Debian's backports of the host's own release have one that goes with the host's libraries. It is
//! fetched like a kernel, into the cache, and run from there: `-L` names its own firmware and, for the
//! BIOS, the host's. Nothing is installed.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cache::{Cache, write_whole};
use crate::distribution::Distribution;
use crate::error::{At, Error};
use crate::progress::Progress;
use crate::qemu::Qemu;
use crate::version::Version;

/// The packages that make an emulator of x86-64; what else they depend on is the host's.
const PATTERN: &str = "^qemu-system-(x86|common|data)$";
/// How many packages the pattern stands for.
const PACKAGES: usize = 3;
/// The one that has the program, and its version.
const MAIN_PACKAGE: &str = "qemu-system-x86";
/// Where the packages have the program.
const PROGRAM: &str = "usr/bin/qemu-system-x86_64";
/// Directories of firmware on the host, for what the packages do not have.
const HOST_FIRMWARE: [&str; 2] = ["/usr/share/seabios", "/usr/share/qemu"];

/// An emulator in the cache, as its `emulator.json` describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct CachedEmulator {
    version: Version,
    suite: String,
}

/// The emulator for virtual CPUs that run in parallel: `host` if it can, else a newer one.
///
/// # Errors
/// [`Error::NoParallel`] if none can be had.
pub(crate) fn parallel(host: Qemu, cache: &Cache, progress: &Progress) -> Result<Qemu, Error> {
    if host.has_reliable_threads() {
        return Ok(host);
    }
    let (major, minor) = host.version;
    let refuse = |why: String| Error::NoParallel {
        version: format!("{major}.{minor}"),
        reason: why,
    };
    if host.chosen {
        return Err(refuse("BVECD_QEMU names it".into()));
    }
    let lock = cache.lock(progress)?;
    let (emulator, qemu) = match cached(cache) {
        Some(emulator) => {
            let qemu = emulator.open(cache).map_err(|e| refuse(e.to_string()))?;
            (emulator, qemu)
        }
        None => fetch(cache, progress).map_err(|error| match error {
            Error::Option { reason, .. } => refuse(reason),
            error => refuse(format!("and a newer one cannot be had: failed to {error}")),
        })?,
    };
    drop(lock);
    progress.say(format!(
        "using QEMU {} of {}: this host's is {major}.{minor}, which does not run CPUs in parallel reliably",
        emulator.version.as_str(),
        emulator.suite
    ));
    Ok(qemu)
}

impl CachedEmulator {
    fn dir(&self, cache: &Cache) -> PathBuf {
        // A colon, as in `1:10.0.2`, separates directories in search paths.
        let name = self.version.as_str().replace(':', "_");
        cache.path("emulators").join(name)
    }

    /// Checks that it runs here, and that it is new enough.
    fn open(&self, cache: &Cache) -> Result<Qemu, Error> {
        open(&self.dir(cache).join("root"))
    }
}

fn open(root: &Path) -> Result<Qemu, Error> {
    let firmware = [root.join("usr/share/qemu")]
        .into_iter()
        .chain(HOST_FIRMWARE.map(PathBuf::from))
        .filter(|dir| dir.is_dir())
        .collect();
    let qemu = Qemu::at(root.join(PROGRAM), firmware)?;
    if qemu.has_reliable_threads() {
        return Ok(qemu);
    }
    let (major, minor) = qemu.version;
    Err(Error::contents(
        &qemu.path,
        format!("it is {major}.{minor}"),
    ))
}

/// The newest emulator in the cache.
fn cached(cache: &Cache) -> Option<CachedEmulator> {
    let entries = fs::read_dir(cache.path("emulators")).ok()?;
    entries
        .flatten()
        .filter_map(|entry| fs::read(entry.path().join("emulator.json")).ok())
        .filter_map(|json| serde_json::from_slice::<CachedEmulator>(&json).ok())
        .max_by(|a, b| a.version.cmp(&b.version))
}

/// Fetches one into the cache; an interrupted fetch leaves nothing but a scratch directory.
fn fetch(cache: &Cache, progress: &Progress) -> Result<(CachedEmulator, Qemu), Error> {
    let distribution = Distribution::of_host();
    let suite = distribution.backports().ok_or_else(|| Error::Option {
        option: "a newer QEMU".into(),
        reason: "and only for Debian is it known where a newer one is; install QEMU 8.1 or later, \
                 or name one with BVECD_QEMU"
            .into(),
    })?;
    let root = distribution.index(cache, &suite, progress)?;
    let packages = root.search(PATTERN)?;
    let main = packages.iter().find(|package| package.name == MAIN_PACKAGE);
    let (Some(main), PACKAGES) = (main, packages.len()) else {
        let reason = format!("and {suite} has none");
        let option = "a newer QEMU".into();
        return Err(Error::Option { option, reason });
    };
    let emulator = CachedEmulator {
        version: Version::new(&main.version),
        suite,
    };
    progress.say(format!(
        "fetching QEMU {} from {}",
        main.version, emulator.suite
    ));
    let scratch = cache.scratch()?;
    let names: Vec<_> = packages.into_iter().map(|package| package.name).collect();
    root.fetch(&names, scratch.path())?;
    open(&scratch.path().join("root"))?;
    let json = serde_json::to_vec_pretty(&emulator)
        .map_err(|error| Error::contents(scratch.path(), error.to_string()))?;
    write_whole(&scratch.path().join("emulator.json"), &json)?;
    let place = emulator.dir(cache);
    let parent = cache.path("emulators");
    fs::create_dir_all(&parent).at("create", &parent)?;
    fs::rename(scratch.keep(), &place).at("create", &place)?;
    let qemu = emulator.open(cache)?;
    Ok((emulator, qemu))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(version: (u32, u32), chosen: bool) -> Qemu {
        Qemu {
            version,
            chosen,
            ..Qemu::default()
        }
    }

    fn put(cache: &Cache, version: &str, says: &str) {
        use std::os::unix::fs::PermissionsExt;
        let emulator = CachedEmulator {
            version: Version::new(version),
            suite: "s-backports".into(),
        };
        let dir = emulator.dir(cache);
        let json = serde_json::to_vec(&emulator).unwrap();
        write_whole(&dir.join("emulator.json"), &json).unwrap();
        let program = dir.join("root").join(PROGRAM);
        let script = format!("#!/bin/sh\necho 'QEMU emulator version {says}'\n");
        write_whole(&program, script.as_bytes()).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir_all(dir.join("root/usr/share/qemu")).unwrap();
    }

    #[test]
    fn a_host_that_can_needs_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(dir.path()).unwrap();
        let qemu = parallel(host((9, 2), false), &cache, &Progress::new(true)).unwrap();
        assert_eq!(qemu, host((9, 2), false));
    }

    #[test]
    fn one_that_the_user_chose_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(dir.path()).unwrap();
        put(&cache, "1:10.0.2", "10.0.2");
        let error = parallel(host((7, 2), true), &cache, &Progress::new(true)).unwrap_err();
        assert_eq!(error.exit_code(), 4);
        let message = error.to_string();
        assert!(
            message.contains("7.2") && message.contains("BVECD_QEMU"),
            "{message}"
        );
    }

    #[test]
    fn the_newest_in_the_cache_is_taken_with_its_own_firmware_first() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(dir.path()).unwrap();
        put(&cache, "1:9.2.0", "9.2.0");
        put(&cache, "1:10.0.2", "10.0.2");
        let qemu = parallel(host((7, 2), false), &cache, &Progress::new(true)).unwrap();
        assert_eq!(qemu.version, (10, 0));
        let root = cache.path("emulators/1_10.0.2/root");
        assert_eq!(qemu.path, root.join(PROGRAM));
        assert_eq!(qemu.firmware.first(), Some(&root.join("usr/share/qemu")));
    }

    #[test]
    fn one_that_is_too_old_as_well_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(dir.path()).unwrap();
        put(&cache, "1:7.2.1", "7.2.1");
        let error = parallel(host((7, 2), false), &cache, &Progress::new(true)).unwrap_err();
        assert_eq!(error.exit_code(), 4, "{error}");
    }
}
