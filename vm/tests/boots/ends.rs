//! How a run ends: the command's code, or a message of its own for each way to fail.

use std::time::{Duration, Instant};

use super::guest::Guest;

/// The harness failed, not the command.
const HARNESS: Option<i32> = Some(125);

#[test]
fn the_exit_code_is_the_commands() {
    let ended = Guest::new(&[], &["sh", "-c", "exit 7"]).run();
    assert_eq!(ended.code, Some(7), "{ended:?}");
}

#[test]
fn the_output_comes_apart_and_whole() {
    let script = "echo to out; echo to err >&2; seq 20000";
    let ended = Guest::new(&["--quiet"], &["sh", "-c", script]).run();
    let numbers: String = (1..=20000).map(|number| format!("{number}\n")).collect();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.out, format!("to out\n{numbers}"));
    assert_eq!(ended.err, "to err\n");
}

#[test]
fn a_command_that_a_signal_ends_gives_128_and_its_number() {
    let ended = Guest::new(&[], &["sh", "-c", "kill -KILL $$"]).run();
    assert_eq!(ended.code, Some(137), "{ended:?}");
}

#[test]
fn a_command_that_is_not_there_gives_127() {
    let ended = Guest::new(&[], &["no-such-command"]).run();
    assert_eq!(ended.code, Some(127), "{ended:?}");
    assert!(ended.err.contains("no-such-command"), "{ended:?}");
}

#[test]
fn a_panic_is_told_with_the_console() {
    // What a command wrote passes through its pipe and the port before anyone outside has it: a kernel
    // that dies in that moment takes it along, so the panic waits.
    let script = "echo before; sleep 3; echo c >/proc/sysrq-trigger; sleep 60";
    let ended = Guest::new(&[], &["sh", "-c", script]).run();
    assert_eq!(ended.code, HARNESS, "{ended:?}");
    assert_eq!(ended.out, "before\n");
    assert!(ended.err.contains("the guest's kernel died"), "{ended:?}");
    assert!(ended.err.contains("sysrq triggered crash"), "{ended:?}");
    assert!(
        ended.err.contains("last lines of the guest's console"),
        "{ended:?}"
    );
}

#[test]
fn a_hang_ends_with_its_time() {
    let begin = Instant::now();
    let ended = Guest::new(&["--timeout", "20"], &["sleep", "1000"]).run();
    assert_eq!(ended.code, HARNESS, "{ended:?}");
    assert!(ended.err.contains("failed to finish in time"), "{ended:?}");
    assert!(ended.err.contains("after 20 s"), "{ended:?}");
    assert!(begin.elapsed() >= Duration::from_secs(20));
}

/// Who ignores even the request to end is killed, and what it had comes back.
#[test]
fn what_is_finished_comes_back_when_time_is_up() {
    let dir = tempfile::tempdir().unwrap();
    let script = "trap '' TERM; echo half >result; sleep 1000; echo whole >result";
    let options = ["--timeout", "30", "--copy-out", "result"];
    let guest = Guest::new(&options, &["sh", "-c", script]);
    let ended = guest.current_dir(dir.path()).run();
    assert_eq!(ended.code, HARNESS, "{ended:?}");
    assert!(ended.err.contains("30 s are over"), "{ended:?}");
    assert!(ended.err.contains("failed to finish in time"), "{ended:?}");
    let result = std::fs::read_to_string(dir.path().join("result")).unwrap();
    assert_eq!(result, "half\n");
}

/// A shell dies of SIGTERM at once; who still saves what it has is waited for.
#[test]
fn who_saves_what_it_has_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let saves = "trap 'sleep 2; echo saved >result; exit' TERM; while :; do sleep 0.1; done";
    let script = format!("true; sh -c \"{saves}\"; echo more");
    let options = ["--timeout", "30", "--copy-out", "result"];
    let guest = Guest::new(&options, &["sh", "-c", &script]);
    let ended = guest.current_dir(dir.path()).run();
    assert_eq!(ended.code, HARNESS, "{ended:?}");
    let result = std::fs::read_to_string(dir.path().join("result")).unwrap();
    assert_eq!(result, "saved\n");
}

#[test]
fn a_missing_kernel_is_told_with_those_there_are() {
    let ended = Guest::on("99", &[], &["true"]).run();
    assert_eq!(ended.code, HARNESS, "{ended:?}");
    assert!(
        ended.err.contains("failed to find a kernel for `99`"),
        "{ended:?}"
    );
    let offered = ended
        .err
        .lines()
        .any(|line| line.contains(": 6.") || line.contains(": 7."));
    assert!(offered, "no kernel is named: {ended:?}");
}

#[test]
fn a_missing_emulator_is_told_with_its_package() {
    let guest = Guest::new(&[], &["true"]).env("BVECD_QEMU", "/no/such/qemu");
    let ended = guest.run();
    assert_eq!(ended.code, HARNESS, "{ended:?}");
    assert!(
        ended
            .err
            .contains("failed to find the program /no/such/qemu"),
        "{ended:?}"
    );
    assert!(ended.err.contains("qemu-system-x86"), "{ended:?}");
}

/// Emulated CPUs that run in parallel also spin; the host's QEMU or a newer one, both are named.
#[test]
fn parallel_cpus_are_had_even_if_the_emulator_must_be_fetched() {
    let script = "cat /proc/cmdline; grep -c ^processor /proc/cpuinfo";
    let ended = Guest::new(&["--parallel"], &["sh", "-c", script]).run();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.out.ends_with("\n2\n"), "{ended:?}");
    let emulated = ended.err.contains("(tcg)");
    assert_eq!(ended.out.contains("idle=poll"), emulated, "{ended:?}");
}

#[test]
fn parallel_cpus_are_refused_to_an_old_emulator() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let old = dir.path().join("qemu");
    // It answers with its version and boots nothing, as KVM.
    std::fs::write(&old, "#!/bin/sh\necho 'QEMU emulator version 7.2.22'\n").unwrap();
    std::fs::set_permissions(&old, std::fs::Permissions::from_mode(0o755)).unwrap();
    let guest = Guest::new(&["--parallel"], &["true"]).env("BVECD_QEMU", &old);
    let ended = guest.run();
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert!(
        ended.err.contains("QEMU 7.2 does not do it reliably"),
        "{ended:?}"
    );
}

#[test]
fn a_kernel_option_that_is_none_is_bad_usage() {
    let ended = Guest::on("sevenish", &[], &["true"]).run();
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.err.contains("sevenish"), "{ended:?}");
}

/// The second boot shows what the first kept back.
#[test]
fn a_boot_that_dies_early_is_repeated_and_explained() {
    let ended = Guest::new(&[], &["true"])
        .env("BVECD_INIT", "/bin/true")
        .run();
    assert_eq!(ended.code, HARNESS, "{ended:?}");
    let (first, second) = ended.err.split_once("booting once more").unwrap();
    for boot in [first, second] {
        assert!(boot.contains("died before its init spoke"), "{boot}");
        assert!(boot.contains("Attempted to kill init"), "{boot}");
    }
    let quiet_line = "Run /init as init process";
    assert!(!first.contains(quiet_line), "{first}");
    assert!(second.contains(quiet_line), "{second}");
}
