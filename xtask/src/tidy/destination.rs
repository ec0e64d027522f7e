//! A destination request passes five files; ARCHITECTURE.md tells its path.

use super::Finding;
use super::tree::Tree;

/// The files in the order in which the request passes them.
const PATH: [&str; 5] = [
    "ublk/src/queue.rs",
    "daemon/src/queue.rs",
    "fault/src/engine.rs",
    "daemon/src/target/loop_file.rs",
    "ublk/src/data_path/auto_zero_copy.rs",
];

const GUIDE: &str = "ARCHITECTURE.md";

/// Finds files of the path that are gone or that the guide does not name.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let Some(guide) = tree.get(GUIDE) else {
        return vec![Finding::new(
            GUIDE,
            0,
            "it is missing; it tells the path of a request",
        )];
    };
    for file in PATH {
        if tree.get(file).is_none() {
            findings.push(Finding::new(
                file,
                0,
                "a destination request passes it, but it is gone",
            ));
        }
        if !guide.contains(file) {
            let what =
                format!("the path of a destination request passes {file}, which is not named");
            findings.push(Finding::new(GUIDE, 0, what));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_path_passes() {
        let guide = PATH.join(" -> ");
        let mut files: Vec<_> = PATH.iter().map(|file| (*file, "")).collect();
        files.push((GUIDE, &guide));
        assert_eq!(check(&Tree::of(&files)), []);
    }

    #[test]
    fn a_gone_file_is_found() {
        let guide = PATH.join(" -> ");
        let mut files: Vec<_> = PATH[1..].iter().map(|file| (*file, "")).collect();
        files.push((GUIDE, &guide));
        let found = check(&Tree::of(&files));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].file.to_str(), Some(PATH[0]));
    }

    #[test]
    fn a_guide_that_forgets_a_file_is_found() {
        let guide = PATH[1..].join(" -> ");
        let mut files: Vec<_> = PATH.iter().map(|file| (*file, "")).collect();
        files.push((GUIDE, &guide));
        assert_eq!(check(&Tree::of(&files)).len(), 1);
        assert_eq!(check(&Tree::of(&files[..5])).len(), 1);
    }
}
