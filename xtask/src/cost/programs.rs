//! Builds what runs in the guest.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::process::{self, cargo, root};

/// The server that answers at once (ublk/examples).
const FLOOR: &str = "commit_at_once";
/// What changes rules while fio runs (api/examples).
const SWAPS: &str = "swap_rules";
/// The programs of bvecd.
const PROGRAMS: [&str; 2] = ["bvecd", "bvecctl"];

/// bvecd and its client, as they are shipped. The guest's init is looked for beside this program, so it is
/// built as this program is.
pub(super) fn bvecd() -> Result<Vec<PathBuf>> {
    process::run(&mut cargo(&["build", "--package", "vm", "--bins"]))?;
    process::run(&mut cargo(RELEASE))?;
    let built = target().join("release");
    Ok(PROGRAMS.map(|name| built.join(name)).to_vec())
}

/// How they are built.
pub(super) const RELEASE: &[&str] = &[
    "build",
    "--release",
    "--bins",
    "--package",
    "daemon",
    "--package",
    "ctl",
];

/// The server that everything else is above.
pub(super) fn floor() -> Result<PathBuf> {
    example("ublk", FLOOR)
}

/// What asks for zeroes to be written.
pub(super) fn write_zeroes() -> Result<PathBuf> {
    example("xtask", "write_zeroes")
}

/// bvecd with and without the fault engine, and what changes rules.
pub(super) fn faults() -> Result<Vec<PathBuf>> {
    let mut without = cargo(&["build", "--release", "--bins", "--package", "daemon"]);
    process::run(without.args(["--features", "without-faults"]))?;
    let without = keep(&target().join("release"), "-without-faults", &["bvecd"])?;
    // After it, so that cargo's directory is left with the bvecd that people expect there.
    let mut programs = bvecd()?;
    programs.extend(without);
    programs.push(example("api", SWAPS)?);
    Ok(programs)
}

/// Copies of bvecd and its client that the next build does not replace.
pub(super) fn keep_all(built: &Path, suffix: &str) -> Result<Vec<PathBuf>> {
    keep(built, suffix, &PROGRAMS)
}

fn keep(built: &Path, suffix: &str, names: &[&str]) -> Result<Vec<PathBuf>> {
    let directory = target().join("cost/programs");
    fs::create_dir_all(&directory)
        .with_context(|| format!("failed to make {}", directory.display()))?;
    let copy = |name: &&str| {
        let (from, to) = (built.join(name), directory.join(format!("{name}{suffix}")));
        fs::copy(&from, &to)
            .with_context(|| format!("failed to copy {} to {}", from.display(), to.display()))?;
        Ok(to)
    };
    names.iter().map(copy).collect()
}

fn example(package: &str, name: &str) -> Result<PathBuf> {
    process::run(cargo(&["build", "--release"]).args(["--package", package, "--example", name]))?;
    Ok(target().join("release/examples").join(name))
}

/// Cargo's directory, which is not among the variables that it sets for us.
pub(super) fn target() -> PathBuf {
    directory(env::var_os("CARGO_TARGET_DIR"))
}

/// Absolute, since cargo also runs in another revision's tree, and would take a relative one from there: what it
/// built would be left in the tree, and this revision compared with itself.
fn directory(told: Option<OsString>) -> PathBuf {
    told.map_or_else(|| root().join("target"), |told| root().join(told))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_revision_is_built_where_its_programs_are_looked_for() {
        assert!(root().join("Cargo.lock").exists(), "{:?}", root());
        for told in [None, Some("elsewhere".into()), Some("/var/tmp/t".into())] {
            assert!(directory(told.clone()).is_absolute(), "{told:?}");
        }
    }
}
