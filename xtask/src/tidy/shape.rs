//! The shape of sources: how long a file may be, and where unsafe code may stand.

use std::path::Path;

use super::Finding;
use super::tree::{Tree, code_lines, has_word};

const FILE_LINES_MAX: usize = 400;

/// Crates that may make raw system calls, each in one module.
const WITH_SYS: [&str; 4] = [
    "ctl/src/sys.rs",
    "lab/src/sys.rs",
    "tests/src/sys.rs",
    "vm/src/sys.rs",
];

/// Where such a module is too long for one file.
const SYS_FOLDERS: [&str; 1] = ["lab/src/sys"];

/// Finds sources that are too long.
pub(super) fn lengths(tree: &Tree) -> Vec<Finding> {
    tree.sources()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > FILE_LINES_MAX)
        .map(|(path, lines)| {
            Finding::new(path, 0, format!("{lines} lines; {FILE_LINES_MAX} at most"))
        })
        .collect()
}

/// Finds unsafe code outside `ublk/` and the `sys.rs` files.
pub(super) fn unsafe_code(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.sources().filter(|(path, _)| !may_be_unsafe(path)) {
        for (line, code) in code_lines(text) {
            if has_word(&code, "unsafe") {
                let what = "unsafe code belongs in ublk/ or in the crate's sys.rs";
                findings.push(Finding::new(path, line, what));
            }
        }
    }
    findings
}

fn may_be_unsafe(path: &Path) -> bool {
    path.starts_with("ublk")
        || WITH_SYS.iter().any(|allowed| path == Path::new(allowed))
        || SYS_FOLDERS.iter().any(|allowed| path.starts_with(allowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_file_is_found() {
        let long = "\n".repeat(FILE_LINES_MAX + 1);
        let fits = "\n".repeat(FILE_LINES_MAX);
        let tree = Tree::of(&[
            ("a/src/long.rs", &long),
            ("a/src/fits.rs", &fits),
            ("b.md", &long),
        ]);
        let found = lengths(&tree);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].file, Path::new("a/src/long.rs"));
    }

    #[test]
    fn unsafe_code_in_the_wrong_place_is_found() {
        let block = "fn f() {\n    unsafe { g() }\n}\n";
        let tree = Tree::of(&[
            ("daemon/src/sys.rs", block),
            ("vm/src/run.rs", block),
            ("vm/src/sys.rs", block),
            ("vm/src/sys/more.rs", block),
            ("lab/src/sys/area.rs", block),
            ("ublk/src/ring.rs", block),
            (
                "api/src/lib.rs",
                "#![forbid(unsafe_code)]\n// unsafe is not used here\n",
            ),
        ]);
        let found: Vec<_> = unsafe_code(&tree)
            .into_iter()
            .map(|finding| (finding.file.display().to_string(), finding.line))
            .collect();
        assert_eq!(
            found,
            [
                ("daemon/src/sys.rs".to_owned(), 2),
                ("vm/src/run.rs".to_owned(), 2),
                ("vm/src/sys/more.rs".to_owned(), 2)
            ]
        );
    }
}
