//! Machine output is what its schema says. The demo is run for its report, so this is also the test
//! that the demo works.

use api::{DataPath, call};
use serde_json::{Value, json};

use crate::client_io::Disk;
use crate::daemon::Daemon;
use crate::outcome::{Case, Outcome, need_program};
use crate::programs;

pub(crate) const CASES: &[Case] = &[
    Case::new("schemas::events", events),
    Case::new("schemas::the_demo_and_its_report", demo).within(240),
    Case::new("schemas::a_planted_defect_is_found", planted),
];

const EVENT: &str = include_str!("../../../docs/schemas/event.schema.json");
const REPORT: &str = include_str!("../../../docs/schemas/demo-report.schema.json");
pub(super) const MATRIX: &str = include_str!("../../../docs/schemas/lab-matrix.schema.json");
pub(super) const CENSUS: &str = include_str!("../../../docs/schemas/lab-census.schema.json");
pub(super) const FUZZ: &str = include_str!("../../../docs/schemas/lab-fuzz.schema.json");
const INSTRUCTIONS: &str = include_str!("../../../docs/schemas/instructions.schema.json");

/// What is wrong with a value, by its schema.
pub(super) fn faults(schema: &str, value: &Value) -> Vec<String> {
    let schema: Value = serde_json::from_str(schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    validator
        .iter_errors(value)
        .map(|e| format!("{}: {e}", e.instance_path()))
        .collect()
}

fn events() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(1 << 20, DataPath::Copy);
    daemon.rule(device.id, "bad", "fail:MEDIUM where op=read when count=1");
    daemon.rule(device.id, "slow", "delay:1ms where op=write");
    let disk = Disk::open(&device.path);
    assert!(disk.try_read(0, 512).is_err());
    disk.write(0, &[1; 512]);
    daemon.ask(call::heal(None));
    let output = programs::command("bvecctl")
        .arg("--socket")
        .arg(daemon.socket())
        .args(["--json", "events"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.lines().count() >= 7, "{text}");
    for line in text.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        assert_eq!(faults(EVENT, &event), Vec::<String>::new(), "{line}");
    }
    daemon.stop();
    Outcome::Passed
}

fn demo() -> Outcome {
    need_program!("fio");
    let directory = tempfile::tempdir().unwrap();
    let output = programs::command("bvecctl")
        .args(["demo", "--quick", "--out"])
        .arg(directory.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let report = std::fs::read(directory.path().join("report.json")).unwrap();
    let report: Value = serde_json::from_slice(&report).unwrap();
    assert_eq!(faults(REPORT, &report), Vec::<String>::new(), "{report}");
    assert_eq!(report["hold"]["in_flight"]["pin_count"], 1);
    assert_eq!(report["hold"]["after_release"]["pin_count"], 0);
    assert_eq!(report["fault"]["seen"], 1);
    assert_eq!(report["fault"]["errno"], libc::ENODATA);
    let page = std::fs::read_to_string(directory.path().join("report.html")).unwrap();
    assert!(page.matches("<svg").count() >= 2, "fewer than two plots");
    Outcome::Passed
}

/// The schemas bite: what is missing or of the wrong kind is found.
fn planted() -> Outcome {
    let event = json!({"schema": 1, "seq": 0, "kind": "exploded"});
    assert!(faults(EVENT, &event).len() >= 3);
    assert!(!faults(REPORT, &json!({"schema": 1})).is_empty());
    for schema in [MATRIX, CENSUS, FUZZ] {
        assert!(faults(schema, &json!({"schema": 1, "vectors": -1})).len() >= 3);
    }
    let row = json!({"peer": "nobody", "measure": "miles", "values": []});
    let results = json!({"schema": 1, "kernel": "7", "rounds": 1, "results": [row]});
    assert!(faults(INSTRUCTIONS, &results).len() >= 3);
    Outcome::Passed
}
