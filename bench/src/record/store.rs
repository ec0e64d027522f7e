//! Result files on disk: read with errors that say what is wrong, saved so that they are always whole.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{KIND, Record, SCHEMA};
use crate::{BenchError, Result};

/// Only as much of a file as says what it is.
#[derive(Deserialize)]
struct Head {
    schema: Option<u64>,
    kind: Option<String>,
    results: Option<IgnoredAny>,
}

/// What kind of file it is that bvecctl knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// [`Record`].
    Record,
    /// That of `cargo xtask cost` and `bench-peers`.
    Counts,
}

impl Kind {
    /// Of this text; the error says what it is instead.
    pub(crate) fn of(text: &str) -> std::result::Result<Self, String> {
        let head: Head = serde_json::from_str(text).map_err(|error| {
            format!("it is not a JSON object ({error}), should be a result file")
        })?;
        let kind = match (head.kind.as_deref(), head.results) {
            (Some(KIND), _) => Self::Record,
            (None, Some(_)) => Self::Counts,
            (Some(kind), _) => {
                return Err(format!("it is of kind \"{kind}\", should be \"{KIND}\""));
            }
            (None, None) => {
                return Err(format!(
                    "it is no result file: it has no kind \"{KIND}\", which `bench run --out` writes"
                ));
            }
        };
        match head.schema {
            Some(schema) if schema == u64::from(SCHEMA) => Ok(kind),
            Some(schema) => Err(format!(
                "it has schema {schema}, this bvecctl knows {SCHEMA}"
            )),
            None => Err(format!("it has no schema, should be {SCHEMA}")),
        }
    }
}

/// Reads a result file.
///
/// # Errors
/// [`BenchError::BadRecord`] when there is no such file, or it is another kind or a version of another
/// program.
pub fn load(path: &Path) -> Result<Record> {
    let bad = |detail| BenchError::BadRecord {
        path: path.to_owned(),
        detail,
    };
    let text = fs::read_to_string(path).map_err(|error| bad(error.to_string()))?;
    parse(&text).map_err(bad)
}

/// Understands the text of a result file; the error says what is wrong.
pub(crate) fn parse(text: &str) -> std::result::Result<Record, String> {
    if Kind::of(text)? == Kind::Counts {
        return Err(
            "it is of `cargo xtask cost` or `bench-peers`, should be of `bench run --out`"
                .to_owned(),
        );
    }
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// Saves a record: under another name first, flushed, then renamed, so that the file is the old one or the
/// new one at any moment, and stays the old one when the disk is full.
///
/// # Errors
/// [`BenchError::NotSaved`], with the file as it was.
pub fn save(record: &Record, path: &Path) -> Result<()> {
    let mut text = serde_json::to_vec(record).map_err(|error| BenchError::NotSaved {
        path: path.to_owned(),
        source: error.into(),
    })?;
    text.push(b'\n');
    save_bytes(&text, path)
}

/// Saves any file in the same manner.
///
/// # Errors
/// As [`save`].
pub fn save_bytes(bytes: &[u8], path: &Path) -> Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let written = (|| {
        fs::create_dir_all(&directory)?;
        let mut file = tempfile::Builder::new()
            .prefix(".bench-")
            .tempfile_in(&directory)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        // Temporary files are private; a report is not.
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        file.as_file().set_permissions(permissions)?;
        file.persist(path)?;
        Ok(())
    })();
    written.map_err(|source| BenchError::NotSaved {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::record;

    #[test]
    fn what_is_saved_is_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new/result.json");
        save(&record(), &path).unwrap();
        assert_eq!(load(&path).unwrap(), record());
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_full_disk_leaves_the_old_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("result.json");
        save(&record(), &path).unwrap();
        // The name of the new file cannot be a directory that is there.
        let blocked = directory.path().join("blocked");
        fs::create_dir_all(blocked.join("x")).unwrap();
        let error = save(&record(), &blocked).unwrap_err();
        assert!(matches!(error, BenchError::NotSaved { .. }), "{error}");
        assert!(error.to_string().contains("blocked"), "{error}");
        assert_eq!(load(&path).unwrap(), record());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn other_files_are_refused() {
        for (text, needle) in [
            ("", "not a JSON object"),
            ("{}", "no result file"),
            ("{\"schema\":1,\"results\":[]}", "of `cargo xtask cost`"),
            (
                "{\"schema\":1,\"kind\":\"lab\"}",
                "of kind \"lab\", should be \"bench\"",
            ),
            (
                "{\"schema\":9,\"kind\":\"bench\"}",
                "schema 9, this bvecctl knows 1",
            ),
            ("{\"kind\":\"bench\"}", "no schema"),
            ("{\"schema\":1,\"kind\":\"bench\"}", "missing field"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(needle), "{text}: {error}");
        }
        let error = load(Path::new("/nowhere/result.json")).unwrap_err();
        assert!(
            error.to_string().contains("/nowhere/result.json"),
            "{error}"
        );
    }
}
