//! A `bvecctl vm run` with a temporary directory of its own, and what it leaves behind.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// The longest that anything but a command's own time takes on a busy machine.
const LONG: Duration = Duration::from_secs(30);

/// Set for bvecctl and so for everything that it starts.
const MARK: &str = "BVECD_TEST_MARK";

/// How a run ended and what it said.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) code: Option<i32>,
    pub(super) out: String,
    pub(super) err: String,
}

/// The kernel under test.
pub(super) fn kernel() -> String {
    env::var("BVECD_TEST_KERNEL").unwrap_or_else(|_| "newest".into())
}

/// A run to be made.
pub(super) struct Guest {
    command: Command,
    /// The run's temporary directory; its name marks the run's processes.
    temporary: TempDir,
}

impl Guest {
    /// `bvecctl vm run OPTIONS -- WORDS` on the kernel under test.
    pub(super) fn new(options: &[&str], words: &[&str]) -> Self {
        Self::on(&kernel(), options, words)
    }

    /// The same on a kernel of the test's choice.
    pub(super) fn on(kernel: &str, options: &[&str], words: &[&str]) -> Self {
        let begin = ["vm", "run", "--kernel", kernel];
        Self::of(&[&begin, options, &["--"], words].concat())
    }

    /// Another command of bvecctl that boots guests.
    pub(super) fn of(words: &[&str]) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let mut command = Command::new(bvecctl());
        command
            .args(words)
            .env("TMPDIR", temporary.path())
            .env(MARK, temporary.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Self { command, temporary }
    }

    pub(super) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(super) fn current_dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Runs to the end; nothing may be left behind.
    pub(super) fn run(mut self) -> Ended {
        let output = self.command.output().unwrap();
        assert_eq!(leftovers(self.temporary.path()), Vec::<String>::new());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ended {
            code: output.status.code(),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }

    /// Starts, and waits until a line of standard error has this text.
    pub(super) fn start_until(mut self, text: &str) -> Running {
        let mut child = self.command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let found = lines.any(|line| line.unwrap().contains(text));
        // The rest is read by a thread, so that nobody waits for a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let running = Running {
            child,
            temporary: self.temporary,
        };
        assert!(found, "it ended without {text:?}");
        running
    }
}

/// A run that goes on.
pub(super) struct Running {
    child: Child,
    temporary: TempDir,
}

impl Running {
    /// Sends a signal to bvecctl.
    pub(super) fn send(&self, signal: Signal) {
        // Without a machine that runs, its absence afterwards would show nothing.
        assert!(qemu_runs(self.temporary.path()), "no QEMU has the mark");
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    /// Sends a signal to bvecctl, waits for its end, and says what is left a moment later.
    pub(super) fn end_by(mut self, signal: Signal) -> (ExitStatus, Vec<String>) {
        self.send(signal);
        let begin = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(begin.elapsed() < LONG, "{signal} does not end it");
            std::thread::sleep(Duration::from_millis(10));
        };
        // After SIGKILL the kernel ends QEMU, which takes a moment.
        let mut left = leftovers(self.temporary.path());
        while !left.is_empty() && begin.elapsed() < LONG && signal == Signal::SIGKILL {
            std::thread::sleep(Duration::from_millis(10));
            left = leftovers(self.temporary.path());
        }
        (status, left)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A failed test: its guest must not outlive it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Processes with the mark, and files in the temporary directory.
fn leftovers(mark: &Path) -> Vec<String> {
    let files = fs::read_dir(mark).unwrap().flatten();
    let files = files.map(|entry| entry.path().display().to_string());
    files.chain(marked(mark)).collect()
}

fn qemu_runs(mark: &Path) -> bool {
    marked(mark).any(|words| words.contains("qemu"))
}

/// The command lines of the processes with the mark.
fn marked(mark: &Path) -> impl Iterator<Item = String> {
    let variable = format!("{MARK}={}", mark.display());
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(move |process| {
            // Processes that end meanwhile, and other users', cannot be read.
            let environment = fs::read(process.path().join("environ")).ok()?;
            let has = environment
                .split(|byte| *byte == 0)
                .any(|entry| entry == variable.as_bytes());
            let words = || fs::read(process.path().join("cmdline")).unwrap_or_default();
            has.then(|| String::from_utf8_lossy(&words()).replace('\0', " "))
        })
}

/// The program under test: in the directory above that of this test program.
fn bvecctl() -> PathBuf {
    let test = env::current_exe().unwrap();
    let program = test.ancestors().nth(2).unwrap().join("bvecctl");
    assert!(
        program.is_file(),
        "{} is not built; run `cargo xtask test`",
        program.display()
    );
    program
}
