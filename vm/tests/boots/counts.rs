//! A guest whose clock counts instructions, a bench that reads them off it, and a script that recomputes the bench's
//! numbers from fio's own.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::guest::Guest;

/// Runs a session on a device that does nothing.
const SCRIPT: &str = "setsid bvecd --log warn & \
    until bvecctl features >/dev/null 2>&1; do sleep 0.1; done; \
    bvecctl dev add null --size 1G --data-path copy >/dev/null && \
    bvecctl --json bench run rand-destination-4k-qd1 --ios 20000 --rounds 2 --out out";
/// Shares no code with the bench.
const CHECK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../bench/check_report.py");

/// What the script says of a result and its page, and whether all agrees.
fn checked(out: &Path) -> (bool, String) {
    let files = ["result.json", "report.html"].map(|name| out.join(name));
    let ended = Command::new("python3")
        .arg(CHECK)
        .args(files)
        .output()
        .unwrap();
    let said = [ended.stdout, ended.stderr].concat();
    (
        ended.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

/// What a request costs by fio's own clock, of a millisecond, and by that of the scheduler, less what fio's start costs,
/// are two measurements of one thing.
#[test]
fn a_bench_counts_the_guests_instructions() {
    let directory = tempfile::tempdir().unwrap();
    let options = ["--quiet", "--count-instructions", "--copy-out", "out"];
    let guest = Guest::new(&options, &["sh", "-c", SCRIPT]);
    let ended = guest.current_dir(directory.path()).run();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let record: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(record["environment"]["counts_instructions"], true);
    let runs = record["cells"][0]["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 2);
    let counts = runs.iter().map(|run| {
        let by_fio = 1e9 / run["iops"].as_f64().unwrap();
        let counted = run["cost"]["guest_instructions_per_io"].as_f64().unwrap();
        let apart = (counted / by_fio - 1.0).abs();
        assert!(apart < 0.03, "{counted} counted, {by_fio} by fio");
        counted
    });
    let counts: Vec<f64> = counts.collect();
    // It is a count: no other load of the host is in it.
    let apart = (counts[0] / counts[1] - 1.0).abs();
    assert!(apart < 0.02, "{counts:?}");
    let out = directory.path().join("out");
    let (agrees, said) = checked(&out);
    assert!(
        agrees && said.contains("2 runs checked, 0 differences"),
        "{said}"
    );
    // A number that is wrong by a hundredth is found, in the file and so on the page.
    let iops = runs[0]["iops"].to_string();
    let text = fs::read_to_string(out.join("result.json")).unwrap();
    let wrong = (runs[0]["iops"].as_f64().unwrap() * 1.01).to_string();
    fs::write(out.join("result.json"), text.replacen(&iops, &wrong, 1)).unwrap();
    let (agrees, said) = checked(&out);
    assert!(!agrees && said.contains("iops"), "{said}");
}
