//! `bvecctl lab census`: what is known of pins on kernels since 6.5, row by row, and a planted leak.

use std::path::Path;

use api::DataPath;
use serde_json::Value;

use super::schemas::{CENSUS, faults};
use crate::daemon::Daemon;
use crate::outcome::{Case, Outcome};
use crate::programs::{Ran, bvecctl};

pub(crate) const CASES: &[Case] = &[
    Case::new("census::every_way_takes_the_pins_that_are_known", known).within(180),
    Case::new("census::a_forgotten_page_is_found", planted),
];

fn rows(ran: &Ran) -> Vec<Value> {
    let lines = ran.out.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Pins a page since 6.5: user memory is pinned in both directions
/// (`iov_iter_extract_will_pin` does not ask for the direction), everything else is not.
fn expected(row: &Value) -> f64 {
    let word = |key: &str| row[key].as_str().unwrap();
    match (word("flavour"), word("place"), word("direction")) {
        // btrfs checksums its data, and so writes a copy: through the page cache, or since 7.3 bounced.
        ("pread", "btrfs", "source") => 0.0,
        ("pread" | "preadv" | "aio" | "io-uring", ..) => 1.0,
        _ => 0.0,
    }
}

fn known() -> Outcome {
    let daemon = Daemon::start();
    let ran = bvecctl(&daemon.socket(), &["--json", "lab", "census"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let rows = rows(&ran);
    let mut counted = 0;
    for row in &rows {
        assert_eq!(faults(CENSUS, row), Vec::<String>::new(), "{row}");
        let pins = &row["pins"];
        if pins.is_null() {
            let why = row["skipped"].as_str().unwrap();
            // A small machine may have no room for huge pages; file systems need programs.
            let may_lack = row["place"] != "raw" || row["memory"] == "hugetlb";
            assert!(!why.is_empty() && may_lack, "{row}");
            // A target of the kernel needs its modules and no program.
            let modules: &[&str] = match row["place"].as_str() {
                Some("lio-fileio") => &["target_core_file", "tcm_loop", "sd_mod"],
                Some("nvmet-loop") => &["nvmet", "nvme_loop"],
                _ => continue,
            };
            let is_loaded = |name: &&str| Path::new("/sys/module").join(name).exists();
            assert!(!modules.iter().all(is_loaded), "{row}");
            continue;
        }
        counted += 1;
        let number = |key: &str| pins[key].as_u64().unwrap();
        assert_eq!(pins["per_page"].as_f64(), Some(expected(row)), "{row}");
        assert_eq!(pins["outstanding"], 0, "{row}");
        assert_eq!(
            number("acquired") + number("once"),
            number("released"),
            "{row}"
        );
        // What is registered is pinned once, and nothing else is.
        let once = if row["flavour"] == "io-uring-fixed" {
            4
        } else {
            0
        };
        assert_eq!(number("once"), once, "{row}");
        let rule = row["rule_pins_per_page"].as_f64().unwrap();
        assert_eq!(row["differs"], (rule - expected(row)).abs() > 0.0, "{row}");
    }
    // 11 flavours of which two have one direction, and 5 more kinds of memory.
    assert!(counted >= 20 + 10, "{counted} rows: {rows:?}");
    daemon.stop();
    Outcome::Passed
}

fn planted() -> Outcome {
    let daemon = Daemon::start();
    // A device of somebody else's is left alone.
    let other = daemon.add_ram(1 << 20, DataPath::Copy);
    let words = ["--json", "lab", "census", "--only", "vmsplice", "--plant"];
    let ran = bvecctl(&daemon.socket(), &words);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let rows = rows(&ran);
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(rows[0]["pins"]["outstanding"], 1, "{rows:?}");
    let devices = daemon.ask(api::call::devices()).devices;
    assert_eq!(devices.len(), 1, "the census left its device");
    assert_eq!(devices[0].id, other.id);
    daemon.ask(api::call::delete_device(other.id));
    daemon.stop();
    Outcome::Passed
}
