//! The API refuses bad input: each with a message that says where and what would be right, and with
//! nothing changed.

mod kinds;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use api::{DataPath, call};
use serde_json::Value;

use crate::daemon::{Daemon, char_devices};
use crate::outcome::{Case, Outcome};
use kinds::KINDS;

pub(crate) const CASES: &[Case] = &[
    Case::new(
        "bad_input::forty_kinds_are_refused_with_a_located_message",
        forty_kinds,
    ),
    Case::new("bad_input::the_command_line_says_it_too", command_line),
];

fn forty_kinds() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(1 << 20, DataPath::Copy);
    daemon.rule(device.id, "taken", "fail where op=write");
    assert!(KINDS.len() >= 40);
    for (method, path, body, status, must_say) in KINDS {
        let path = path.replace("/N/", &format!("/{}/", device.id));
        let (got, text) = exchange(&daemon, method, &path, body);
        let kind = format!("{method} {path} {body}");
        assert_eq!(got, *status, "{kind}: {text}");
        let problem: Value =
            serde_json::from_str(&text).unwrap_or_else(|_| panic!("{kind}: {text}"));
        assert_eq!(problem["status"], *status, "{kind}: {text}");
        assert!(
            problem["detail"]
                .as_str()
                .is_some_and(|detail| detail.len() > 8),
            "{kind}: {text}"
        );
        if must_say.starts_with('/') {
            let pointer = problem["pointer"].as_str().unwrap_or("");
            assert!(
                pointer.starts_with(must_say),
                "{kind}: points to `{pointer}`: {text}"
            );
        } else {
            assert!(
                text.contains(must_say),
                "{kind}: does not say `{must_say}`: {text}"
            );
        }
    }
    let rules = daemon.ask(call::rules(device.id));
    assert_eq!(
        (rules.rules.len(), rules.generation),
        (1, 2),
        "something was half applied"
    );
    assert_eq!(char_devices().len(), 1, "something was half made");
    daemon.stop();
    Outcome::Passed
}

/// One request by hand: the client would not send most of these.
fn exchange(daemon: &Daemon, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut stream = UnixStream::connect(daemon.socket()).unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: b\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, text) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, text.to_owned())
}

fn command_line() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(1 << 20, DataPath::Copy);
    let run_at = |socket: &std::path::Path, words: &[&str]| {
        let output = crate::programs::command("bvecctl")
            .arg("--socket")
            .arg(socket)
            .args(words)
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let kinds: &[(&[&str], i32, &str)] = &[
        (&["dev", "add", "ram"], 2, "--size"),
        (&["dev", "add", "ram", "--size", "12Q"], 2, "12Q"),
        (&["dev", "add", "loop", "--file", "/none"], 2, "/none"),
        (
            &["dev", "add", "null", "--size", "1M", "--data-path", "fast"],
            2,
            "auto-zero-copy",
        ),
        (&["dev", "show", "77"], 2, "no device 77"),
        (&["fault", "add", "x", "explode"], 2, "explode"),
        (&["fault", "add", "x", "fail where op=reed"], 2, "reed"),
        (&["fault", "add", "x", "fail when count=0"], 2, "count"),
        (&["fault", "rm", "none"], 2, "none"),
        (&["hold", "release", "4711"], 2, "4711"),
    ];
    for (words, code, must_say) in kinds {
        let (got, text) = run_at(&daemon.socket(), words);
        assert_eq!(got, Some(*code), "{words:?}: {text}");
        assert!(
            text.contains(must_say),
            "{words:?}: does not say `{must_say}`: {text}"
        );
    }
    let (code, text) = run_at("/none.sock".as_ref(), &["dev", "list"]);
    assert_eq!(code, Some(5), "{text}");
    assert_eq!(daemon.ask(call::devices()).devices, [device]);
    daemon.stop();
    Outcome::Passed
}
