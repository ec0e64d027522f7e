use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::thread::JoinHandle;

use super::*;
use crate::call;
use crate::event::{Event, EventKind};
use crate::problem::{Problem, ProblemCode};

/// A socket on which one connection gets this answer; gives back the head of the request.
fn answering(answer: String) -> (tempfile::TempDir, PathBuf, JoinHandle<String>) {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        let head: Vec<String> = lines
            .by_ref()
            .map(|l| l.unwrap())
            .take_while(|l| !l.is_empty())
            .collect();
        stream.write_all(answer.as_bytes()).unwrap();
        head.join("\n")
    });
    (folder, socket, thread)
}

fn http(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn an_answer_is_read_into_its_type() {
    let (_folder, socket, server) = answering(http("200 OK", r#"{"schema":1,"devices":[]}"#));
    let list = BlockingClient::new(&socket)
        .unwrap()
        .send(call::devices())
        .unwrap();
    assert!(list.devices.is_empty());
    assert!(
        server
            .join()
            .unwrap()
            .starts_with("GET /v1/devices HTTP/1.1")
    );
}

#[test]
fn a_problem_comes_through_with_its_exit_code() {
    let problem = Problem::new(ProblemCode::Unsupported, "no AUTO_BUF_REG before 6.16");
    let body = serde_json::to_string(&problem).unwrap();
    let (_folder, socket, server) = answering(http("501 Not Implemented", &body));
    let error = BlockingClient::new(&socket)
        .unwrap()
        .send(call::delete_device(7))
        .unwrap_err();
    assert_eq!(error.exit_code(), 4);
    assert_eq!(error.to_string(), "no AUTO_BUF_REG before 6.16");
    assert!(server.join().unwrap().starts_with("DELETE /v1/devices/7 "));
}

#[test]
fn answers_that_make_no_sense_are_told_apart() {
    for answer in [
        http("200 OK", "{}"),
        http("500 Oops", "<html>"),
        http("200 OK", "nonsense"),
    ] {
        let (_folder, socket, server) = answering(answer);
        let error = BlockingClient::new(&socket)
            .unwrap()
            .send(call::device(1))
            .unwrap_err();
        assert!(matches!(error, ClientError::Garbled { .. }), "{error}");
        server.join().unwrap();
    }
}

#[test]
fn no_daemon_is_said_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let client = BlockingClient::new(folder.path().join("none")).unwrap();
    let error = client.send(call::devices()).unwrap_err();
    assert_eq!(error.exit_code(), 5);
    assert!(error.to_string().contains("is bvecd running?"), "{error}");
}

#[test]
fn a_silent_daemon_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("sock");
    // Connections are queued but never answered.
    let _listener = UnixListener::bind(&socket).unwrap();
    let client = BlockingClient::new(&socket)
        .unwrap()
        .with_timeout(Duration::from_millis(50));
    assert!(matches!(
        client.send(call::devices()),
        Err(ClientError::TimedOut { .. })
    ));
}

#[test]
fn events_are_read_line_by_line() {
    let lines: String = (1..=3)
        .map(|seq| serde_json::to_string(&Event::new(seq, 5, EventKind::Fired)).unwrap() + "\n")
        .collect();
    let (_folder, socket, server) = answering(http("200 OK", &lines));
    let client = BlockingClient::new(&socket).unwrap();
    let events: Vec<u64> = client
        .events(Some(1), true)
        .unwrap()
        .map(|event| event.unwrap().seq)
        .collect();
    assert_eq!(events, [1, 2, 3]);
    assert!(
        server
            .join()
            .unwrap()
            .starts_with("GET /v1/events?follow=true&since=1 ")
    );
}

/// A socket on which one connection gets these answers, one a request, and is closed then.
fn answering_in_turn(answers: Vec<String>) -> (tempfile::TempDir, PathBuf, JoinHandle<()>) {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        // Another connection finds nobody.
        drop(listener);
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        for answer in answers {
            while !lines.next().unwrap().unwrap().is_empty() {}
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    (folder, socket, thread)
}

#[test]
fn a_connection_stays_from_call_to_call_and_its_loss_is_told() {
    let problem = serde_json::to_string(&Problem::new(ProblemCode::NotFound, "no device 7"));
    let (_folder, socket, server) = answering_in_turn(vec![
        http("200 OK", r#"{"schema":1,"devices":[]}"#),
        // A refusal ends no connection.
        http("404 Not Found", &problem.unwrap()),
        http("200 OK", r#"{"schema":1,"devices":[]}"#),
    ]);
    let client = BlockingClient::new(&socket).unwrap();
    let mut connection = client.connect().unwrap();
    assert!(connection.send(call::devices()).is_ok());
    let refused = connection.send(call::device(7)).unwrap_err();
    assert_eq!(refused.to_string(), "no device 7");
    assert!(connection.send(call::devices()).is_ok());
    server.join().unwrap();
    for _ in 0..2 {
        let lost = connection.send(call::devices()).unwrap_err();
        assert!(matches!(lost, ClientError::Lost { .. }), "{lost}");
        assert_eq!(lost.exit_code(), 5);
    }
}

#[test]
fn the_late_answer_to_one_call_is_never_that_to_another() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let client = BlockingClient::new(&socket)
        .unwrap()
        .with_timeout(Duration::from_millis(50));
    let mut connection = client.connect().unwrap();
    let first = connection.send(call::devices()).unwrap_err();
    assert!(matches!(first, ClientError::TimedOut { .. }), "{first}");
    let (mut stream, _) = listener.accept().unwrap();
    // Its client may have hung up already.
    let late = http("200 OK", r#"{"schema":1,"devices":[]}"#);
    let _ = stream.write_all(late.as_bytes());
    let second = connection.send(call::devices()).unwrap_err();
    assert!(matches!(second, ClientError::Lost { .. }), "{second}");
}
