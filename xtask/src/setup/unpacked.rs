//! Programs that are taken out of a package without installing it, because that would start a service.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::process;

/// A program that a package of Debian has, and the package.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unpacked {
    pub(super) program: &'static str,
    pub(super) package: &'static str,
}

impl Unpacked {
    /// Where it is: in the cache.
    ///
    /// # Errors
    /// There is no place for a cache.
    pub(super) fn path(self) -> Result<PathBuf> {
        Ok(vm::Cache::open()?.path(format!("programs/{}", self.program)))
    }

    /// Fetches it into the cache. The package index must be there; apt needs no rights for it.
    ///
    /// # Errors
    /// The package cannot be fetched, or does not have the program.
    pub(super) fn fetch(self) -> Result<()> {
        let place = self.path()?;
        let directory = place.parent().context("the cache has no directory")?;
        fs::create_dir_all(directory)
            .with_context(|| format!("failed to make {}", directory.display()))?;
        // Beside its place, so that it gets there by one rename.
        let scratch = tempfile::tempdir_in(directory).context("failed to make a directory")?;
        let apt = ["-q", "download", self.package];
        process::run(
            Command::new("apt-get")
                .args(apt)
                .current_dir(scratch.path())
                .stdin(Stdio::null()),
        )?;
        let root = scratch.path().join("root");
        process::run(
            Command::new("dpkg-deb")
                .arg("--extract")
                .arg(only_package(scratch.path())?)
                .arg(&root),
        )?;
        let program = root.join("usr/bin").join(self.program);
        ensure!(
            program.is_file(),
            "the package {} has no {}",
            self.package,
            self.program
        );
        fs::rename(&program, &place)
            .with_context(|| format!("failed to put {} there", place.display()))
    }
}

/// The package that was fetched into a directory; its name has its version.
fn only_package(directory: &Path) -> Result<PathBuf> {
    let entries = fs::read_dir(directory).context("failed to list what was fetched")?;
    let mut packages = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|it| it == "deb"));
    packages.next().context("apt-get has fetched no package")
}
