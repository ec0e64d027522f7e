//! `bvecctl lab matrix`: guests that answer, and what is left when it is ended from outside.

use std::fs;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::guest::{Guest, kernel};

/// The table that was written so far.
fn table(out: &std::path::Path) -> Value {
    let text = fs::read_to_string(out.join("matrix.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn a_table_is_written_in_every_form() {
    let out = tempfile::tempdir().unwrap();
    let place = out.path().to_str().unwrap();
    let kernels = kernel();
    let asked = "pin-source,read-only-source";
    let words = [
        "lab",
        "matrix",
        "--kernels",
        &kernels,
        "--experiment",
        asked,
        "--out",
        place,
    ];
    let ended = Guest::of(&words).run();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended.out.contains("pin-source") && ended.out.contains("2 hold"),
        "{ended:?}"
    );
    let table = table(out.path());
    assert_eq!(table["complete"], true, "{table}");
    let cells = table["kernels"][0]["cells"].as_array().unwrap();
    assert_eq!(cells.len(), 2, "{table}");
    for name in ["matrix.md", "matrix.html", "matrix.xml"] {
        let text = fs::read_to_string(out.path().join(name)).unwrap();
        assert!(text.contains("read-only-source"), "{name}");
    }
    let lines = fs::read_dir(out.path()).unwrap().flatten();
    let lines = lines.filter(|entry| entry.path().extension().is_some_and(|end| end == "jsonl"));
    assert_eq!(lines.count(), 1);
}

#[test]
fn ctrl_c_leaves_what_is_finished_and_no_machine() {
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 130)] {
        let out = tempfile::tempdir().unwrap();
        let place = out.path().to_str().unwrap();
        let kernels = format!("{0},{0}", kernel());
        let words = [
            "lab",
            "matrix",
            "--kernels",
            &kernels,
            "--jobs",
            "2",
            "--out",
            place,
            "pin-source",
            "pin-vector",
            "pin-thp",
            "--repeat",
            "1000",
        ];
        // A thousand repeats do not end by themselves: the first answer is one of many.
        let running = Guest::of(&words).start_until("the first answer");
        let (status, left) = running.end_by(signal);
        assert_eq!(left, Vec::<String>::new(), "{signal}");
        assert_eq!(status.code(), Some(code), "{signal}");
        let table = table(out.path());
        assert_eq!(table["complete"], false, "{table}");
        let columns = table["kernels"].as_array().unwrap();
        let answers = columns
            .iter()
            .map(|column| column["cells"].as_array().unwrap().len());
        assert!(answers.sum::<usize>() >= 1, "{table}");
        assert!(out.path().join("matrix.html").is_file());
    }
}

#[test]
fn a_kernel_that_is_not_there_fails_the_machine_only() {
    let ended = Guest::of(&["lab", "matrix", "--kernels", "99", "pin-source"]).run();
    assert_eq!(ended.code, Some(125), "{ended:?}");
    assert!(ended.err.contains("find a kernel for `99`"), "{ended:?}");
}
