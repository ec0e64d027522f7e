//! `bvecctl pages`: what it says of pages, against what the kernel counts by other means.

mod denied;

use std::os::unix::fs::FileExt;
use std::process::{Child, Stdio};

use api::{DataPath, Which};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde_json::Value;

use crate::client_io::Disk;
use crate::daemon::{Daemon, shell};
use crate::deadline::wait_for;
use crate::outcome::{Case, Outcome};
use crate::pins::outstanding_pins;
use crate::programs::{self, bvecctl};
use crate::sys::Area;

pub(crate) const CASES: &[Case] = &[
    Case::new("pages::counts_agree_with_vmstat_and_the_oracle", agreement).within(120),
    Case::new("pages::a_forgotten_pin_is_found", forgotten),
    Case::new("pages::tails_show_their_folio", tails).within(120),
    Case::new("pages::bits_of_the_page_table_are_shown", bits),
    Case::new("pages::a_pin_comes_and_goes_under_watch", watch).within(120),
    Case::new("pages::buffered_pages_are_seen_before_their_data", added).within(120),
    Case::new("pages::a_user_is_told_what_is_missing", denied::user),
    Case::new("pages::a_locked_down_kernel_is_named", denied::lockdown),
];

const PAGE: usize = 4096;

/// The pages of an area of this process, as `bvecctl pages --json` tells them.
fn look(area: &Area, flags: &[&str]) -> Vec<Value> {
    let pid = std::process::id().to_string();
    let range = format!("{:#x}+{}", area.address(), area.len());
    let words = [&["--json", "pages", &pid, &range], flags].concat();
    let said = bvecctl("/nowhere".as_ref(), &words).good();
    let answer: Value = serde_json::from_str(&said).unwrap();
    answer["pages"].as_array().unwrap().clone()
}

fn pin_count(page: &Value) -> i64 {
    page["state"]["pin_count"]
        .as_i64()
        .unwrap_or_else(|| panic!("{page}"))
}

/// 1,000 pages of 3,000, drawn at random, are pinned once to three times.
fn agreement() -> Outcome {
    const PAGES: usize = 3000;
    const PINNED: usize = 1000;
    let mut random = ChaCha8Rng::seed_from_u64(4);
    let mut wanted = vec![0_i64; PAGES];
    let mut parts = Vec::new();
    while wanted.iter().filter(|pins| **pins > 0).count() < PINNED {
        let page = usize::try_from(random.next_u32()).unwrap() % PAGES;
        if wanted[page] == 0 {
            wanted[page] = i64::from(random.next_u32() % 3 + 1);
            let times = usize::try_from(wanted[page]).unwrap();
            parts.extend(std::iter::repeat_n((page * PAGE, PAGE), times));
        }
    }
    let area = Area::small(PAGES);
    let before = outstanding_pins();
    assert!(look(&area, &[]).iter().all(|page| pin_count(page) == 0));
    let ring = area.pin(&parts).unwrap();
    let counted = outstanding_pins() - before;
    let seen: Vec<i64> = look(&area, &["--pins", "kcore"])
        .iter()
        .map(pin_count)
        .collect();
    assert_eq!(seen, wanted, "not the pages that were pinned");
    assert_eq!(seen.iter().sum::<i64>(), counted, "not what vmstat counted");
    let told = look(&area, &["--pins", "soft-dirty"]);
    for (number, (page, pins)) in told.iter().zip(&wanted).enumerate() {
        let expected = if *pins > 0 { "maybe" } else { "no" };
        assert_eq!(page["pinned"], expected, "page {number}: {page}");
    }
    drop(ring);
    wait_for("the pins to be given back", || {
        (outstanding_pins() == before).then_some(())
    });
    assert!(look(&area, &[]).iter().all(|page| pin_count(page) == 0));
    Outcome::Passed
}

/// A planted leak: a page is registered with a ring that is then forgotten.
fn forgotten() -> Outcome {
    let area = Area::small(64);
    let before = outstanding_pins();
    std::mem::forget(area.pin(&[(37 * PAGE, PAGE)]).unwrap());
    assert_eq!(
        outstanding_pins() - before,
        1,
        "the balance does not show it"
    );
    let pages = look(&area, &[]);
    let pinned: Vec<usize> = (0..64)
        .filter(|page| pin_count(&pages[*page]) > 0)
        .collect();
    assert_eq!(pinned, [37]);
    Outcome::Passed
}

/// Transparent huge pages and hugetlb, the latter with a memory map that the kernel has thinned out if
/// it can: every page must lead to its head, whose counts are the folio's.
fn tails() -> Outcome {
    check_folio("a transparent huge page", &Area::transparent_huge());
    // Since 6.0 the memory map of later huge pages can be thinned out at run time. 6.12.117 reports a bad
    // page state when such a page is freed (docs/findings.md).
    let thin = "/proc/sys/vm/hugetlb_optimize_vmemmap";
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    if std::fs::exists(thin).unwrap() && !release.starts_with("6.12.") {
        std::fs::write(thin, "1").unwrap();
    }
    std::fs::write("/proc/sys/vm/nr_hugepages", "1").unwrap();
    check_folio("a page of hugetlb", &Area::huge());
    std::fs::write("/proc/sys/vm/nr_hugepages", "0").unwrap();
    Outcome::Passed
}

