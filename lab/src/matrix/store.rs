//! Tables in files, read with errors that say what is wrong.

use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::{KIND, Matrix};
use crate::{LabError, Result};

/// Only as much of a file as says what it is.
#[derive(Deserialize)]
struct Head {
    schema: Option<u32>,
    kind: Option<String>,
}

/// Reads a table.
///
/// # Errors
/// [`LabError::BadMatrix`] when there is no such file, or it is another kind or of another version.
pub fn load(path: &Path) -> Result<Matrix> {
    let bad = |detail| LabError::BadMatrix {
        path: path.to_owned(),
        detail,
    };
    let text = fs::read_to_string(path).map_err(|error| bad(error.to_string()))?;
    parse(&text).map_err(bad)
}

fn parse(text: &str) -> std::result::Result<Matrix, String> {
    let head: Head = serde_json::from_str(text)
        .map_err(|error| format!("it is not a JSON object ({error}), should be a matrix.json"))?;
    match (head.kind.as_deref(), head.schema) {
        (Some(KIND), Some(api::SCHEMA)) => {}
        (Some(KIND), Some(version)) => {
            return Err(format!(
                "it has schema {version}, should be {}",
                api::SCHEMA
            ));
        }
        _ => return Err(format!("it is no matrix: it has no kind \"{KIND}\"")),
    }
    serde_json::from_str(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{outcome, plan};
    use super::*;
    use crate::Verdict;

    #[test]
    fn a_table_is_read_back() {
        let mut matrix = Matrix::new(plan(&["a"]), Some("1/2".to_owned()), &["7.3".to_owned()]);
        matrix.kernels[0].add(&outcome("a", Verdict::Changed, 3));
        let text = serde_json::to_string(&matrix).unwrap();
        assert_eq!(parse(&text), Ok(matrix));
    }

    #[test]
    fn other_files_are_refused() {
        for (text, needle) in [
            ("", "not a JSON object"),
            ("{\"schema\":1,\"kind\":\"bench\"}", "it is no matrix"),
            (
                "{\"schema\":9,\"kind\":\"lab-matrix\"}",
                "schema 9, should be 1",
            ),
            ("{\"schema\":1,\"kind\":\"lab-matrix\"}", "missing field"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(needle), "{text}: {error}");
        }
        let error = load(Path::new("/nowhere/matrix.json")).unwrap_err();
        assert!(
            error.to_string().contains("/nowhere/matrix.json"),
            "{error}"
        );
    }
}
