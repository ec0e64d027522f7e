//! What is on file about each device, for the daemon that comes after this one.
//!
//! One file a device, written before the block device appears and again at each change, by rename, so that
//! a reader finds the old content or the new. Nothing is synced: `/run` does not outlive the kernel, and
//! the devices do not either.

mod process;

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use api::DeviceConfig;
use fault::Snapshot;
use serde::{Deserialize, Serialize};

pub use process::Process;
pub(crate) use process::{is_alive, name as process_name};

/// The version of [`Record`] that is written and read.
const VERSION: u32 = 1;

/// Why a state file cannot be written or used. Each message names the file.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A call on it failed.
    #[error("{what} {path}: {source}", path = path.display())]
    Io {
        /// What was attempted.
        what: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// It is of another bvecd.
    #[error("use {path}: it is of version {found}, and this bvecd knows version {VERSION}; use the bvecd that wrote it", path = path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u64,
    },
    /// It is damaged.
    #[error("use {path}: {reason}; it is left as it is, remove it to forget the device", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// What is on file about a device: all that another daemon needs to serve it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Version of this object.
    pub version: u32,
    /// The daemon that serves the device.
    pub daemon: Process,
    /// What the device is, with everything that was left to the daemon filled in, and the rules in force.
    pub config: DeviceConfig,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// The generation of its rules.
    pub generation: u64,
    /// What the device and its rules have been through.
    #[serde(default)]
    pub history: Snapshot,
    /// Whether a rule has made it read-only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
    /// The file that holds its memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<PathBuf>,
}

impl Record {
    /// The record of a device of this process.
    #[must_use]
    pub fn new(config: DeviceConfig, size_bytes: u64, history: Snapshot) -> Self {
        Self {
            version: VERSION,
            daemon: Process::this(),
            config,
            size_bytes,
            generation: history.generation,
            history,
            read_only: false,
            memory: None,
        }
    }
}

/// The directory of the state files.
#[derive(Debug)]
pub struct StateDir(PathBuf);

impl StateDir {
    /// Uses this directory; makes it, with mode 0750, if it is not there.
    ///
    /// # Errors
    /// [`StateError::Io`].
    pub fn open(path: &Path) -> Result<Self, StateError> {
        let made = DirBuilder::new().recursive(true).mode(0o750).create(path);
        made.map_err(failed("make the directory", path))?;
        Ok(Self(path.to_owned()))
    }

    /// The file of the device with this number.
    #[must_use]
    pub fn file(&self, id: u32) -> PathBuf {
        self.0.join(format!("device-{id}.json"))
    }

    /// Writes a device's file, whole or not at all.
    ///
    /// # Errors
    /// [`StateError::Io`]; the file is as it was.
    pub fn write(&self, id: u32, record: &Record) -> Result<(), StateError> {
        let path = self.file(id);
        let new = self.0.join(format!(".device-{id}.json.new"));
        let text = serde_json::to_vec_pretty(record).map_err(|error| StateError::Damaged {
            path: path.clone(),
            reason: error.to_string(),
        })?;
        let written = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(&new)
            .and_then(|mut file| file.write_all(&text))
            .and_then(|()| fs::rename(&new, &path));
        written.map_err(|source| {
            // What is half written is of no use, and its removal may fail for the same reason.
            let _ = fs::remove_file(&new);
            failed("write", &path)(source)
        })
    }

    /// Removes a device's file; that there is none is no error.
    ///
    /// # Errors
    /// [`StateError::Io`].
    pub fn remove(&self, id: u32) -> Result<(), StateError> {
        let path = self.file(id);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed("remove", &path)(error))
            }
            _ => Ok(()),
        }
    }

    /// Reads a device's file; none if there is none.
    ///
    /// # Errors
    /// [`StateError`]; nothing of a file that is wrong anywhere is used.
    pub fn read(&self, id: u32) -> Result<Option<Record>, StateError> {
        let path = self.file(id);
        match fs::read(&path) {
            Ok(bytes) => parse(id, &path, &bytes).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", &path)(error)),
        }
    }

    /// The numbers of the devices that have a file, in order.
    ///
    /// # Errors
    /// [`StateError::Io`].
    pub fn ids(&self) -> Result<Vec<u32>, StateError> {
        let entries = fs::read_dir(&self.0).map_err(failed("list", &self.0))?;
        let mut ids: Vec<u32> = entries
            .flatten()
            .filter_map(|entry| id_of(&entry))
            .collect();
        ids.sort_unstable();
        Ok(ids)
    }
}

