//! `cargo xtask setup`: installs what the project needs beyond the Rust toolchain.
//!
//! Every verb that needs it calls [`ensure`], which is quick when all is there. On Debian and Ubuntu
//! the missing packages are installed through apt-get, as root or through a sudo that asks no
//! password. Elsewhere, or without rights, each missing thing is named with its package. A program whose package
//! would start a service is taken out of it, into the cache.

mod need;
mod unpacked;

use std::fmt;
use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::process::{self, say};
pub(crate) use need::promtool;
use need::{CI_NEEDS, Family, NEEDS, Need};

/// Something is missing that could not be installed; the text names it.
#[derive(Debug)]
pub(crate) struct Missing(pub(crate) String);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Missing {}

/// Installs what is missing and says what there is.
pub(crate) fn run() -> Result<()> {
    ensure_all()?;
    say(format_args!(
        "setup: all {} things that bvecd needs are there",
        NEEDS.len() + CI_NEEDS.len()
    ));
    Ok(())
}

/// Installs what is missing; silent when nothing is.
pub(crate) fn ensure() -> Result<()> {
    ensure_of(&[NEEDS])
}

/// The same, with what only the checks of CI need.
pub(crate) fn ensure_all() -> Result<()> {
    ensure_of(&[NEEDS, CI_NEEDS])
}

fn ensure_of(needs: &[&'static [Need]]) -> Result<()> {
    let missing = missing(needs);
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = missing.iter().map(|need| need.name).collect();
    say(format_args!("setup: missing: {}", names.join(", ")));
    let os_release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let family = Family::of(&os_release);
    let Some(prefix) = rights().filter(|_| family == Some(Family::Debian)) else {
        return Err(Missing(table(&missing)).into());
    };
    install(&missing, &prefix)?;
    let still = self::missing(needs);
    if still.is_empty() {
        return Ok(());
    }
    Err(Missing(table(&still)).into())
}

fn missing(needs: &[&'static [Need]]) -> Vec<&'static Need> {
    let all = needs.iter().copied().flatten();
    all.filter(|need| !need.is_there()).collect()
}

/// What to write before a command that needs root: nothing as root, sudo if it asks no password.
fn rights() -> Option<Vec<&'static str>> {
    if nix::unistd::geteuid().is_root() {
        return Some(Vec::new());
    }
    let sudo = Command::new("sudo")
        .args(["-n", "true"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    sudo.is_ok_and(|status| status.success())
        .then(|| vec!["sudo", "-n"])
}

fn install(missing: &[&Need], prefix: &[&str]) -> Result<()> {
    let apt = |arguments: &[&str]| {
        let words = [
            prefix,
            &["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"],
            arguments,
        ];
        let words = words.concat();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).stdin(Stdio::null());
        process::run(&mut command)
    };
    apt(&["update"]).context("failed to fetch the package index")?;
    let packages = packages(missing);
    if !packages.is_empty() {
        let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
        arguments.extend(&packages);
        apt(&arguments).with_context(|| format!("failed to install {}", packages.join(" ")))?;
    }
    let unpacked = missing.iter().filter_map(|need| need.unpacked());
    for unpacked in unpacked {
        unpacked
            .fetch()
            .with_context(|| format!("failed to fetch {}", unpacked.program))?;
    }
    Ok(())
}

/// The Debian packages of the missing things that are installed, each once.
fn packages<'a>(missing: &[&'a Need]) -> Vec<&'a str> {
    let mut packages: Vec<_> = missing
        .iter()
        .filter(|need| need.unpacked().is_none())
        .flat_map(|need| need.debian.split(' '))
        .collect();
    packages.sort_unstable();
    packages.dedup();
    packages
}

/// A table of the missing things and their packages.
fn table(missing: &[&Need]) -> String {
    let rows = [["missing", "for", "Debian/Ubuntu", "Fedora", "Arch"]]
        .into_iter()
        .chain(
            missing
                .iter()
                .map(|n| [n.name, n.purpose, n.debian, n.fedora, n.arch]),
        );
    let rows: Vec<_> = rows.collect();
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<_> = (0..5).map(width).collect();
    let line = |row: &[&str; 5]| {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        format!("  {}", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    let lines: Vec<_> = rows.iter().map(line).collect();
    format!(
        "something that bvecd needs is missing and cannot be installed from here; install:\n{}",
        lines.join("\n")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_each_thing_and_its_packages() {
        let all: Vec<_> = NEEDS.iter().chain(CI_NEEDS).collect();
        let text = table(&all);
        for need in all {
            for cell in [need.name, need.debian, need.fedora, need.arch] {
                assert!(text.contains(cell), "{cell}");
            }
        }
    }

    #[test]
    fn packages_are_named_once() {
        let all: Vec<_> = NEEDS.iter().chain(NEEDS).chain(CI_NEEDS).collect();
        let packages = packages(&all);
        let mut unique = packages.clone();
        unique.dedup();
        assert_eq!(packages, unique);
        assert!(packages.contains(&"qemu-system-x86"));
        assert!(packages.contains(&"chromium"));
        assert!(!packages.contains(&"prometheus"), "it would start a server");
    }
}
