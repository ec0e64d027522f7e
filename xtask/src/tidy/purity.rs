//! The fault engine is a function: no clock, no entropy, no threads, no I/O.

use super::Finding;
use super::tree::{Tree, code_lines, has_word};

/// What the engine must not know, and why.
const FORBIDDEN: [(&str, &str); 13] = [
    ("Instant", "time comes in as an argument"),
    ("SystemTime", "time comes in as an argument"),
    ("HashMap", "its order differs from run to run; use BTreeMap"),
    ("HashSet", "its order differs from run to run; use BTreeSet"),
    ("RandomState", "it draws from the system's entropy"),
    ("OsRng", "the seed comes in as an argument"),
    ("SysRng", "the seed comes in as an argument"),
    ("getrandom", "the seed comes in as an argument"),
    ("std::thread", "it has no threads"),
    ("std::fs", "it does no I/O"),
    ("std::net", "it does no I/O"),
    ("std::process", "it does no I/O"),
    ("std::env", "it does no I/O"),
];

/// Finds impure code in `fault/src`, tests aside.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree
        .sources()
        .filter(|(path, _)| path.starts_with("fault/src"))
    {
        for (line, code) in code_lines(text) {
            // House style puts a file's tests last.
            if code.trim() == "#[cfg(test)]" {
                break;
            }
            for (word, reason) in FORBIDDEN {
                if has_word(&code, word) {
                    let what = format!("{word} in the fault engine: {reason}");
                    findings.push(Finding::new(path, line, what));
                }
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_impurity_is_found() {
        for (word, _) in FORBIDDEN {
            let text = format!("// {word} is only named here\nuse x::{word};\n");
            let found = check(&Tree::of(&[("fault/src/engine.rs", &text)]));
            assert_eq!(found.len(), 1, "{word}");
            assert_eq!(found[0].line, 2, "{word}");
        }
    }

    #[test]
    fn tests_and_other_crates_may() {
        let tree = Tree::of(&[
            (
                "fault/src/a.rs",
                "fn f() {}\n#[cfg(test)]\nmod tests { use std::thread; }\n",
            ),
            ("daemon/src/a.rs", "use std::collections::HashMap;\n"),
        ]);
        assert_eq!(check(&tree), []);
    }
}
