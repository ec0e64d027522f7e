//! The kernels in the cache, and how one gets there whole or not at all.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cache::{Cache, write_whole};
use crate::distribution::{Candidate, Distribution};
use crate::error::{At, Error};
use crate::kernel::Kernel;
use crate::version::Version;

/// A kernel in the cache, as its `kernel.json` describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachedKernel {
    /// What `uname -r` says.
    pub release: String,
    /// The package version.
    pub version: Version,
    /// The suite it was fetched from.
    pub suite: String,
}

impl CachedKernel {
    pub(crate) fn dir(&self, cache: &Cache) -> PathBuf {
        cache.path("kernels").join(&self.release)
    }

    pub(crate) fn open(&self, cache: &Cache) -> Kernel {
        let dir = self.dir(cache);
        Kernel {
            release: self.release.clone(),
            image: dir.join("image"),
            modules: Some(dir.join("modules")),
            origin: self.suite.clone(),
            signed_modules: true,
            derived: dir,
        }
    }
}

/// The kernels in the cache, newest first.
#[must_use]
pub fn cached_kernels(cache: &Cache) -> Vec<CachedKernel> {
    let Ok(entries) = fs::read_dir(cache.path("kernels")) else {
        return Vec::new();
    };
    let mut kernels: Vec<CachedKernel> = entries
        .flatten()
        .filter_map(|entry| fs::read(entry.path().join("kernel.json")).ok())
        .filter_map(|json| serde_json::from_slice(&json).ok())
        .collect();
    kernels.sort_by(|a, b| b.version.cmp(&a.version));
    kernels
}

/// Fetches a kernel into the cache; an interrupted fetch leaves nothing but a scratch directory.
pub(crate) fn fetch(
    candidate: &Candidate,
    distribution: &Distribution,
    cache: &Cache,
) -> Result<CachedKernel, Error> {
    let scratch = cache.scratch()?;
    distribution.fetch(cache, candidate, scratch.path())?;
    let kernel = CachedKernel {
        release: candidate.release.clone(),
        version: candidate.version.clone(),
        suite: candidate.suite.clone(),
    };
    let assembled = scratch.path().join("kernel");
    assemble(&scratch.path().join("root"), &kernel, &assembled)?;
    let place = kernel.dir(cache);
    let parent = cache.path("kernels");
    fs::create_dir_all(&parent).at("create", &parent)?;
    fs::rename(&assembled, &place).at("create", &place)?;
    Ok(kernel)
}

/// Moves what we need out of unpacked packages. Until 7.1 the image is in /boot; from 7.2 on it lies
/// beside the modules. With a merged /usr the modules are in /usr/lib, else in /lib.
fn assemble(root: &Path, kernel: &CachedKernel, place: &Path) -> Result<(), Error> {
    let release = &kernel.release;
    let modules = ["usr/lib/modules", "lib/modules"]
        .map(|dir| root.join(dir).join(release))
        .into_iter()
        .find(|dir| dir.is_dir())
        .ok_or_else(|| {
            Error::contents(root, format!("the packages have no modules of {release}"))
        })?;
    fs::create_dir_all(place).at("create", place)?;
    for (name, in_boot, needed) in [("image", "vmlinuz", true), ("config", "config", false)] {
        let from = [
            root.join("boot").join(format!("{in_boot}-{release}")),
            modules.join(in_boot),
        ]
        .into_iter()
        .find(|path| path.is_file());
        match from {
            Some(from) => fs::rename(&from, place.join(name)).at("move", &from)?,
            None if !needed => {}
            None => {
                let reason = format!("the packages have no {in_boot} of {release}");
                return Err(Error::contents(root, reason));
            }
        }
    }
    fs::rename(&modules, place.join("modules")).at("move", &modules)?;
    let json = serde_json::to_vec_pretty(kernel)
        .map_err(|error| Error::contents(&place.join("kernel.json"), error.to_string()))?;
    write_whole(&place.join("kernel.json"), &json)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cached(release: &str, version: &str) -> CachedKernel {
        CachedKernel {
            release: release.into(),
            version: Version::new(version),
            suite: "s".into(),
        }
    }

    fn put(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "x").unwrap();
    }

    #[test]
    fn both_package_layouts_are_assembled() {
        for (image, config, module) in [
            (
                "boot/vmlinuz-6.12.1-x",
                "boot/config-6.12.1-x",
                "lib/modules/6.12.1-x/kernel/a.ko",
            ),
            (
                "usr/lib/modules/6.12.1-x/vmlinuz",
                "usr/lib/modules/6.12.1-x/config",
                "usr/lib/modules/6.12.1-x/kernel/a.ko",
            ),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let root = dir.path().join("root");
            for path in [image, config, module] {
                put(&root.join(path));
            }
            let place = dir.path().join("place");
            assemble(&root, &cached("6.12.1-x", "6.12.1-1"), &place).unwrap();
            for path in ["image", "config", "modules/kernel/a.ko", "kernel.json"] {
                assert!(place.join(path).is_file(), "{path}");
            }
        }
    }
}
