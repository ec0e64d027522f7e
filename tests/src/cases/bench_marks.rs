//! `bvecctl bench` with marks: which run they are of, what becomes of requests that a rule fails, and what is said of a
//! mark that cannot be made.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::daemon::{Daemon, block_devices};
use crate::outcome::{Case, Outcome, need_program};
use crate::programs::{Ran, bvecctl};

use super::bench_sessions::{RESULT, matrix, processes, record, runs};
use super::schemas::faults;

pub(crate) const CASES: &[Case] = &[
    Case::new("bench::marks_are_of_the_run_that_counts", of_the_run).within(120),
    Case::new("bench::failed_requests_end_no_run", failing).within(120),
    Case::new("bench::a_verify_job_that_a_rule_ends_is_bad", verifying).within(120),
    Case::new("bench::a_mark_that_cannot_be_made_is_told", not_made).within(120),
];

/// Runs a matrix of these groups, and says where its result is.
fn session(daemon: &Daemon, directory: &Path, runtime_ms: u32, groups: &str) -> (Ran, PathBuf) {
    let (file, out) = (directory.join("marks.toml"), directory.join("out"));
    fs::write(&file, matrix(1, runtime_ms, groups)).unwrap();
    let words = ["bench", "run", file.to_str().unwrap(), "--out"];
    let words = [&words[..], &[out.to_str().unwrap()]].concat();
    (bvecctl(&daemon.socket(), &words), out)
}

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

/// A job with fixed buffers is run for one request first: that one eats no rule.
fn of_the_run() -> Outcome {
    need_program!("fio");
    let daemon = Daemon::start();
    let directory = tempfile::tempdir().unwrap();
    let groups = "[[group]]\njob = ['fixed-destination-4k-qd32']\n[[group.mark]]\nat_ms = 0\n\
                  add = { once = 'delay:20ms where op=read when count=1' }\n";
    let (ran, out) = session(&daemon, directory.path(), 500, groups);
    ran.good();
    let found = record(&out).unwrap();
    let run = &found["cells"][0]["runs"][0];
    let split = &run["split"];
    assert_eq!(split["faulted"]["ios"], 1, "{split}");
    assert_eq!(split["unmatched"], 0, "{split}");
    let late = count(&split["faulted"]["percentiles_ns"]["p50"]);
    assert!(
        late >= 10_000_000,
        "it took {late} ns: another run's was late"
    );
    // This machine's clock counts no instructions, and nothing says that it did.
    assert!(run["cost"].get("guest_instructions_per_io").is_none());
    assert!(found["environment"].get("counts_instructions").is_none());
    daemon.stop();
    Outcome::Passed
}

/// fio goes on, and what failed is the rule's: not an answer that is bad. After EIO it goes on by itself; a medium error
/// is ENODATA, and EILSEQ elsewhere an error of verifying.
fn failing() -> Outcome {
    need_program!("fio");
    let daemon = Daemon::start();
    let directory = tempfile::tempdir().unwrap();
    let of = |status: &str| {
        format!(
            "[[group]]\n[[group.mark]]\nat_ms = 0\n\
             add = {{ bad = 'fail(status={status}) where op=read when prob=5%' }}\n"
        )
    };
    let groups = ["IOERR", "MEDIUM", "PROTECTION"].map(of).concat();
    let (ran, out) = session(&daemon, directory.path(), 1000, &groups);
    ran.good();
    let found = record(&out).unwrap();
    assert_eq!(faults(RESULT, &found), Vec::<String>::new(), "{found}");
    let cells = found["cells"].as_array().unwrap();
    assert_eq!(cells.len(), 3);
    for cell in cells {
        let run = &cell["runs"][0];
        let split = &run["split"];
        assert!(count(&split["failed"]) > 0, "{cell}");
        assert_eq!(run["errors"], split["failed"], "{split}");
        let others = (count(&split["unmatched"]), count(&split["faulted"]["ios"]));
        assert_eq!(others, (0, 0), "{split}");
        // It went on to the end of its time.
        let clean = count(&split["clean"]["ios"]);
        assert!(clean > 10 * count(&split["failed"]), "{split}");
        let intervals = run["series"]["iops"].as_array().unwrap().len();
        assert!(intervals >= 15, "{intervals} intervals of 20");
    }
    daemon.stop();
    Outcome::Passed
}

/// It ends at the first request that fails, and has verified nothing.
fn verifying() -> Outcome {
    need_program!("fio");
    let daemon = Daemon::start();
    let directory = tempfile::tempdir().unwrap();
    let groups = "[[group]]\njob = ['verify-4k-qd32']\n[[group.mark]]\nat_ms = 0\n\
                  add = { bad = 'fail(status=IOERR) where op=write when nth=100' }\n";
    let (ran, out) = session(&daemon, directory.path(), 1000, groups);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("errors"), "{ran:?}");
    let run = &record(&out).unwrap()["cells"][0]["runs"][0];
    assert!(
        count(&run["errors"]) > 0 && run["split"]["failed"] == 0,
        "{run}"
    );
    daemon.stop();
    Outcome::Passed
}

/// Not "interrupted", though it is what ends fio.
fn not_made() -> Outcome {
    need_program!("fio");
    let daemon = Daemon::start();
    let directory = tempfile::tempdir().unwrap();
    let groups = "[[group]]\n[[group]]\n[[group.mark]]\nat_ms = 200\nrm = ['nobody']\n";
    let (ran, out) = session(&daemon, directory.path(), 500, groups);
    assert!(!matches!(ran.code, Some(0 | 130)), "{ran:?}");
    assert!(
        ran.err.contains("remove a rule") && ran.err.contains("nobody"),
        "{ran:?}"
    );
    // The run before it is kept, fio and the device are gone.
    let found = record(&out).unwrap();
    assert_eq!(
        (runs(&found), found["complete"].as_bool()),
        (1, Some(false))
    );
    assert_eq!(processes("fio"), 0);
    assert_eq!(block_devices(), Vec::<String>::new());
    daemon.stop();
    Outcome::Passed
}
