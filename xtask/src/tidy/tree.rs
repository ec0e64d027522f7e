//! The text files of the repository.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::output;

/// The text files that are tracked, or would be: path relative to the root, and contents.
#[derive(Debug, Default)]
pub(super) struct Tree(BTreeMap<PathBuf, String>);

impl Tree {
    /// Reads the files that git tracks or does not ignore. Files that are not text are left out.
    pub(super) fn read(root: &Path) -> Result<Self> {
        let list = output(Command::new("git").current_dir(root).args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ]))
        .context("failed to list the files of the repository")?;
        let files = list
            .split('\0')
            .filter(|path| !path.is_empty())
            // A file that was deleted but not committed yet is in the list and not on the disk.
            .filter_map(|path| Some((path.into(), fs::read_to_string(root.join(path)).ok()?)))
            .collect();
        Ok(Self(files))
    }

    /// A tree with these files.
    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        Self(
            files
                .iter()
                .map(|(path, text)| (path.into(), (*text).to_owned()))
                .collect(),
        )
    }

    /// Every file with its contents.
    pub(super) fn files(&self) -> impl Iterator<Item = (&Path, &str)> {
        self.0
            .iter()
            .map(|(path, text)| (path.as_path(), text.as_str()))
    }

    /// Every Rust source.
    pub(super) fn sources(&self) -> impl Iterator<Item = (&Path, &str)> {
        self.files()
            .filter(|(path, _)| path.extension().is_some_and(|ext| ext == "rs"))
    }

    /// The contents of one file.
    pub(super) fn get(&self, path: &str) -> Option<&str> {
        self.0.get(Path::new(path)).map(String::as_str)
    }
}

/// The lines of a Rust source without comments and strings, numbered from 1. It is rough (a string
/// over several lines counts as code), which is enough to look for words.
pub(super) fn code_lines(text: &str) -> impl Iterator<Item = (usize, String)> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, code_of(line)))
}

fn code_of(line: &str) -> String {
    let mut code = String::new();
    let mut in_string = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' if in_string => {
                chars.next();
            }
            '"' => in_string = !in_string,
            // A quotation mark as a character literal opens no string.
            '\'' if !in_string && chars.peek() == Some(&'"') => {
                chars.next();
            }
            '/' if !in_string && chars.peek() == Some(&'/') => break,
            c if !in_string => code.push(c),
            _ => {}
        }
    }
    code
}

/// Says whether the code has the word, not only as a part of another.
pub(super) fn has_word(code: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        !before.is_some_and(part) && !after.is_some_and(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_strings_are_no_code() {
        let text = "let a = \"unsafe // {\"; b // unsafe\n/// unsafe\nlet q = '\"'; c";
        let lines: Vec<_> = code_lines(text).map(|(_, code)| code).collect();
        assert!(!has_word(&lines[0], "unsafe") && has_word(&lines[0], "b"));
        assert!(!has_word(&lines[1], "unsafe"));
        assert!(has_word(&lines[2], "c"));
    }

    #[test]
    fn words_are_whole() {
        assert!(has_word("unsafe {", "unsafe"));
        assert!(!has_word("unsafe_code", "unsafe"));
        assert!(!has_word("not_unsafe", "unsafe"));
    }
}
