//! Whatever ends a run from outside, nothing is left behind.

use std::os::unix::process::ExitStatusExt;

use nix::sys::signal::Signal;

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
