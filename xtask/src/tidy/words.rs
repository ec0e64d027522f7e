//! Words that do not belong into the repository: those that hide the direction of a request, and
//! those that tie it to one machine.

use super::Finding;
use super::tree::Tree;

/// Each text (in lower case, put together so that this file does not contain it), and what to do.
const BANNED: [(&str, &str); 13] = [
    (
        concat!("read ", "buffer"),
        "say destination: it receives data",
    ),
    (concat!("write ", "buffer"), "say source: it supplies data"),
    (concat!("/work", "/main"), "a path of one machine"),
    (concat!("/work", "/shared"), "a path of one machine"),
    (concat!("/tmp", "/brief"), "a path of one machine"),
    (concat!("/ho", "me/"), "a path of one machine"),
    (
        concat!("crates", ".io"),
        "leave registries to cargo's configuration",
    ),
    (
        concat!("deb.debian", ".org"),
        "the mirror is what the host's sources say",
    ),
    (
        concat!("security.debian", ".org"),
        "the mirror is what the host's sources say",
    ),
    (
        concat!("archive.ubuntu", ".com"),
        "the mirror is what the host's sources say",
    ),
    (concat!("pypi", ".org"), "leave registries to their tools"),
    (concat!("npmjs", ".org"), "leave registries to their tools"),
    (
        concat!("proxy.golang", ".org"),
        "leave registries to their tools",
    ),
];

/// Cargo writes the registry into its lock file.
const EXEMPT: &str = "Cargo.lock";

/// Finds the words in every text file.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.files().filter(|(path, _)| !path.ends_with(EXEMPT)) {
        for (index, line) in text.lines().enumerate() {
            let lower = line.to_lowercase();
            for (word, advice) in BANNED.iter().filter(|(word, _)| lower.contains(word)) {
                findings.push(Finding::new(path, index + 1, format!("{word:?}: {advice}")));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_is_found_in_any_case() {
        for (word, _) in BANNED {
            let text = format!("fine\nsome {} here\n", word.to_uppercase());
            let found = check(&Tree::of(&[("docs/a.md", &text)]));
            assert_eq!(found.len(), 1, "{word}");
            assert_eq!(found[0].line, 2, "{word}");
        }
    }

    #[test]
    fn the_lock_file_names_the_registry() {
        let registry = BANNED[6].0;
        assert_eq!(check(&Tree::of(&[("Cargo.lock", registry)])), []);
    }

    #[test]
    fn this_file_is_clean() {
        let tree = Tree::of(&[("xtask/src/tidy/words.rs", include_str!("words.rs"))]);
        assert_eq!(check(&tree), []);
    }
}
