//! `/metrics` on the socket and on a port of the loopback: right by a strict parser, and by what was done.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;

use api::{DataPath, Which};

use crate::client_io::{Disk, read_in_background};
use crate::daemon::Daemon;
use crate::deadline::LONG;
use crate::open_metrics::Exposition;
use crate::outcome::{Case, Outcome};
use crate::programs;

pub(crate) const CASES: &[Case] = &[
    Case::new("metrics::say_what_was_done", what_was_done),
    Case::new("metrics::a_port_has_nothing_else", nothing_else),
    Case::new("metrics::only_the_loopback", only_loopback),
];

const OPEN: &str = "application/openmetrics-text";

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Head and body of what a server says.
fn ask(mut stream: impl Read + Write, what: &str, accept: &str) -> (String, String) {
    let request =
        format!("{what} HTTP/1.1\r\nHost: bvecd\r\nAccept: {accept}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

fn tcp(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream
}

/// What a port says now; it must be right.
fn scraped(port: u16) -> Exposition {
    let (head, body) = ask(tcp(port), "GET /metrics", OPEN);
    assert!(
        head.starts_with("HTTP/1.1 200") && head.contains(OPEN),
        "{head}"
    );
    Exposition::parse(&body).unwrap_or_else(|error| panic!("{error}\n{body}"))
}

fn what_was_done() -> Outcome {
    let port = free_port();
    let daemon = Daemon::start_with(&["--metrics", &format!("127.0.0.1:{port}")]);
    assert_eq!(scraped(port).len(), 0);
    let device = daemon.add_ram(4 << 20, DataPath::Copy);
    let labels =
        [("device", &*device.id.to_string()), ("op", "write")].map(|(a, b)| (a, b.to_owned()));
    let writes: Vec<(&str, &str)> = labels.iter().map(|(a, b)| (*a, b.as_str())).collect();
    let count = |seen: &Exposition, name: &str| seen.value(name, &writes);
    let disk = Disk::open(&device.path);
    let before = scraped(port);
    for number in 0..5 {
        disk.write(number * 4096, &[7; 4096]);
    }
    // Two that take long, whatever the machine does.
    daemon.rule(
        device.id,
        "a.slow-one",
        "delay:100ms where op=write,lba=4096+8",
    );
    disk.write(4096 * 512, &[7; 4096]);
    disk.write(4096 * 512, &[7; 4096]);
    daemon.rule(device.id, "stop", "hold where op=read,lba=8000+8");
    let reader = read_in_background(&device.path, 8000 * 512, 4096);
    daemon.held(device.id, 1);
    let now = scraped(port);
    let grew = |name: &str, by: f64| {
        let grown = count(&now, name) - count(&before, name);
        assert!(
            (grown - by).abs() < 1e-6,
            "{name} grew by {grown}, not by {by}"
        );
    };
    grew("bvecd_requests_total", 7.0);
    grew("bvecd_request_bytes_total", 7.0 * 4096.0);
    grew("bvecd_request_duration_seconds_count", 7.0);
    let name = "bvecd_request_duration_seconds";
    let bucket = |seen: &Exposition, end: &str| {
        let labels = [&writes[..], &[("le", end)]].concat();
        seen.value(&format!("{name}_bucket"), &labels)
    };
    // 2^26 and 2^27 ns are about it.
    let slow = (bucket(&now, "+Inf") - bucket(&now, "0.067108864"))
        - (bucket(&before, "+Inf") - bucket(&before, "0.067108864"));
    assert!(slow >= 2.0, "{slow} were slow");
    let sum = count(&now, &format!("{name}_sum")) - count(&before, &format!("{name}_sum"));
    assert!(sum >= 0.2, "they took {sum} s together");
    let of_rule = |name, rule| now.value(name, &[("rule", rule)]);
    for (name, rule, expected) in [
        ("bvecd_rule_fired_total", "a.slow-one", 2.0),
        ("bvecd_rule_held_requests", "stop", 1.0),
        ("bvecd_rule_fired_total", "stop", 1.0),
    ] {
        assert!(
            (of_rule(name, rule) - expected).abs() < 1e-9,
            "{name} {rule}"
        );
    }
    assert!((now.value("bvecd_held_requests", &[]) - 1.0).abs() < 1e-9);
    assert!((now.value("bvecd_faults_fired_total", &[]) - 3.0).abs() < 1e-9);
    daemon.release(device.id, Which::All);
    reader.join().unwrap().unwrap();
    drop(disk);
    // The socket says the same, in either form.
    let stream = || UnixStream::connect(daemon.socket()).unwrap();
    let (_, body) = ask(stream(), "GET /metrics", OPEN);
    Exposition::parse(&body).unwrap_or_else(|error| panic!("{error}\n{body}"));
    let (head, body) = ask(stream(), "GET /metrics", "*/*");
    assert!(head.contains("text/plain; version=0.0.4"), "{head}");
    assert!(
        body.contains("# TYPE bvecd_requests_total counter"),
        "{body}"
    );
    daemon.stop();
    Outcome::Passed
}

fn nothing_else() -> Outcome {
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let daemon = Daemon::start_with(&["--metrics", &address]);
    for what in [
        "GET /v1/devices",
        "POST /v1/heal",
        "POST /metrics",
        "DELETE /metrics",
    ] {
        let (head, body) = ask(tcp(port), what, "*/*");
        assert!(head.starts_with("HTTP/1.1 404"), "{what}: {head}");
        assert!(body.contains("GET /metrics"), "{body}");
    }
    // Who says nothing keeps nobody else waiting, and no daemon from its end.
    let silent = tcp(port);
    assert_eq!(scraped(port).len(), 0);
    daemon.stop();
    drop(silent);
    // The port is free again, also for the next daemon.
    let daemon = Daemon::start_with(&["--metrics", &address]);
    daemon.stop();
    Outcome::Passed
}

fn only_loopback() -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().to_string();
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("bvecd.sock");
    let run = |address: &str| {
        // It would serve if it were wrong.
        let ended = programs::command("timeout")
            .args(["20", "bvecd", "--socket"])
            .arg(&socket)
            .args(["--metrics", address])
            .output()
            .unwrap();
        let said = [ended.stdout, ended.stderr].concat();
        (
            ended.status.code(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    };
    for (address, code, reason) in [
        ("0.0.0.0:9420", 2, "other machines"),
        ("[::]:9420", 2, "other machines"),
        ("9420", 2, "127.0.0.1:9420"),
        (&*taken, 1, "choose another --metrics"),
    ] {
        let (ended, said) = run(address);
        assert_eq!(ended, Some(code), "{address}: {said}");
        assert!(said.contains(reason), "{address}: {said}");
        assert!(!socket.exists(), "{address} leaves a socket");
    }
    drop(listener);
    Outcome::Passed
}
