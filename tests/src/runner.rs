//! Runs the tests one after the other, each on a thread of its own with a limit in time, and ends with
//! the line that `cargo xtask test` reads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::daemon;
use crate::outcome::{Case, Outcome};
use crate::shard::{self, Shards};

/// How many tests came to what.
#[derive(Default)]
struct Count {
    passed: usize,
    failed: usize,
    skipped: usize,
    not_applicable: usize,
}

/// Runs the tests whose names contain one of `words`, or all; of them this guest's part.
pub(crate) fn run(cases: &[Case], words: &[String]) -> ExitCode {
    let chosen: Vec<&Case> = cases
        .iter()
        .filter(|case| words.is_empty() || words.iter().any(|word| case.name.contains(word)))
        .collect();
    let part = std::env::var(shard::VARIABLE).unwrap_or_default();
    let chosen = match part.parse::<Shards>() {
        Ok(shards) => shards.pick(chosen),
        Err(error) => panic!("{}: failed to {error}", shard::VARIABLE),
    };
    println!("running {} of {} tests", chosen.len(), cases.len());
    let mut count = Count::default();
    let mut failures = Vec::new();
    for case in chosen {
        let begin = Instant::now();
        let result = run_one(*case);
        let seconds = begin.elapsed().as_secs_f64();
        match result {
            Ok(Outcome::Passed) => {
                count.passed += 1;
                println!("ok              {} ({seconds:.1} s)", case.name);
            }
            Ok(Outcome::NotApplicable(why)) => {
                count.not_applicable += 1;
                println!("not applicable  {}: {why}", case.name);
            }
            Ok(Outcome::Skipped(why)) => {
                count.skipped += 1;
                println!("skipped         {}: {why}", case.name);
            }
            Err(why) => {
                count.failed += 1;
                println!("FAILED          {} ({seconds:.1} s)\n    {why}", case.name);
                failures.push(case.name);
                // The next test must not meet what this one left behind.
                daemon::clean_up_after_failure();
            }
        }
    }
    if !failures.is_empty() {
        println!("\nfailed: {}", failures.join(", "));
    }
    println!("not applicable: {}", count.not_applicable);
    println!(
        "{} passed, {} failed, {} skipped",
        count.passed, count.failed, count.skipped
    );
    if count.failed > 0 {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// Tests that do without the ublk driver.
const WITHOUT_UBLK: &str = "nbd::";

/// The first kernel whose ublk driver bvecd can use. A later one without it is set up wrongly, and its tests fail.
const FIRST_WITH_UBLK: (u32, u32) = (6, 4);

/// Whether a test needs a driver that this kernel cannot have.
fn lacks_ublk(case: Case) -> bool {
    !case.name.starts_with(WITHOUT_UBLK)
        && kernel_version().is_some_and(|version| version < FIRST_WITH_UBLK)
}

fn kernel_version() -> Option<(u32, u32)> {
    let name = nix::sys::utsname::uname().ok()?;
    let mut numbers = name.release().to_str()?.split(['.', '-']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn run_one(case: Case) -> Result<Outcome, String> {
    if lacks_ublk(case) {
        return Ok(Outcome::NotApplicable(
            "kernel without ublk (kernel < 6.4)".to_owned(),
        ));
    }
    let (sender, receiver) = mpsc::channel();
    let run = move || case.run.run();
    let spawned = std::thread::Builder::new()
        .name(case.name.into())
        .spawn(move || {
            let result = catch_unwind(AssertUnwindSafe(run));
            // Nobody listens any more when the limit has passed.
            let _ = sender.send(result.map_err(|panic| message(&*panic)));
        });
    if let Err(error) = spawned {
        return Err(format!("no thread for it: {error}"));
    }
    match receiver.recv_timeout(Duration::from_secs(case.limit_seconds)) {
        Ok(result) => result,
        Err(_) => Err(format!(
            "hangs: no end after {} s\n    {}",
            case.limit_seconds,
            waiting_tasks().join("\n    ")
        )),
    }
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("panicked");
    text.replace('\n', "\n    ")
}

/// What every task in uninterruptible sleep waits for: where a hang is.
fn waiting_tasks() -> Vec<String> {
    let mut found = Vec::new();
    for process in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let tasks = std::fs::read_dir(process.path().join("task"))
            .into_iter()
            .flatten()
            .flatten();
        for task in tasks {
            let read = |name| std::fs::read_to_string(task.path().join(name)).unwrap_or_default();
            let stat = read("stat");
            if stat
                .rsplit(") ")
                .next()
                .is_some_and(|rest| rest.starts_with('D'))
            {
                found.push(format!("{}: {}", read("comm").trim(), read("stack").trim()));
            }
        }
    }
    found
}
