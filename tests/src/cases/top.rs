//! `bvecctl top`: plain, as JSON, and on a terminal that must be as before when it ends.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, Receiver};

use api::{DataPath, call};
use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{LocalFlags, tcgetattr};
use nix::unistd::Pid;
use serde_json::Value;

use crate::client_io::{Disk, read_in_background};
use crate::daemon::Daemon;
use crate::deadline::{LONG, wait_for};
use crate::load::Load;
use crate::outcome::{Case, Outcome};
use crate::programs::{self, bvecctl};

use super::schemas::faults;

pub(crate) const CASES: &[Case] = &[
    Case::new("top::one_table_and_objects", plain),
    Case::new("top::the_terminal_is_given_back", terminal).within(120),
];

const SIZE: u64 = 4 << 20;
const SCHEMA: &str = include_str!("../../../docs/schemas/top.schema.json");

/// What a full-screen program sends first and last: to the other screen, and back.
const OTHER_SCREEN: &str = "\x1b[?1049h";
const BACK: &str = "\x1b[?1049l";

fn plain() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    daemon.rule(device.id, "slow", "delay:1ms where op=write");
    daemon.rule(device.id, "stop", "hold where op=read,lba=8000+8");
    let reader = read_in_background(&device.path, 8000 * 512, 4096);
    daemon.held(device.id, 1);
    let load = Load::on(&device.path, 2, 1 << 20);
    load.runs_on();
    let words = ["--json", "top", "--count", "2", "--interval", "500ms"];
    let said = bvecctl(&daemon.socket(), &words).good();
    let views: Vec<Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(views.len(), 2, "{said}");
    for view in &views {
        assert_eq!(faults(SCHEMA, view), Vec::<String>::new(), "{view}");
        let seen = &view["devices"][0];
        let write = &seen["ops"][1];
        assert_eq!(write["op"], "write");
        assert!(write["ios_per_s"].as_f64().unwrap() > 1.0, "{view}");
        // Each write waits for a millisecond, which the kernel sees.
        assert!(write["latency_ns"].as_u64().unwrap() > 900_000, "{view}");
        assert!(
            seen["rules"][0]["fired_per_s"].as_f64().unwrap() > 1.0,
            "{view}"
        );
        assert_eq!(seen["holds"][0]["rule"], "stop", "{view}");
    }
    let table = bvecctl(&daemon.socket(), &["top", "--interval", "300ms"]).good();
    for word in ["read/s", "slow", "read 8000+8"] {
        assert!(table.contains(word), "no {word}: {table}");
    }
    assert!(!table.contains('\x1b'), "{table}");
    bvecctl(&daemon.socket(), &["top", "--interval", "1ms"]).ended_with(2);
    bvecctl(&daemon.socket(), &["top", "--once", "--dev", "9"]).ended_with(2);
    load.ends_well(&device.path);
    daemon.ask(call::heal(None));
    reader.join().unwrap().unwrap();
    daemon.stop();
    Outcome::Passed
}

/// `top` on a terminal of its own.
struct OnTerminal {
    child: Child,
    keys: File,
    terminal: OwnedFd,
    pieces: Receiver<String>,
    said: String,
}

impl OnTerminal {
    fn start(daemon: &Daemon) -> Self {
        let size = Winsize {
            ws_row: 30,
            ws_col: 100,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pair = openpty(&size, None).unwrap();
        let copy = || Stdio::from(pair.slave.try_clone().unwrap());
        let child = programs::command("bvecctl")
            .arg("--socket")
            .arg(daemon.socket())
            .args(["top", "--interval", "100ms"])
            .env("TERM", "xterm")
            .stdin(copy())
            .stdout(copy())
            .stderr(copy())
            .spawn()
            .unwrap();
        let mut screen = File::from(pair.master.try_clone().unwrap());
        let (sender, pieces) = mpsc::channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(n @ 1..) = screen.read(&mut bytes) {
                let _ = sender.send(String::from_utf8_lossy(&bytes[..n]).into_owned());
            }
        });
        Self {
            child,
            keys: File::from(pair.master),
            terminal: pair.slave,
            pieces,
            said: String::new(),
        }
    }

    /// Waits until it has written this.
    fn says(&mut self, text: &str) {
        while !self.said.contains(text) {
            let piece = self.pieces.recv_timeout(LONG);
            self.said += &piece.unwrap_or_else(|_| panic!("no {text:?} in {:?}", self.said));
        }
    }

    fn flags(&self) -> LocalFlags {
        let flags = tcgetattr(&self.terminal).unwrap().local_flags;
        flags & (LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG)
    }

    /// Waits for its end, by which everything is as before.
    fn ends_with(mut self, code: i32, before: LocalFlags) {
        let status = wait_for("top to end", || self.child.try_wait().unwrap());
        self.says(BACK);
        assert_eq!(status.code(), Some(code), "{:?}", self.said);
        assert_eq!(
            self.flags(),
            before,
            "the terminal is left in another state"
        );
    }
}

fn terminal() -> Outcome {
    let mut daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    let disk = Disk::open(&device.path);
    disk.write(0, &[1; 4096]);
    drop(disk);
    let before = LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG;
    // Ctrl-C is a key here; a signal comes from elsewhere.
    for end in ["\x03", "q", "SIGTERM"] {
        let mut top = OnTerminal::start(&daemon);
        top.says(OTHER_SCREEN);
        top.says("hold_id");
        assert_ne!(top.flags(), before, "keys are not taken one by one");
        match end {
            "SIGTERM" => {
                let pid = Pid::from_raw(i32::try_from(top.child.id()).unwrap());
                kill(pid, Signal::SIGTERM).unwrap();
            }
            key => top.keys.write_all(key.as_bytes()).unwrap(),
        }
        top.ends_with(0, before);
    }
    // The daemon goes away while it looks.
    let mut top = OnTerminal::start(&daemon);
    top.says("hold_id");
    daemon.signal(Signal::SIGTERM);
    daemon.wait();
    top.ends_with(5, before);
    Outcome::Passed
}
