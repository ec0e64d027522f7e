use super::*;
use std::io::Write;

fn watch(console: &[u8], control: &[u8], limits: Limits, close: bool) -> End {
    let (mut ours_console, mut console_end) = UnixStream::pair().unwrap();
    let (mut ours_control, mut control_end) = UnixStream::pair().unwrap();
    console_end.write_all(console).unwrap();
    control_end.write_all(control).unwrap();
    let ends = (!close).then_some((console_end, control_end));
    let progress = Progress::new(true);
    let signals = Signals::hold().unwrap();
    let mut monitor = Monitor::new(&progress, limits);
    let end = monitor
        .watch(&mut ours_console, &mut ours_control, &signals)
        .unwrap();
    drop(ends);
    end
}

const LONG: Limits = Limits {
    boot: Duration::from_secs(60),
    total: None,
    until_ready: false,
    listens: false,
    sends: false,
};

#[test]
fn an_exit_code_counts_once_everything_was_sent() {
    assert!(matches!(
        watch(b"", b"ready 7.3\nexit 7\ndone\n", LONG, true),
        End::Exited(7)
    ));
    assert!(matches!(
        watch(b"", b"ready 7.3\nexit 7\n", LONG, true),
        End::Gone
    ));
}

#[test]
fn a_panic_outweighs_an_exit_code() {
    let console = b"[ 1.0] Kernel panic - not syncing: x\n";
    let end = watch(console, b"ready 7.3\nexit 0\ndone\n", LONG, true);
    assert!(matches!(end, End::Dead(Cause::Panicked { line }) if line.contains("syncing: x")));
}

#[test]
fn a_panic_ends_a_guest_that_goes_on() {
    let end = watch(b"[ 1.0] Oops: int3: 0000 [#1]\n", b"", LONG, false);
    assert!(matches!(end, End::Dead(Cause::Panicked { .. })));
}

#[test]
fn limits_are_kept() {
    let short = Duration::from_millis(20);
    let boot = Limits {
        boot: short,
        ..LONG
    };
    assert!(matches!(
        watch(b"", b"", boot, false),
        End::Dead(Cause::BeforeInit { .. })
    ));
    let total = Limits {
        total: Some(short),
        ..LONG
    };
    assert!(matches!(
        watch(b"", b"ready x\n", total, false),
        End::Dead(Cause::TimedOut { .. })
    ));
}

#[test]
fn a_guest_with_files_is_told_that_its_time_is_up() {
    let (mut ours_console, _console_end) = UnixStream::pair().unwrap();
    let (mut ours_control, mut guest) = UnixStream::pair().unwrap();
    guest.write_all(b"ready 7.3\n").unwrap();
    let limits = Limits {
        total: Some(Duration::from_millis(20)),
        listens: true,
        sends: true,
        ..LONG
    };
    let answers = std::thread::spawn(move || {
        let mut order = [0; 16];
        let count = guest.read(&mut order).unwrap();
        guest.write_all(b"exit 143\ndone\n").unwrap();
        String::from_utf8_lossy(&order[..count]).into_owned()
    });
    let progress = Progress::new(true);
    let signals = Signals::hold().unwrap();
    let end = Monitor::new(&progress, limits)
        .watch(&mut ours_console, &mut ours_control, &signals)
        .unwrap();
    assert!(
        matches!(end, End::Dead(Cause::TimedOut { limit_s: 0 })),
        "{end:?}"
    );
    assert_eq!(answers.join().unwrap(), "end 15\n");
}

#[test]
fn a_failure_of_init_is_told() {
    let end = watch(
        b"",
        b"ready 7.3\nfailed load the module x\ndone\n",
        LONG,
        true,
    );
    assert!(matches!(end, End::Failed(text) if text == "load the module x"));
}
