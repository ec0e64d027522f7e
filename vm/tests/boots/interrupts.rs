//! Whatever ends a run from outside, nothing is left behind.

use std::os::unix::process::ExitStatusExt;

use nix::sys::signal::Signal;
use vm::plan::PATIENCE;

use super::guest::Guest;

fn nothing_left_after(signal: Signal, when: &str) -> Option<i32> {
    let guest = Guest::new(&[], &["sleep", "1000"]);
    let (status, left) = guest.start_until(when).end_by(signal);
    assert_eq!(left, Vec::<String>::new(), "{signal}");
    status.code().or(status.signal().map(|number| -number))
}

#[test]
fn ctrl_c_leaves_nothing() {
    let code = nothing_left_after(Signal::SIGINT, " booted in ");
    assert_eq!(code, Some(130));
}

#[test]
fn ctrl_c_while_booting_leaves_nothing() {
    // The line comes just before QEMU; what follows it is a matter of milliseconds.
    let guest = Guest::new(&[], &["sleep", "1000"]);
    let running = guest.start_until("] booting ");
    std::thread::sleep(std::time::Duration::from_millis(500));
    let (status, left) = running.end_by(Signal::SIGINT);
    assert_eq!(left, Vec::<String>::new());
    assert_eq!(status.code(), Some(130));
}

/// What a command says when it is told to end comes back, and so do its files.
#[test]
fn what_is_finished_comes_back_after_ctrl_c() {
    let dir = tempfile::tempdir().unwrap();
    let script = "trap 'echo told >result; exit 3' INT; echo it runs >&2; sleep 1000";
    let guest = Guest::new(&["--copy-out", "result"], &["sh", "-c", script]);
    let running = guest.current_dir(dir.path()).start_until("it runs");
    let (status, left) = running.end_by(Signal::SIGINT);
    assert_eq!(left, Vec::<String>::new());
    assert_eq!(status.code(), Some(130));
    let result = std::fs::read_to_string(dir.path().join("result")).unwrap();
    assert_eq!(result, "told\n");
}

#[test]
fn who_does_not_listen_is_ended_by_a_second_ctrl_c() {
    let script = "trap '' INT; echo it runs >&2; sleep 1000";
    let running = Guest::new(&[], &["sh", "-c", script]).start_until("it runs");
    running.send(Signal::SIGINT);
    // Two signals that are not told apart are one.
    std::thread::sleep(std::time::Duration::from_secs(2));
    let begin = std::time::Instant::now();
    let (status, left) = running.end_by(Signal::SIGINT);
    assert_eq!(left, Vec::<String>::new());
    assert_eq!(status.code(), Some(130));
    assert!(begin.elapsed() < PATIENCE, "it was waited for");
}

#[test]
fn sigterm_leaves_nothing() {
    let code = nothing_left_after(Signal::SIGTERM, " booted in ");
    assert_eq!(code, Some(143));
}

#[test]
fn a_killed_run_leaves_nothing() {
    let code = nothing_left_after(Signal::SIGKILL, " booted in ");
    assert_eq!(code, Some(-(Signal::SIGKILL as i32)));
}
