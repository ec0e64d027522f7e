//! Who may use the socket.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use api::{BlockingClient, ClientError, DataPath, RuleFile, call};
use nix::sys::signal::Signal;

use crate::daemon::{Daemon, char_devices};
use crate::outcome::{Case, Outcome};

pub(crate) const CASES: &[Case] = &[
    Case::new("socket::a_file_at_its_path_is_not_removed", other_file),
    Case::new("socket::mode_is_0600", mode),
    Case::new("socket::another_user_cannot_connect", other_user),
    Case::new(
        "socket::credentials_are_checked_besides_the_mode",
        credentials,
    ),
    Case::new("socket::a_missing_directory_is_made", missing_directory),
    Case::new("socket::a_place_that_cannot_be_is_told", bad_places),
    Case::new("socket::the_openapi_document_is_served", openapi),
    Case::new("socket::a_connection_that_stays_keeps_no_daemon", idle),
];

fn other_file() -> Outcome {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("precious");
    std::fs::write(&path, "data").unwrap();
    let output = crate::programs::command("bvecd")
        .arg("--socket")
        .arg(&path)
        .output()
        .unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("no socket"), "{text}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "data");
    Outcome::Passed
}

fn mode() -> Outcome {
    let daemon = Daemon::start();
    let mode = std::fs::metadata(daemon.socket())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    daemon.stop();
    Outcome::Passed
}

/// `bvecctl dev list` as user 1234.
fn as_other_user(daemon: &Daemon) -> (Option<i32>, String) {
    use std::os::unix::process::CommandExt;
    let program = crate::programs::find("bvecctl").expect("bvecctl is built");
    let output = Command::new(program)
        .arg("--socket")
        .arg(daemon.socket())
        .args(["dev", "list"])
        .uid(1234)
        .gid(1234)
        .output()
        .unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    (output.status.code(), text)
}

fn open_up(daemon: &Daemon, path: &std::path::Path, mode: u32) {
    let permissions = std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(path, permissions).unwrap_or_else(|e| panic!("{e}: {}", daemon.log()));
}

fn other_user() -> Outcome {
    let daemon = Daemon::start();
    open_up(&daemon, daemon.directory.path(), 0o755);
    let (code, text) = as_other_user(&daemon);
    assert_eq!(code, Some(5), "{text}");
    assert!(text.contains("ermission"), "{text}");
    daemon.stop();
    Outcome::Passed
}

fn credentials() -> Outcome {
    let daemon = Daemon::start();
    open_up(&daemon, daemon.directory.path(), 0o755);
    open_up(&daemon, &daemon.socket(), 0o666);
    let (code, text) = as_other_user(&daemon);
    assert_eq!(code, Some(4), "{text}");
    assert!(text.contains("1234"), "{text}");
    daemon.stop();
    Outcome::Passed
}

fn missing_directory() -> Outcome {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("made/for/it/bvecd.sock");
    let daemon = Daemon::start_at(&path);
    let of = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(of(path.parent().unwrap()), 0o750);
    daemon.stop();
    Outcome::Passed
}

/// Each with the path of the socket and what to do about it, and with nothing made.
fn bad_places() -> Outcome {
    let place = crate::scratch::Mounted::tmpfs(1 << 20);
    std::fs::create_dir(place.path().join("there")).unwrap();
    place.remount("ro");
    let long = "long".repeat(30);
    for (socket, words) in [
        (place.path().join("there/s"), "cannot be written to"),
        (place.path().join("missing/s"), "make the directory of"),
        (std::env::temp_dir().join(&long).join("s"), "at most 107"),
    ] {
        let output = crate::programs::command("bvecd")
            .arg("--socket")
            .arg(&socket)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{text}");
        for needle in [words, "--socket", socket.to_str().unwrap()] {
            assert!(text.contains(needle), "`{needle}` not in: {text}");
        }
    }
    assert!(!std::env::temp_dir().join(&long).exists());
    Outcome::Passed
}

fn openapi() -> Outcome {
    let daemon = Daemon::start();
    let call = api::Call::<serde_json::Value>::get(api::paths::OPENAPI);
    let document = daemon.ask(call);
    assert!(
        document["paths"][api::paths::DEVICES]["post"].is_object(),
        "{document}"
    );
    daemon.stop();
    Outcome::Passed
}

/// Who keeps a connection and says nothing on it does not hold up the daemon's end.
fn idle() -> Outcome {
    let mut daemon = Daemon::start();
    let device = daemon.add_ram(1 << 20, DataPath::Copy);
    let client = BlockingClient::new(daemon.socket()).unwrap();
    let mut connection = client.connect().unwrap();
    for generation in 2..=21 {
        let rules = RuleFile::new(Vec::new());
        let changed = connection.send(call::apply_rules(device.id, &rules));
        assert_eq!(changed.unwrap().generation, generation);
    }
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.wait().code(), Some(0), "{}", daemon.log());
    assert_eq!(char_devices(), Vec::<String>::new());
    let lost = connection.send(call::devices()).unwrap_err();
    assert!(matches!(lost, ClientError::Lost { .. }), "{lost}");
    Outcome::Passed
}
