//! The lab where something is hidden from it: the reason is told, and the rest is asked all the same. A kernel that
//! is locked down is asked by `vm/tests/boots/lockdown.rs`, which boots one.

use std::process::Command;

use serde_json::Value;

use crate::outcome::{Case, Outcome};
use crate::programs;

pub(crate) const CASES: &[Case] = &[
    Case::new("lab::without_btf_the_rest_is_asked", || {
        hidden(
            "mount -t tmpfs none /sys/kernel/btf",
            "open /sys/kernel/btf/vmlinux: the kernel does not offer it, it needs \
             CONFIG_DEBUG_INFO_BTF",
        )
    }),
    // What container runtimes do (MaskedPaths of the OCI runtime specification).
    Case::new("lab::in_a_container_the_rest_is_asked", || {
        hidden(
            "mount -o bind /dev/null /proc/kcore",
            "open /proc/kcore: something else is mounted over it, as containers do to hide it",
        )
    }),
];

/// Two experiments in a mount namespace of their own in which `mount` was done: one needs counts, one does not.
fn hidden(mount: &str, why: &str) -> Outcome {
    let bvecctl = programs::find("bvecctl").unwrap();
    let run = "--json lab run pin-destination early-data";
    let line = format!("{mount} && exec {} {run}", bvecctl.display());
    let output = Command::new("unshare")
        .args(["-m", "sh", "-c", &line])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let [counts, early, tally] = lines.as_slice() else {
        panic!("{output:?}");
    };
    assert_eq!(counts["verdict"], "skipped", "{counts}");
    assert_eq!(counts["not_applicable"], false, "{counts}");
    let said = counts["reason"].as_str().unwrap();
    assert!(said.contains(why), "{said}");
    if early["not_applicable"] == true {
        let why = early["reason"].as_str().unwrap_or_default();
        return Outcome::NotApplicable(why.to_owned());
    }
    assert_eq!(early["verdict"], "holds", "{early}");
    assert_eq!(tally["holds"], 1, "{tally}");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let note = String::from_utf8_lossy(&output.stderr);
    assert!(note.contains("something is missing"), "{note}");
    Outcome::Passed
}
