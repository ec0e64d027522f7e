//! What the daemon is started with: flags, and a file that gives their defaults.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Parser;
use serde::Deserialize;

use crate::loopback::Loopback;

/// Where the socket is unless told.
pub const DEFAULT_SOCKET: &str = "/run/bvecd/bvecd.sock";

/// What is logged unless told.
const DEFAULT_LOG: &str = "info";

/// Serves block devices through ublk, and does to their requests what the rules say.
///
/// Runs in the foreground, until SIGTERM or SIGINT; then it lets go every held request and removes every
/// device. `bvecctl dev hand-over` ends it and leaves its devices to the next one. Needs root and a kernel with ublk (6.4 or later; `modprobe ublk_drv`).
#[derive(Debug, Parser)]
#[command(
    name = "bvecd",
    version,
    after_help = "Examples:\n  bvecd\n  bvecd --socket /tmp/b.sock --log daemon=debug\n  bvecd --adopt\n  bvecd --metrics 127.0.0.1:9420\n\n\
        Then, elsewhere:\n  bvecctl dev add ram --size 256M"
)]
pub struct Flags {
    /// Socket of the API [default: /run/bvecd/bvecd.sock]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Directory of the devices' state files, for the daemon that comes next [default: the socket's]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Take over the devices that a daemon which is gone has left in the state directory
    #[arg(long)]
    adopt: bool,
    /// TOML file with `socket`, `state`, `mlock`, `metrics` and `log`; flags win over it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Keep all memory in RAM (mlockall), so that no queue waits for a page of its own
    #[arg(long)]
    mlock: bool,
    /// Print the user and group that own an unprivileged device's node, for the udev rules, and end
    #[arg(long, value_name = "NODE", exclusive = true)]
    pub owner_of: Option<String>,
    /// Serve /metrics, and nothing else, on this address of the loopback as well, e.g. 127.0.0.1:9420
    #[arg(long, value_name = "ADDRESS:PORT")]
    metrics: Option<Loopback>,
    /// What to log, e.g. info, debug, daemon=trace [default: info]
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
}

/// The file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileConfig {
    socket: Option<PathBuf>,
    #[serde(default)]
    mlock: bool,
    state: Option<PathBuf>,
    metrics: Option<Loopback>,
    log: Option<String>,
}

/// What the daemon runs with.
#[derive(Debug, PartialEq, Eq)]
pub struct Config {
    /// Socket of the API.
    pub socket: PathBuf,
    /// Whether all memory is to stay in RAM.
    pub mlock: bool,
    /// Directory of the state files.
    pub state: PathBuf,
    /// Whether to take over what a daemon that is gone has left.
    pub adopt: bool,
    /// Where metrics are served beside the socket.
    pub metrics: Option<Loopback>,
    /// What to log.
    pub log: String,
}

impl Flags {
    /// Flags over file over defaults.
    ///
    /// # Errors
    /// The file cannot be read, or has a key that does not exist.
    pub fn resolve(self) -> Result<Config> {
        let file = match &self.config {
            Some(path) => read(path)?,
            None => FileConfig::default(),
        };
        let socket = self.socket.or(file.socket);
        let socket = socket.unwrap_or_else(|| DEFAULT_SOCKET.into());
        let state = self.state.or(file.state);
        Ok(Config {
            state: state.unwrap_or_else(|| directory_of(&socket)),
            adopt: self.adopt,
            mlock: self.mlock || file.mlock,
            metrics: self.metrics.or(file.metrics),
            socket,
            log: self.log.or(file.log).unwrap_or_else(|| DEFAULT_LOG.into()),
        })
    }
}

/// Two daemons have two sockets; so their devices do not mix.
fn directory_of(socket: &Path) -> PathBuf {
    match socket.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => ".".into(),
    }
}

fn read(path: &Path) -> Result<FileConfig> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("read the configuration {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("understand {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_win_over_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bvecd.toml");
        std::fs::write(
            &path,
            "socket = \"/a\"\nmlock = true\nlog = \"debug\"\nmetrics = \"[::1]:1\"\n",
        )
        .unwrap();
        let file = path.to_str().unwrap();
        let flags = Flags::parse_from(["bvecd", "--config", file, "--socket", "/b"]);
        let config = flags.resolve().unwrap();
        assert_eq!(
            config,
            Config {
                socket: "/b".into(),
                mlock: true,
                state: "/".into(),
                adopt: false,
                metrics: Some("[::1]:1".parse().unwrap()),
                log: "debug".into()
            }
        );
    }

    #[test]
    fn metrics_are_for_this_machine() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bvecd.toml");
        std::fs::write(&path, "metrics = \"0.0.0.0:9420\"\n").unwrap();
        let flags = Flags::parse_from(["bvecd", "--config", path.to_str().unwrap()]);
        let message = format!("{:#}", flags.resolve().unwrap_err());
        assert!(message.contains("line 1") && message.contains("other machines"));
        let refused = Flags::try_parse_from(["bvecd", "--metrics", "10.0.0.1:9420"]);
        assert!(refused.unwrap_err().to_string().contains("other machines"));
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_place() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bvecd.toml");
        std::fs::write(&path, "sockets = \"/a\"\n").unwrap();
        let flags = Flags::parse_from(["bvecd", "--config", path.to_str().unwrap()]);
        let message = format!("{:#}", flags.resolve().unwrap_err());
        assert!(
            message.contains("line 1") && message.contains("sockets"),
            "{message}"
        );
    }
}
