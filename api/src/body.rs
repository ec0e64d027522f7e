//! Reads a request's body so that what is wrong with it is located.

use serde::de::DeserializeOwned;

use crate::problem::{Problem, ProblemCode};

/// Reads a JSON body.
///
/// # Errors
/// The body is not JSON, or not of this type; the problem points to the field and says what was expected.
pub fn read_body<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let pointer = pointer(error.path());
        let inner = error.into_inner();
        let code = match inner.classify() {
            serde_json::error::Category::Data => ProblemCode::InvalidField,
            _ => ProblemCode::Malformed,
        };
        Problem::new(code, inner.to_string()).at(pointer)
    })?;
    json.end()
        .map_err(|error| Problem::new(ProblemCode::Malformed, error.to_string()))?;
    Ok(value)
}

/// The path as a JSON pointer (RFC 6901, which escapes `~` and `/`).
fn pointer(path: &serde_path_to_error::Path) -> String {
    path.iter()
        .filter_map(|segment| match segment {
            serde_path_to_error::Segment::Seq { index } => Some(index.to_string()),
            serde_path_to_error::Segment::Map { key } => Some(key.clone()),
            serde_path_to_error::Segment::Enum { variant } => Some(variant.clone()),
            // The parser had not got far enough to know.
            serde_path_to_error::Segment::Unknown => None,
        })
        .map(|key| format!("/{}", key.replace('~', "~0").replace('/', "~1")))
        .collect()
}

#[cfg(test)]
mod tests {
    use fault::Rule;

    use super::*;

    #[test]
    fn what_is_wrong_is_located() {
        for (body, code, pointer) in [
            ("", ProblemCode::Malformed, ""),
            ("{", ProblemCode::Malformed, ""),
            ("[]", ProblemCode::InvalidField, ""),
            (r#"{"name":1}"#, ProblemCode::InvalidField, "/name"),
            (
                r#"{"name":"a","where":{"op":["reed"]}}"#,
                ProblemCode::InvalidField,
                "/where/op",
            ),
            (
                r#"{"name":"a","where":{"a/b":1}}"#,
                ProblemCode::InvalidField,
                "/where/a~1b",
            ),
            (
                r#"{"name":"a","action":{"delay":{}}}"#,
                ProblemCode::InvalidField,
                "/action/delay",
            ),
        ] {
            let problem = read_body::<Rule>(body.as_bytes()).unwrap_err();
            assert_eq!(
                (problem.code, problem.pointer.as_deref()),
                (code, Some(pointer)),
                "{body}"
            );
        }
        let trailing = read_body::<u8>(b"1 2").unwrap_err();
        assert_eq!(trailing.code, ProblemCode::Malformed);
    }
}
