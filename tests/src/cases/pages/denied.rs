//! What is said where something must not be seen.

use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

use serde_json::Value;

use crate::outcome::Outcome;
use crate::programs;

/// The page under the stack's end, where nothing is at a random place: the guest's kernel is told so.
const STACK: &str = "0x7fffffffe000";

/// `bvecctl` looking at itself, as an ordinary user or as root.
fn own(words: &str, user: u32) -> Output {
    let program = programs::find("bvecctl").unwrap();
    // The shell becomes the program, which so knows its own process id.
    let line = format!("exec {} {words}", program.display());
    let mut command = Command::new("setarch");
    let mut command = match programs::find("setarch") {
        Some(_) => {
            command.args(["-R", "sh"]);
            command
        }
        None => Command::new("sh"),
    };
    command
        .args(["-c", &line])
        .uid(user)
        .gid(user)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn source(output: &Output, name: &str) -> Value {
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {output:?}");
    });
    let sources = answer["sources"].as_array().unwrap();
    let found = sources.iter().find(|source| source["name"] == name);
    found
        .unwrap_or_else(|| panic!("no {name}: {answer}"))
        .clone()
}

fn missing(output: &Output, name: &str) -> String {
    let source = source(output, name);
    source["missing"]
        .as_str()
        .unwrap_or_else(|| panic!("{source}"))
        .to_owned()
}

pub(super) fn user() -> Outcome {
    const USER: u32 = 1234;
    let output = own("--json pages --sources", USER);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(missing(&output, "kcore").ends_with("this process lacks CAP_SYS_RAWIO"));
    assert!(missing(&output, "kpageflags").ends_with("this process lacks CAP_SYS_ADMIN"));
    assert!(missing(&output, "pagemap frames").contains("CAP_SYS_ADMIN"));
    assert!(missing(&output, "kallsyms").contains("CAP_SYSLOG"));
    assert!(missing(&output, "vmstat").contains("root"));
    for name in ["pagemap", "soft-dirty oracle", "BTF"] {
        assert_eq!(source(&output, name)["missing"], Value::Null, "{name}");
    }
    // What still works: the bits, and the oracle.
    let output = own(&format!("--json pages $$ {STACK}"), USER);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = text(&output.stderr);
    assert!(said.contains("this process lacks CAP_SYS_RAWIO"), "{said}");
    assert!(said.contains("by soft-dirty bits"), "{said}");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let page = &answer["pages"][0];
    assert_eq!(page["pagemap"]["present"], true, "{answer}");
    assert_eq!(page["pagemap"]["pfn"], Value::Null);
    assert_ne!(page["pinned"], Value::Null, "{answer}");
    // What was asked for by name and cannot be had: 4. A process of root's likewise.
    let output = own(&format!("pages $$ {STACK} --pins kcore"), USER);
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    let output = own(&format!("pages 1 {STACK} --pins none"), USER);
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    assert!(
        text(&output.stderr).contains("a process of the same user"),
        "{output:?}"
    );
    Outcome::Passed
}

pub(super) fn lockdown() -> Outcome {
    let line = std::fs::read_to_string("/proc/cmdline").unwrap();
    if !line.contains("lockdown=confidentiality") {
        let how = "vm run --append 'lsm=lockdown lockdown=confidentiality'";
        return Outcome::NotApplicable(format!("this boot is not locked down ({how} is)"));
    }
    let output = own("--json pages --sources", 0);
    for name in ["kcore", "page-cache trace"] {
        let why = missing(&output, name);
        assert!(
            why.contains("the kernel is locked down (confidentiality)"),
            "{why}"
        );
    }
    for name in [
        "pagemap",
        "pagemap frames",
        "kpageflags",
        "vmstat",
        "soft-dirty oracle",
    ] {
        assert_eq!(source(&output, name)["missing"], Value::Null, "{name}");
    }
    // Frames, flags and the oracle are shown all the same.
    let output = own(&format!("--json pages $$ {STACK}"), 0);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let page = &answer["pages"][0];
    assert!(page["pagemap"]["pfn"].as_u64().is_some(), "{answer}");
    assert!(
        page["kpage"]["flags"].is_array() && page["pinned"].is_string(),
        "{answer}"
    );
    let why = answer["missing"][0]["why"].as_str().unwrap();
    assert!(why.contains("locked down (confidentiality)"), "{why}");
    Outcome::Passed
}
