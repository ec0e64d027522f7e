//! Bodies that nobody would send: whatever comes, the daemon answers with a problem of the right form, and lives.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use api::{DataPath, call};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde_json::Value;

use crate::daemon::Daemon;
use crate::outcome::{Case, Outcome};

pub(crate) fn cases() -> [Case; 1] {
    let fuzz = Case::new("api_fuzz::no_body_does_more_than_be_refused", fuzz);
    [fuzz.within(seconds() + 100)]
}

/// How long it goes on; the seed is the same each time, so more time means more bodies.
fn seconds() -> u64 {
    let asked = std::env::var("BVECD_FUZZ_SECONDS").ok();
    asked.map_or(30, |text| {
        text.parse().expect("BVECD_FUZZ_SECONDS is a number")
    })
}

/// Method, path and a body that is right, to begin with.
const SEEDS: &[(&str, &str, &str)] = &[
    (
        "POST",
        "/v1/devices/N/rules",
        r#"{"name":"x","where":{"op":["read"],"lba":"8+8","size":">=4K"},"when":{"prob":0.5,"count":3},"action":{"fail":{"status":"MEDIUM","effect":"prefix:8"}},"with":{"prio":5,"arm":"manual"}}"#,
    ),
    (
        "PUT",
        "/v1/devices/N/rules",
        r#"{"version":1,"seed":7,"rule":[{"name":"a","action":{"delay":{"dist":"lognormal:1ms/20ms","lanes":2}}},{"name":"b","where":{"op":["write"],"data":"hex:deadbeef@0"},"action":{"torn":{"parts":4,"persist":"1+3"}}}]}"#,
    ),
    (
        "PUT",
        "/v1/devices/N/rules?expect_generation=1&dry_run=true",
        r#"{"version":1}"#,
    ),
    (
        "POST",
        "/v1/devices",
        r#"{"id":9,"target":{"loop":{"file":"/nowhere/x","direct":true}},"data_path":"auto","queues":2,"depth":64,"recovery":"queue","rules":[{"name":"r","action":{"fail":{}}}]}"#,
    ),
    (
        "POST",
        "/v1/devices/N/holds/release",
        r#"{"which":{"rule":"a"},"fail":"MEDIUM"}"#,
    ),
    (
        "POST",
        "/v1/devices/N/holds/7/data",
        r#"{"offset_bytes":0,"content":{"fill":{"byte":7}}}"#,
    ),
    (
        "GET",
        "/v1/devices/N/holds/7/data?offset_bytes=0&length_bytes=16",
        "",
    ),
    (
        "POST",
        "/v1/devices/N/explain",
        r#"{"op":"write","sector":8,"sectors":8,"data":"00"}"#,
    ),
    (
        "POST",
        "/v1/devices/N/memory",
        r#"{"mark":"m","state":"s","forget":true}"#,
    ),
    (
        "POST",
        "/v1/devices/N/rules/a/switch",
        r#"{"armed":true,"enabled":false}"#,
    ),
];

/// Pieces that matter to somebody who reads JSON, numbers, ranges or times.
const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "\"",
    ":",
    ",",
    "null",
    "true",
    "-1",
    "1e999",
    "18446744073709551616",
    "0",
    "\u{0}",
    "\\u0000",
    "\u{1f4a5}",
    "+",
    "..",
    "|",
    "%",
    "2^64",
    "NaN",
    "@",
    "/",
    "~1",
    "4K",
    "9G",
    "1h",
    "ns",
    "x",
    "  ",
];

fn mutated(text: &str, random: &mut ChaCha8Rng) -> String {
    let mut text: Vec<char> = text.chars().collect();
    for _ in 0..=random.next_u32() % 3 {
        let at = random.next_u32() as usize % (text.len() + 1);
        match random.next_u32() % 4 {
            0 => {
                let piece = PIECES[random.next_u32() as usize % PIECES.len()];
                text.splice(at..at, piece.chars());
            }
            1 => {
                let end = (at + 1 + random.next_u32() as usize % 8).min(text.len());
                text.drain(at.min(end)..end);
            }
            2 => {
                let end = (at + 1 + random.next_u32() as usize % 20).min(text.len());
                let copy: Vec<char> = text[at.min(end)..end].to_vec();
                text.splice(at..at, copy);
            }
            _ => text.truncate(at),
        }
    }
    text.into_iter().collect()
}

fn fuzz() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(1 << 20, DataPath::Copy);
    let mut random = ChaCha8Rng::seed_from_u64(4);
    let (begin, mut count, mut accepted) = (Instant::now(), 0_u32, 0_u32);
    let end = Duration::from_secs(seconds());
    while begin.elapsed() < end {
        let (method, path, body) = SEEDS[random.next_u32() as usize % SEEDS.len()];
        let mut path = path.replace("/N/", &format!("/{}/", device.id));
        let body = mutated(body, &mut random);
        if random.next_u32().is_multiple_of(4) {
            // A path is ASCII without blanks, or it is no request at all.
            path = mutated(&path, &mut random);
            path.retain(|c| c.is_ascii_graphic());
            path.insert(0, '/');
        }
        let (status, answer) = exchange(&daemon, method, &path, &body);
        count += 1;
        accepted += u32::from(status == 200);
        let told = format!("{method} {path} {body}: {status} {answer}");
        assert!(
            [200, 400, 404, 405, 409, 413, 422, 501].contains(&status),
            "{told}"
        );
        if status != 200 && !answer.is_empty() {
            let problem: Value = serde_json::from_str(&answer).unwrap_or_else(|_| panic!("{told}"));
            assert_eq!(problem["status"], status, "{told}");
            assert!(
                problem["code"].is_string() && problem["detail"].is_string(),
                "{told}"
            );
        }
    }
    assert!(count > 100, "only {count} bodies");
    println!("{count} bodies, {accepted} of them accepted");
    daemon.ask(call::heal(None));
    assert_eq!(daemon.ask(call::rules(device.id)).rules, []);
    daemon.stop();
    Outcome::Passed
}

fn exchange(daemon: &Daemon, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut stream = UnixStream::connect(daemon.socket()).unwrap();
    let length = body.len();
    // Who refuses a path may hang up before the body has come; the answer is there all the same.
    let _ = write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: b\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, text) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    (
        status.unwrap_or_else(|| panic!("{method} {path} {body}: {answer:?}")),
        text.to_owned(),
    )
}
