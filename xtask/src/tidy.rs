//! `cargo xtask tidy`: the invariants of the architecture, checked.
//!
//! ARCHITECTURE.md states them. A check is a function of the [`Tree`] alone, so that its test can
//! plant the defect it looks for.

mod arrows;
mod destination;
mod purity;
mod shape;
mod tree;
mod words;

use std::fmt;
use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::process::{root, say};
use tree::Tree;

/// A place where an invariant does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    file: PathBuf,
    /// Counted from 1; 0 means the whole file.
    line: usize,
    what: String,
}

impl Finding {
    fn new(file: impl Into<PathBuf>, line: usize, what: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            line,
            what: what.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        write!(f, ": {}", self.what)
    }
}

/// Runs every check; each finding is a line.
pub(crate) fn run() -> Result<()> {
    let tree = Tree::read(&root())?;
    let mut findings = arrows::check(&arrows::read()?);
    for check in [
        destination::check,
        shape::lengths,
        shape::unsafe_code,
        purity::check,
        words::check,
    ] {
        findings.extend(check(&tree));
    }
    for finding in &findings {
        say(finding);
    }
    match findings.len() {
        0 => {
            say(format_args!(
                "tidy: {} files, nothing found",
                tree.files().count()
            ));
            Ok(())
        }
        count => bail!("tidy found {count} places that break an invariant"),
    }
}
