//! The API refuses bad input: each with a message that says where and what would be right, and with
//! nothing changed.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use api::{DataPath, call};
use serde_json::Value;

use crate::daemon::{Daemon, char_devices};
use crate::outcome::{Case, Outcome};

pub(crate) const CASES: &[Case] = &[
    Case::new(
        "bad_input::forty_kinds_are_refused_with_a_located_message",
        forty_kinds,
    ),
    Case::new("bad_input::the_command_line_says_it_too", command_line),
];

/// Method, path, body, status, where it must point to (a JSON pointer) or what it must say.
type Kind = (&'static str, &'static str, &'static str, u16, &'static str);

const RAM: &str = r#"{"target":{"ram":{"size_bytes":1048576}}}"#;

const KINDS: &[Kind] = &[
    ("POST", "/v1/devices", "", 400, "EOF"),
    ("POST", "/v1/devices", "{", 400, "line 1"),
    ("POST", "/v1/devices", "[]", 422, "invalid"),
    ("POST", "/v1/devices", "{}", 422, "target"),
    ("POST", "/v1/devices", r#"{"target":{}}"#, 400, "/target"),
    (
        "POST",
        "/v1/devices",
        r#"{"target":{"tape":{}}}"#,
        422,
        "/target",
    ),
    (
        "POST",
        "/v1/devices",
        r#"{"target":{"ram":{}}}"#,
        422,
        "/target/ram",
    ),
    (
        "POST",
        "/v1/devices",
        r#"{"target":{"ram":{"size_bytes":0}}}"#,
        422,
        "/target/ram/size_bytes",
    ),
    (
        "POST",
        "/v1/devices",
        r#"{"target":{"ram":{"size_bytes":1000}}}"#,
        422,
        "/target/ram/size_bytes",
    ),
    (
        "POST",
        "/v1/devices",
        r#"{"target":{"ram":{"size_bytes":-4096}}}"#,
        422,
        "/target/ram/size_bytes",
    ),
    (
        "POST",
        "/v1/devices",
        r#"{"target":{"ram":{"size_bytes":"1M"}}}"#,
        422,
        "/target/ram/size_bytes",
    ),
    (
        "POST",
        "/v1/devices",
        r#"{"target":{"ram":{"size_bytes":4096,"sise":1}}}"#,
        422,
        "/target/ram",
    ),
    (
        "POST",
        "/v1/devices",
        r#"{"target":{"loop":{"file":"relative"}}}"#,
        422,
        "/target/loop/file",
    ),
    (
        "POST",
        "/v1/devices",
        r#"{"target":{"loop":{"file":"/none"}}}"#,
        422,
        "/target/loop/file",
    ),
    (
        "POST",
        "/v1/devices",
        r#"{"target":{"null":{"size_bytes":4096}},"queues":0}"#,
        422,
        "/queues",
    ),
    (
        "POST",
        "/v1/devices",
        r#"{"target":{"null":{"size_bytes":4096}},"queues":5000}"#,
        422,
        "/queues",
    ),
    (
        "POST",
        "/v1/devices",
        r#"{"target":{"null":{"size_bytes":4096}},"queues":70000}"#,
        422,
        "/queues",
    ),
    (
        "POST",
        "/v1/devices",
        r#"{"target":{"null":{"size_bytes":4096}},"depth":0}"#,
        422,
        "/depth",
    ),
    (
        "POST",
        "/v1/devices",
        r#"{"target":{"null":{"size_bytes":4096}},"depth":4097}"#,
        422,
        "/depth",
    ),
    (
        "POST",
        "/v1/devices",
        r#"{"target":{"null":{"size_bytes":4096}},"id":9999999}"#,
        422,
        "/id",
    ),
    (
        "POST",
        "/v1/devices",
        r#"{"target":{"null":{"size_bytes":4096}},"data_path":"fast"}"#,
        422,
        "/data_path",
    ),
    (
        "POST",
        "/v1/devices",
        r#"{"target":{"null":{"size_bytes":4096}},"transport":"train"}"#,
        422,
        "/transport",
    ),
    (
        "POST",
        "/v1/devices",
        r#"{"target":{"null":{"size_bytes":4096}},"logical_block_bytes":100}"#,
        422,
        "/logical_block_bytes",
    ),
    (
        "POST",
        "/v1/devices",
        r#"{"target":{"null":{"size_bytes":65536}},"logical_block_bytes":65536}"#,
        422,
        "/logical_block_bytes",
    ),
    (
        "POST",
        "/v1/devices",
        r#"{"target":{"null":{"size_bytes":4096}},"max_io_bytes":5000}"#,
        422,
        "/max_io_bytes",
    ),
    (
        "POST",
        "/v1/devices",
        r#"{"target":{"null":{"size_bytes":4096}},"max_io_bytes":67108864}"#,
        422,
        "/max_io_bytes",
    ),
    (
        "POST",
        "/v1/devices",
        r#"{"target":{"null":{"size_bytes":4096}},"colour":"red"}"#,
        422,
        "colour",
    ),
    (
        "POST",
        "/v1/devices",
        r#"{"target":{"null":{"size_bytes":4096}},"rules":[{"name":"x","action":{"explode":{}}}]}"#,
        422,
        "/rules/0/action",
    ),
    ("GET", "/v1/devices/77", "", 404, "no device 77"),
    ("GET", "/v1/devices/minus", "", 400, "minus"),
    ("DELETE", "/v1/devices/77", "", 404, "no device 77"),
    ("PUT", "/v1/devices", RAM, 405, "method"),
    ("GET", "/v2/devices", "", 404, "path"),
    (
        "POST",
        "/v1/devices/N/rules",
        r#"{"name":"x"}"#,
        422,
        "action",
    ),
    (
        "POST",
        "/v1/devices/N/rules",
        r#"{"name":"","action":{"fail":{}}}"#,
        422,
        "/name",
    ),
    (
        "POST",
        "/v1/devices/N/rules",
        r#"{"name":"x","action":{"fail":{"status":"BROKEN"}}}"#,
        422,
        "/action/fail/status",
    ),
    (
        "POST",
        "/v1/devices/N/rules",
        r#"{"name":"x","action":{"fail":{}},"where":{"lba":"9999999+8"}}"#,
        422,
        "/where/lba",
    ),
    (
        "POST",
        "/v1/devices/N/rules",
        r#"{"name":"x","action":{"fail":{}},"when":{"prob":1.5}}"#,
        422,
        "/when/prob",
    ),
    (
        "POST",
        "/v1/devices/N/rules",
        r#"{"name":"x","action":{"fail":{}},"when":{"nth":0}}"#,
        422,
        "/when/nth",
    ),
    (
        "POST",
        "/v1/devices/N/rules",
        r#"{"name":"x","action":{"hold":{"max_ns":0}}}"#,
        422,
        "/action/hold",
    ),
    (
        "POST",
        "/v1/devices/N/rules",
        r#"{"name":"taken","action":{"fail":{}}}"#,
        409,
        "/name",
    ),
    ("DELETE", "/v1/devices/N/rules/none", "", 404, "none"),
    (
        "DELETE",
        "/v1/devices/N/rules?expect_generation=77",
        "",
        409,
        "not 77",
    ),
    (
        "DELETE",
        "/v1/devices/N/rules?expect_generation=x",
        "",
        400,
        "expect_generation",
    ),
    ("PUT", "/v1/devices/N/rules?colour=red", "{}", 400, "colour"),
    ("PUT", "/v1/devices/N/rules", "{}", 422, "version"),
    (
        "PUT",
        "/v1/devices/N/rules",
        r#"{"version":2}"#,
        422,
        "/version",
    ),
    (
        "PUT",
        "/v1/devices/N/rules",
        r#"{"version":1,"rule":[{"name":"x","action":{"fail":{}}},{"name":"x","action":{"fail":{}}}]}"#,
        422,
        "/rule/1/name",
    ),
    (
        "PUT",
        "/v1/devices/N/rules/none",
        r#"{"name":"none","action":{"fail":{}}}"#,
        404,
        "none",
    ),
    (
        "PUT",
        "/v1/devices/N/rules/taken",
        r#"{"name":"other","action":{"fail":{}}}"#,
        422,
        "/name",
    ),
    ("GET", "/v1/events?new=soon", "", 400, "new"),
    (
        "POST",
        "/v1/devices/N/holds/release",
        r#"{"which":{"hold_id":4711}}"#,
        404,
        "4711",
    ),
    (
        "POST",
        "/v1/devices/N/holds/release",
        r#"{"which":"some"}"#,
        422,
        "/which",
    ),
    ("GET", "/v1/events?since=yesterday", "", 400, "since"),
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
