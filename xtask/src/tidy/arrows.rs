//! Which crate may depend on which: the arrows of ARCHITECTURE.md.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::Finding;
use crate::process::{cargo, output};

/// Each crate of the workspace and the others it may depend on.
const ALLOWED: [(&str, &[&str]); 11] = [
    ("ublk", &[]),
    ("fault", &[]),
    ("pages", &[]),
    ("vm", &[]),
    ("api", &["fault"]),
    ("lab", &["api", "pages"]),
    ("bench", &["api", "pages"]),
    ("daemon", &["api", "fault", "ublk"]),
    ("ctl", &["api", "bench", "lab", "pages", "vm"]),
    ("tests", &["api", "pages", "ublk"]),
    ("xtask", &["vm"]),
];

#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

/// A crate of the workspace, as `cargo metadata` tells it.
#[derive(Debug, Deserialize)]
pub(super) struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    name: String,
    /// Only dependencies inside the workspace have a path.
    path: Option<String>,
}

/// Asks cargo.
pub(super) fn read() -> Result<Vec<Package>> {
    let json = output(&mut cargo(&[
        "metadata",
        "--format-version",
        "1",
        "--no-deps",
    ]))?;
    let metadata: Metadata =
        serde_json::from_str(&json).context("failed to read the output of cargo metadata")?;
    Ok(metadata.packages)
}

/// Finds arrows that are not drawn, for use in tests and build scripts as well.
pub(super) fn check(packages: &[Package]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in packages {
        let manifest = format!("{}/Cargo.toml", package.name);
        let allowed = ALLOWED.iter().find(|(name, _)| *name == package.name);
        let Some((_, allowed)) = allowed else {
            findings.push(Finding::new(
                manifest,
                0,
                format!(
                    "the crate {} is not in the drawing of the house",
                    package.name
                ),
            ));
            continue;
        };
        let inner: BTreeSet<_> = package
            .dependencies
            .iter()
            .filter(|dependency| dependency.path.is_some())
            .map(|dependency| dependency.name.as_str())
            .collect();
        for name in inner.into_iter().filter(|name| !allowed.contains(name)) {
            findings.push(Finding::new(
                &manifest,
                0,
                format!(
                    "{} must not depend on {name}; it may depend on: {}",
                    package.name,
                    if allowed.is_empty() {
                        "nothing".into()
                    } else {
                        allowed.join(", ")
                    }
                ),
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, inner: &[&str]) -> Package {
        let dependency = |name: &&str| Dependency {
            name: (*name).to_owned(),
            path: (*name != "libc").then(String::new),
        };
        Package {
            name: name.into(),
            dependencies: inner.iter().map(dependency).collect(),
        }
    }

    #[test]
    fn the_drawn_arrows_pass() {
        let packages = [
            package("daemon", &["api", "fault", "ublk", "libc"]),
            package("vm", &["libc"]),
        ];
        assert_eq!(check(&packages), []);
    }

    #[test]
    fn a_forbidden_arrow_is_found() {
        let found = check(&[package("fault", &["api"]), package("ctl", &["daemon"])]);
        assert_eq!(found.len(), 2);
        assert!(
            found[0].what.contains("fault must not depend on api"),
            "{found:?}"
        );
    }

    #[test]
    fn an_undrawn_crate_is_found() {
        let found = check(&[package("common", &[])]);
        assert!(found[0].what.contains("common"), "{found:?}");
    }
}
