//! `bvecctl lab fuzz`: that it finds what was planted, and nothing where nothing was.

use serde_json::Value;

use super::schemas::{FUZZ, faults};
use crate::daemon::Daemon;
use crate::outcome::{Case, Outcome};
use crate::pins::outstanding_pins;
use crate::programs::bvecctl;

pub(crate) const CASES: &[Case] = &[
    Case::new("vector_fuzz::pins_and_data_come_out_right", clean).within(180),
    Case::new("vector_fuzz::a_planted_leak_is_found_and_minimised", leak).within(120),
    Case::new("vector_fuzz::wrong_data_are_found_and_minimised", data).within(120),
];

fn fuzz(words: &str, code: i32) -> Vec<Value> {
    let daemon = Daemon::start();
    let line = format!("--json lab fuzz {words}");
    let words: Vec<&str> = line.split(' ').collect();
    let ran = bvecctl(&daemon.socket(), &words);
    assert_eq!(ran.code, Some(code), "{ran:?}");
    daemon.stop();
    let lines = ran.out.lines();
    let reports: Vec<Value> = lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for report in &reports {
        assert_eq!(faults(FUZZ, report), Vec::<String>::new(), "{report}");
    }
    reports
}

fn clean() -> Outcome {
    let before = outstanding_pins();
    let reports = fuzz("--seed 11 --vectors 150", 0);
    assert_eq!(reports.len(), 6, "{reports:?}");
    for report in &reports {
        assert!(report["finding"].is_null(), "{report}");
        if report["skipped"].is_null() {
            assert_eq!(report["vectors"], 150, "{report}");
            // A fuzzer whose vectors are all refused, or all taken, tries nothing.
            for key in ["whole", "refused"] {
                assert!(report[key].as_u64().unwrap() > 10, "{key}: {report}");
            }
        }
    }
    assert_eq!(outstanding_pins(), before);
    Outcome::Passed
}

fn leak() -> Outcome {
    let reports = fuzz("--round plain --seed 3 --plant leak", 1);
    let finding = &reports[0]["finding"];
    assert_eq!(finding["problem"]["kind"], "pins", "{finding}");
    assert_eq!(finding["problem"]["outstanding"], 1, "{finding}");
    let shortest = &finding["shortest"];
    assert_eq!(
        shortest["segments"].as_array().unwrap().len(),
        2,
        "{finding}"
    );
    assert_eq!(
        (&shortest["how"], &shortest["memory"]),
        (&"sync".into(), &"malloc".into())
    );
    let program = finding["program"].as_str().unwrap();
    assert!(program.contains("int main(void)") && program.contains("struct iovec v[]"));
    Outcome::Passed
}

fn data() -> Outcome {
    // Of the fuzzer's own making, and of the device's: a rule that damages reads.
    for plant in ["data", "device"] {
        let reports = fuzz(&format!("--round plain --seed 3 --plant {plant}"), 1);
        let finding = &reports[0]["finding"];
        let kind = finding["problem"]["kind"].as_str().unwrap();
        // A damaged block is seen by a destination, or when a source beside it is read back.
        assert!(
            kind == "memory" || plant == "device" && kind == "medium",
            "{finding}"
        );
        let shortest = &finding["shortest"];
        assert_eq!(
            shortest["segments"].as_array().unwrap().len(),
            1,
            "{finding}"
        );
        assert_eq!(shortest["spoilt"], Value::Array(Vec::new()), "{finding}");
    }
    Outcome::Passed
}