fn id_of(entry: &fs::DirEntry) -> Option<u32> {
    let name = entry.file_name();
    let number = name
        .to_str()?
        .strip_prefix("device-")?
        .strip_suffix(".json")?;
    number.parse().ok()
}

fn parse(id: u32, path: &Path, bytes: &[u8]) -> Result<Record, StateError> {
    let damaged = |reason: String| StateError::Damaged {
        path: path.to_owned(),
        reason,
    };
    let value: serde_json::Value =
        serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
    // Before anything else: another version may have any other shape.
    match value["version"].as_u64() {
        Some(found) if found == u64::from(VERSION) => {}
        Some(found) => {
            let path = path.to_owned();
            return Err(StateError::Version { path, found });
        }
        None => return Err(damaged("it has no version".into())),
    }
    let record: Record =
        serde_json::from_value(value).map_err(|error| damaged(error.to_string()))?;
    if record.config.id != Some(id) {
        return Err(damaged(
            "its name and its content name different devices".into(),
        ));
    }
    record
        .config
        .validate()
        .map_err(|problem| damaged(problem.to_string()))?;
    Ok(record)
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StateError {
    let path = path.to_owned();
    move |source| StateError::Io { what, path, source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use api::TargetConfig;

    use super::*;

    fn record(id: u32) -> Record {
        let rule = fault::Rule::parse("bad", "fail:MEDIUM where op=read when prob=10%").unwrap();
        let config = DeviceConfig {
            id: Some(id),
            rules: vec![rule],
            ..DeviceConfig::new(TargetConfig::Ram { size_bytes: 8192 })
        };
        let history = Snapshot {
            generation: 7,
            ..Snapshot::default()
        };
        Record::new(config, 8192, history)
    }

    #[test]
    fn what_was_written_is_read_and_only_the_daemon_may() {
        let above = tempfile::tempdir().unwrap();
        let state = StateDir::open(&above.path().join("state")).unwrap();
        assert_eq!(state.read(3).unwrap(), None);
        state.write(12, &record(12)).unwrap();
        state.write(3, &record(3)).unwrap();
        assert_eq!(state.read(3).unwrap(), Some(record(3)));
        assert_eq!(state.ids().unwrap(), [3, 12]);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&state.0), mode(&state.file(3))), (0o750, 0o600));
        state.remove(3).unwrap();
        state.remove(3).unwrap();
        assert_eq!(state.ids().unwrap(), [12]);
    }

    #[test]
    fn a_file_that_is_wrong_anywhere_is_refused_with_its_name() {
        let above = tempfile::tempdir().unwrap();
        let state = StateDir::open(above.path()).unwrap();
        state.write(3, &record(3)).unwrap();
        let good = fs::read_to_string(state.file(3)).unwrap();
        for (content, needle) in [
            (
                good.replace("\"version\": 1", "\"version\": 2"),
                "version 2",
            ),
            (good.replace("\"version\": 1,", ""), "no version"),
            (good.replace("\"depth\": 128", "\"depth\": 0"), "/depth"),
            (good.replace("\"depth\"", "\"deepness\""), "deepness"),
            (good.replace("\"id\": 3", "\"id\": 4"), "different devices"),
            (good[..good.len() / 2].to_owned(), "EOF"),
            (String::new(), "EOF"),
        ] {
            assert_ne!(content, good, "{needle}");
            fs::write(state.file(3), content).unwrap();
            let message = state.read(3).unwrap_err().to_string();
            assert!(
                message.contains(needle) && message.contains("device-3.json"),
                "{needle}: {message}"
            );
        }
    }
}
