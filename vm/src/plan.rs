//! What the host tells the guest's init to do, and what init answers.
//!
//! The plan is a file in the initramfs. Answers are lines on the port `control`, and so are orders, which go the
//! other way.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Where the plan is in the guest.
pub const PLAN_PATH: &str = "/bvecd/plan.json";

/// A variable of the command's environment in a guest whose clock counts instructions; nothing else in the guest
/// shows that.
pub const COUNTS: &str = "BVECD_COUNTS_INSTRUCTIONS";

/// How long a command may take to end once it was told to, by the host's clock; then it is killed.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The ports between guest and host, by name (`/sys/class/virtio-ports/*/name`).
pub mod port {
    /// Answers of init, and orders to it.
    pub const CONTROL: &str = "control";
    /// The command's standard output.
    pub const OUT: &str = "out";
    /// The command's standard error.
    pub const ERR: &str = "err";
    /// The archive of files that are copied out.
    pub const FILES: &str = "files";
}

/// What the guest's init has to do.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Plan {
    /// Modules that the ports need, in order.
    pub port_modules: Vec<String>,
    /// Other modules, in order.
    pub modules: Vec<String>,
    /// The command and its arguments.
    pub command: Vec<String>,
    /// Variables added to the command's environment.
    pub env: Vec<(String, String)>,
    /// Files and directories to send to the host afterwards.
    pub copy_out: Vec<String>,
    /// Rows and columns of the terminal that the command runs on; without it the command's output
    /// goes through the ports.
    pub terminal: Option<(u16, u16)>,
}

/// What the host wants of a guest that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Send this signal to the command and what it has started.
    End(i32),
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::End(signal) => writeln!(f, "end {signal}"),
        }
    }
}

impl Order {
    /// Reads one line without its line feed.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        line.strip_prefix("end ")?.parse().ok().map(Self::End)
    }
}

/// One answer of init.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Init runs and its ports are open; carries the kernel's release.
    Ready(String),
    /// The command ended with this code (128 + n after signal n).
    Exit(u8),
    /// Something the user should know.
    Note(String),
    /// Init could not do its work.
    Failed(String),
    /// Everything was sent; the guest powers off.
    Done,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one_line = |text: &str| text.replace('\n', "; ");
        match self {
            Self::Ready(release) => writeln!(f, "ready {}", one_line(release)),
            Self::Exit(code) => writeln!(f, "exit {code}"),
            Self::Note(text) => writeln!(f, "note {}", one_line(text)),
            Self::Failed(text) => writeln!(f, "failed {}", one_line(text)),
            Self::Done => writeln!(f, "done"),
        }
    }
}

impl Answer {
    /// Reads one line without its line feed.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "ready" => Some(Self::Ready(rest.to_owned())),
            "exit" => rest.parse().ok().map(Self::Exit),
            "note" => Some(Self::Note(rest.to_owned())),
            "failed" => Some(Self::Failed(rest.to_owned())),
            "done" => Some(Self::Done),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_read_back() {
        for answer in [
            Answer::Ready("7.3.4".into()),
            Answer::Exit(137),
            Answer::Note("no such file".into()),
            Answer::Failed("mount /proc".into()),
            Answer::Done,
        ] {
            let line = answer.to_string();
            assert_eq!(Answer::parse(line.trim_end()), Some(answer));
        }
    }

    #[test]
    fn orders_read_back() {
        let order = Order::End(2);
        assert_eq!(Order::parse(order.to_string().trim_end()), Some(order));
        for line in ["", "end", "end now", "ready 2"] {
            assert_eq!(Order::parse(line), None, "{line}");
        }
    }

    #[test]
    fn an_answer_is_one_line() {
        let line = Answer::Note("a\nb".into()).to_string();
        assert_eq!(line, "note a; b\n");
    }

    #[test]
    fn noise_is_no_answer() {
        for line in ["", "exit", "exit 300", "hello 1"] {
            assert_eq!(Answer::parse(line), None, "{line}");
        }
    }
}
