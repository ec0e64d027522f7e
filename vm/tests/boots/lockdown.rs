//! The lab on a kernel that is locked down.

use super::guest::{Ended, Guest};

fn lab_under(lockdown: &str) -> Ended {
    let words = format!("lsm=lockdown lockdown={lockdown}");
    let lab = [
        "bvecctl",
        "--json",
        "lab",
        "run",
        "pin-destination",
        "early-data",
    ];
    Guest::new(&["--append", &words], &lab).run()
}

/// Kernel memory is hidden, and so are counts of single pages; the rest is asked.
#[test]
fn confidentiality_hides_counts_and_nothing_else() {
    let ended = lab_under("confidentiality");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let lines: Vec<&str> = ended.out.lines().collect();
    let [counts, early, _] = lines.as_slice() else {
        panic!("{ended:?}");
    };
    assert!(counts.contains(r#""verdict":"skipped""#), "{counts}");
    let why = "open /proc/kcore: not allowed";
    assert!(counts.contains(why), "{counts}");
    let why = "the kernel is locked down (confidentiality)";
    assert!(counts.contains(why), "{counts}");
    assert!(early.contains(r#""verdict":"holds""#), "{early}");
}

/// What Secure Boot asks for forbids nothing that the lab reads.
#[test]
fn integrity_hides_nothing() {
    let ended = lab_under("integrity");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let holds = ended.out.matches(r#""verdict":"holds""#).count();
    assert_eq!(holds, 2, "{ended:?}");
}