fn check_folio(what: &str, area: &Area) {
    let before = outstanding_pins();
    let ring = area.pin(&[(3 * PAGE, 4 * PAGE)]).unwrap();
    let counted = outstanding_pins() - before;
    let pages = look(area, &[]);
    assert_eq!(pages.len(), 512);
    let head = &pages[0]["state"];
    assert_eq!(head["order"], 9, "{what} is none: {head}");
    for (number, page) in pages.iter().enumerate() {
        let state = &page["state"];
        for key in ["head_pfn", "order", "pin_count", "ref_count"] {
            assert_eq!(state[key], head[key], "{key} of page {number} of {what}");
        }
        let names = state["page_flags"].as_array().unwrap();
        assert!(names.iter().any(|name| name == "head"), "{what}: {state}");
    }
    assert_eq!(head["pfn"], head["head_pfn"]);
    assert!(counted > 0);
    assert_eq!(pin_count(&pages[0]), counted, "{what} against vmstat");
    drop(ring);
    wait_for("the pins to be given back", || {
        (outstanding_pins() == before).then_some(())
    });
    assert_eq!(pin_count(&look(area, &[])[100]), 0, "{what}");
}

fn bits() -> Outcome {
    const MADV_GUARD_INSTALL: i32 = 102;
    let area = Area::small(8);
    let fd = area.protect_by_userfaultfd(2 * PAGE, PAGE).unwrap();
    let guarded = area.advise(5 * PAGE, PAGE, MADV_GUARD_INSTALL).is_ok();
    area.advise(6 * PAGE, PAGE, libc::MADV_DONTNEED).unwrap();
    let pages = look(&area, &[]);
    let entry = |page: usize| &pages[page]["pagemap"];
    for page in [0, 2, 3] {
        assert_eq!(entry(page)["present"], true);
        assert_eq!(entry(page)["exclusive"], true, "{}", entry(page));
        assert_eq!(entry(page)["soft_dirty"], true, "{}", entry(page));
        assert_eq!(entry(page)["uffd_wp"], page == 2, "{}", entry(page));
    }
    assert_eq!(entry(5)["present"], !guarded);
    assert_eq!(entry(6)["present"], false);
    let told = entry(0)["guard"].as_bool();
    assert_eq!(told.map(|_| false), told, "{}", entry(0));
    assert_eq!(
        entry(5)["guard"].as_bool(),
        told.map(|_| guarded),
        "{}",
        entry(5)
    );
    drop(fd);
    Outcome::Passed
}

/// `bvecctl pages` in the background.
fn begin(words: &[&str]) -> Child {
    programs::command("bvecctl")
        .args(["--json", "pages"])
        .args(words)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn lines_of(child: Child) -> Vec<Value> {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.collect()
}

fn watch() -> Outcome {
    use std::io::{BufRead, BufReader};
    let area = Area::small(1);
    let pid = std::process::id().to_string();
    let address = format!("{:#x}", area.address());
    let mut child = begin(&[&pid, &address, "--watch", "--count", "2", "--every", "10ms"]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(pin_count(&next()["page"]), 0);
    let ring = area.pin(&[(0, PAGE)]).unwrap();
    assert_eq!(pin_count(&next()["page"]), 1);
    drop(ring);
    assert_eq!(pin_count(&next()["page"]), 0);
    assert!(child.wait().unwrap().success());
    // A process that ends ends it as well.
    let mut sleeper = programs::command("sleep").arg("1000").spawn().unwrap();
    let pid = sleeper.id().to_string();
    let mut child = begin(&[&pid, &address, "--watch"]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().contains("\"page\""));
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
    assert_eq!(lines.count(), 0);
    assert!(child.wait().unwrap().success());
    Outcome::Passed
}

/// The tracepoint names the frame of a buffered read while the read is held: locked and not up to date.
fn added() -> Outcome {
    const OFFSET: u64 = 1 << 20;
    let daemon = Daemon::start();
    let device = daemon.add_ram(4 << 20, DataPath::Copy);
    let instances = || shell("ls /sys/kernel/tracing/instances");
    let child = begin(&["--added", &device.path, "--count", "1"]);
    // Enabling a tracepoint takes its time; what is added before it is not seen.
    let enabled =
        "/sys/kernel/tracing/instances/bvec-pages-*/events/filemap/*add_to_page_cache/enable";
    let runs = || (shell(&format!("cat {enabled} 2>&1 || true")).trim() == "1").then_some(());
    wait_for("the trace to run", runs);
    daemon.rule(device.id, "h", "hold:max=120s where op=read");
    let disk = Disk::open_with(&device.path, 0);
    let reader = std::thread::spawn(move || {
        let mut byte = [0];
        disk.file.read_at(&mut byte, OFFSET)
    });
    daemon.held(device.id, 1);
    let lines = lines_of(child);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(lines[0]["offset_bytes"], OFFSET, "{lines:?}");
    let state = &lines[0]["state"];
    let has = |flag: &str| {
        state["flags"]
            .as_array()
            .unwrap()
            .iter()
            .any(|name| name == flag)
    };
    assert!(has("locked") && !has("uptodate"), "{state}");
    assert_eq!(
        (&state["pin_count"], &state["map_count"]),
        (&0.into(), &0.into())
    );
    assert!(!instances().contains("bvec-pages-"), "{}", instances());
    daemon.ask(api::call::clear_rules(device.id));
    daemon.release(device.id, Which::All);
    reader.join().unwrap().unwrap();
    // Ctrl-C leaves nothing behind either.
    let child = begin(&["--added", &device.path]);
    wait_for("the trace to run", runs);
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    kill(pid, Signal::SIGINT).unwrap();
    lines_of(child);
    assert!(!instances().contains("bvec-pages-"), "{}", instances());
    daemon.stop();
    Outcome::Passed
}
