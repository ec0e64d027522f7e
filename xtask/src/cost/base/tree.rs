//! Another revision's files, as long as they are needed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::BadUsage;
use crate::process::{output, root, say};

/// The commit that a revision is.
///
/// # Errors
/// There is none, which is [`BadUsage`].
pub(super) fn commit(revision: &str) -> Result<String> {
    let name = format!("{revision}^{{commit}}");
    let words = [
        "rev-parse",
        "--verify",
        "--quiet",
        "--end-of-options",
        &name,
    ];
    let commit = output(git(&root()).args(words))
        .map_err(|_| BadUsage(format!("--base: git knows no revision `{revision}`")))?;
    Ok(commit.trim().to_owned())
}

/// A work tree of git's. It goes when this does.
#[derive(Debug)]
pub(super) struct Tree {
    repository: PathBuf,
    path: PathBuf,
}

impl Tree {
    /// Checks a commit of our repository out.
    ///
    /// # Errors
    /// Git's.
    pub(super) fn check_out(commit: &str, path: PathBuf) -> Result<Self> {
        Self::of(root(), commit, path)
    }

    fn of(repository: PathBuf, commit: &str, path: PathBuf) -> Result<Self> {
        // Before git begins, so that what it leaves when it fails goes too; and what was left by a run that was
        // killed.
        let tree = Self { repository, path };
        tree.remove()?;
        let words = ["worktree", "add", "--quiet", "--force", "--detach"];
        output(
            git(&tree.repository)
                .args(words)
                .arg(&tree.path)
                .arg(commit),
        )?;
        Ok(tree)
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn remove(&self) -> Result<()> {
        if self.path.exists() {
            fs::remove_dir_all(&self.path)
                .with_context(|| format!("failed to remove {}", self.path.display()))?;
        }
        // Git forgets work trees that are not there.
        output(git(&self.repository).args(["worktree", "prune"]))?;
        Ok(())
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            say(format_args!("error: {error:#}"));
        }
    }
}

fn git(directory: &Path) -> Command {
    let mut git = Command::new("git");
    git.arg("-C").arg(directory);
    git
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository() -> (tempfile::TempDir, String) {
        let directory = tempfile::tempdir().unwrap();
        let run = |words: &[&str]| output(git(directory.path()).args(words)).unwrap();
        run(&["init", "--quiet"]);
        fs::write(directory.path().join("file"), "1").unwrap();
        run(&["add", "file"]);
        run(&[
            "-c",
            "user.name=x",
            "-c",
            "user.email=x@example.org",
            "commit",
            "--quiet",
            "-m",
            "1",
        ]);
        let commit = run(&["rev-parse", "HEAD"]).trim().to_owned();
        (directory, commit)
    }

    fn trees(repository: &Path) -> usize {
        let list = output(git(repository).args(["worktree", "list"])).unwrap();
        list.lines().count()
    }

    #[test]
    fn a_tree_goes_when_it_is_not_needed() {
        let (directory, commit) = repository();
        let path = directory.path().join("below/tree");
        let tree = Tree::of(directory.path().into(), &commit, path.clone()).unwrap();
        assert_eq!(fs::read_to_string(tree.path().join("file")).unwrap(), "1");
        assert_eq!(trees(directory.path()), 2);
        drop(tree);
        assert!(!path.exists());
        assert_eq!(trees(directory.path()), 1);
    }

    #[test]
    fn what_a_killed_run_left_is_no_obstacle() {
        let (directory, commit) = repository();
        let path = directory.path().join("tree");
        let left = Tree::of(directory.path().into(), &commit, path.clone()).unwrap();
        std::mem::forget(left);
        let tree = Tree::of(directory.path().into(), &commit, path.clone()).unwrap();
        drop(tree);
        assert!(!path.exists());
    }

    #[test]
    fn a_checkout_that_fails_leaves_nothing() {
        let (directory, _) = repository();
        let path = directory.path().join("tree");
        Tree::of(directory.path().into(), "nothing", path.clone()).unwrap_err();
        assert!(!path.exists());
        assert_eq!(trees(directory.path()), 1);
    }

    #[test]
    fn no_revision_is_bad_usage() {
        let error = commit("no-such-revision").unwrap_err();
        assert!(error.is::<BadUsage>(), "{error:#}");
    }
}
