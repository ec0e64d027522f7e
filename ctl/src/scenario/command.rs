//! The commands of a scenario: each a line of the shell in a process group of its own.

use std::fmt;
use std::fs::File;
use std::marker::PhantomData;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use anyhow::{Context as _, Result};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use tokio::process::{Child, Command};

use crate::units::Span;

/// How much of a command's output is told when it fails, in bytes.
const TOLD_BYTES: usize = 2000;

/// A command: a string, or a table that says more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    pub(super) command: String,
    /// The exit code it must end with; 128 + n if signal n ended it.
    pub(super) exit: i32,
    /// Goes on in the background under this name, to be joined.
    pub(super) background: Option<String>,
    /// How long it may take.
    pub(super) timeout: Span,
    /// What it must say, on standard output or error.
    pub(super) says: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    command: String,
    #[serde(default)]
    exit: i32,
    background: Option<String>,
    #[serde(default = "thirty_seconds")]
    timeout: Span,
    says: Option<String>,
}

const fn thirty_seconds() -> Span {
    Span(std::time::Duration::from_secs(30))
}

/// The end of a command in the background.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Join {
    pub(super) name: String,
    pub(super) exit: i32,
    pub(super) timeout: Span,
    pub(super) says: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JoinTable {
    name: String,
    #[serde(default)]
    exit: i32,
    #[serde(default = "thirty_seconds")]
    timeout: Span,
    says: Option<String>,
}

impl From<Table> for Run {
    fn from(table: Table) -> Self {
        Self {
            command: table.command,
            exit: table.exit,
            background: table.background,
            timeout: table.timeout,
            says: table.says,
        }
    }
}

impl From<JoinTable> for Join {
    fn from(table: JoinTable) -> Self {
        Self {
            name: table.name,
            exit: table.exit,
            timeout: table.timeout,
            says: table.says,
        }
    }
}

/// Reads a string, which stands for `make` of it, or a table.
struct StringOr<T, M> {
    make: M,
    table: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>, M: FnOnce(String) -> T> Visitor<'de> for StringOr<T, M> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or a table")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        Ok((self.make)(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

impl<'de> Deserialize<'de> for Run {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let make = |command| Table {
            command,
            exit: 0,
            background: None,
            timeout: thirty_seconds(),
            says: None,
        };
        let reader = StringOr {
            make,
            table: PhantomData,
        };
        deserializer.deserialize_any(reader).map(Self::from)
    }
}

impl<'de> Deserialize<'de> for Join {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let make = |name| JoinTable {
            name,
            exit: 0,
            timeout: thirty_seconds(),
            says: None,
        };
        let reader = StringOr {
            make,
            table: PhantomData,
        };
        deserializer.deserialize_any(reader).map(Self::from)
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.command.trim();
        let first = line.lines().next().unwrap_or("");
        let more = if line.lines().count() > 1 { " ..." } else { "" };
        match &self.background {
            Some(name) => write!(f, "{first}{more} in the background as {name}"),
            None => write!(f, "{first}{more}"),
        }
    }
}

impl fmt::Display for Join {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// A command that was started.
#[derive(Debug)]
pub(super) struct Started {
    child: Child,
    group: Option<Pid>,
    output: File,
}

impl Started {
    /// Starts a line of the shell with these variables, in this directory.
    pub(super) fn new(
        line: &str,
        directory: &Path,
        variables: &[(&'static str, String)],
    ) -> Result<Self> {
        let output = tempfile::tempfile().context("make a file for a command's output")?;
        let copy = || output.try_clone().context("share a file");
        let child = Command::new("sh")
            .args(["-c", line])
            .current_dir(directory)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(copy()?)
            .stderr(copy()?)
            // Ctrl-C is for us: what waits for a held request must be let go first.
            .process_group(0)
            .spawn()
            .context("start a shell")?;
        let group = child.id().and_then(|id| i32::try_from(id).ok());
        Ok(Self {
            child,
            group: group.map(Pid::from_raw),
            output,
        })
    }

    /// Waits for its end: the exit code, and what it said.
    pub(super) async fn end(&mut self) -> Result<(i32, String)> {
        let status = self.child.wait().await.context("wait for a command")?;
        Ok((code_of(status), self.said()))
    }

    /// The end of what it has said so far.
    fn said(&self) -> String {
        use std::os::unix::fs::FileExt;
        let length = self.output.metadata().map_or(0, |metadata| metadata.len());
        let from = length.saturating_sub(TOLD_BYTES as u64);
        let mut bytes = vec![0; TOLD_BYTES];
        let read = self.output.read_at(&mut bytes, from).unwrap_or(0);
        String::from_utf8_lossy(&bytes[..read]).into_owned()
    }

    /// Kills it and whatever it has started, unless it has ended.
    pub(super) fn kill(&mut self) {
        if let (Ok(None), Some(group)) = (self.child.try_wait(), self.group) {
            // It may end at this moment.
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

/// As a shell tells it.
fn code_of(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    let signal = status.signal().map(|signal| 128 + signal);
    status.code().or(signal).unwrap_or(-1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_a_string_or_a_table() {
        let read = |json| serde_json::from_str::<Run>(json);
        assert_eq!(read("\"true\"").unwrap().exit, 0);
        let table =
            read(r#"{"command":"false","exit":1,"background":"b","timeout":"2s"}"#).unwrap();
        assert_eq!((table.exit, table.background.as_deref()), (1, Some("b")));
        assert_eq!(table.to_string(), "false in the background as b");
        assert!(read(r#"{"command":"x","exits":1}"#).is_err());
        assert!(
            read("7")
                .unwrap_err()
                .to_string()
                .contains("a string or a table")
        );
    }

    #[test]
    fn codes_output_and_killing() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let here = Path::new("/");
            let variables = [("WORD", "seen".to_owned())];
            let mut started = Started::new("echo $WORD; exit 7", here, &variables).unwrap();
            assert_eq!(started.end().await.unwrap(), (7, "seen\n".to_owned()));
            let mut started = Started::new("sleep 1000 & sleep 1000", here, &[]).unwrap();
            started.kill();
            assert_eq!(started.end().await.unwrap().0, 128 + 9);
        });
    }
}
