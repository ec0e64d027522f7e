//! `cargo xtask bench --publish`: counts what a request costs on bvecd and on others, and puts the tables into
//! the pages that show them, with what they were made on.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::thread;

use anyhow::{Context, Result, anyhow, ensure};
use vm::Spec;

use crate::cost::{self, Arguments, Report, Row};
use crate::process::{self, root, say};
use crate::{peers, setup};

/// The kernels of the table.
const KERNELS: [&str; 2] = ["7.2", "7.3"];
/// Around what is made anew each time.
const BEGIN: &str = "<!-- made by cargo xtask bench --publish -->";
const END: &str = "<!-- end of what cargo xtask bench --publish made -->";

/// A page, and how much of the table it shows.
#[derive(Debug, Clone, Copy)]
struct Page {
    file: &'static str,
    jobs: &'static [(&'static str, &'static str)],
    /// Whether the transport `batch` has rows.
    batch: bool,
}

const PAGES: [Page; 2] = [
    Page {
        file: "README.md",
        jobs: &[
            ("rand-destination-4k-qd1", "depth 1"),
            ("rand-destination-4k-qd32", "depth 32"),
        ],
        batch: false,
    },
    Page {
        file: "docs/benchmarks.md",
        jobs: &[
            ("rand-destination-4k-qd1", "dest. 1"),
            ("rand-destination-4k-qd32", "dest. 32"),
            ("rand-source-4k-qd32", "source 32"),
        ],
        batch: true,
    },
];

/// Counts on every kernel, and writes the pages.
///
/// # Errors
/// Something needed is missing or does not compile, a virtual machine or a run in it fails, or a page has no
/// place for the table.
pub(super) fn run(rounds: u32, ios: u64) -> Result<ExitCode> {
    setup::ensure()?;
    // First what would be found out last.
    for page in PAGES {
        replaced(&text_of(page)?, "").with_context(|| format!("failed to use {}", page.file))?;
    }
    let rublk = peers::rublk()?;
    // Of what is counted, and before the first page is written, which is a change itself.
    let revision = process::revision();
    let reports = count(rounds, ios, &rublk)?;
    for page in PAGES {
        let environment = environment(page, &reports, (rounds, ios), &revision);
        let table = format!("{environment}\n\n{}", table(page, &reports));
        let text = replaced(&text_of(page)?, &table)?;
        let path = root().join(page.file);
        fs::write(&path, text).with_context(|| format!("failed to write {}", path.display()))?;
        say(format_args!("the table is in {}", page.file));
    }
    Ok(ExitCode::SUCCESS)
}

/// Counts on every kernel at the same time: what else a machine does is not counted.
fn count(rounds: u32, ios: u64, rublk: &Path) -> Result<Vec<Report>> {
    let jobs: BTreeSet<&str> = PAGES
        .iter()
        .flat_map(|page| page.jobs.iter().map(|(job, _)| *job))
        .collect();
    let count = &|kernel: &str| {
        let kernel: Spec = kernel.parse()?;
        let arguments = Arguments::published(kernel, rounds, ios, &jobs);
        cost::measure_published(&arguments, rublk)
    };
    thread::scope(|scope| {
        let running = KERNELS.map(|kernel| scope.spawn(move || count(kernel)));
        let ended = running.into_iter().map(|kernel| {
            let ended = kernel.join();
            ended.map_err(|_| anyhow!("the thread of a virtual machine has panicked"))?
        });
        ended.collect()
    })
}

fn text_of(page: Page) -> Result<String> {
    let path = root().join(page.file);
    fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))
}

/// The page with another table.
fn replaced(text: &str, table: &str) -> Result<String> {
    let place = text.split_once(BEGIN).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(END)?;
        Some((before, after))
    });
    let (before, after) =
        place.with_context(|| format!("it has no line `{BEGIN}` with `{END}` after it"))?;
    ensure!(
        !after.contains(BEGIN) && !after.contains(END),
        "it has `{BEGIN}` or `{END}` twice"
    );
    Ok(format!("{before}{BEGIN}\n{}\n{END}{after}", table.trim()))
}

/// What the table was made on.
fn environment(
    page: Page,
    reports: &[Report],
    (rounds, ios): (u32, u64),
    revision: &str,
) -> String {
    let link = match page.file {
        "README.md" => "docs/benchmarks.md",
        _ => "#method",
    };
    let kernels: Vec<&str> = reports.iter().map(|it| it.kernel.as_str()).collect();
    let version = |program: &str, word: &str| {
        let said = process::output(Command::new(program).arg(word)).unwrap_or_default();
        said.lines().next().unwrap_or("unknown").trim().to_owned()
    };
    let qemu = version("qemu-system-x86_64", "--version");
    let qemu = qemu.split(" (").next().unwrap_or_default();
    let names: BTreeSet<&str> = reports
        .iter()
        .flat_map(|it| it.results.iter().map(|row| row.peer.as_str()))
        .collect();
    let nbd = match names.contains("nbd") {
        true => version("nbdkit", "--version"),
        false => "no nbd, nbdkit or nbd-client was not installed".to_owned(),
    };
    format!(
        "Instructions of the whole guest for a random request of 4 KiB, median of {rounds} rounds of {ios} requests. \
         Kernels {} (Debian, cloud flavour); {qemu}, TCG with `-icount`, 1 CPU; {}; rublk {}; {nbd}; bvecd {revision}, \
         release build. Less is better; [benchmarks]({link}) says how it is counted, and what a count cannot see.",
        kernels.join(" and "),
        version("fio", "--version"),
        peers::RUBLK_VERSION,
    )
}

/// A line of the table: who serves, how, and what is behind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    /// In the order of the table.
    target: usize,
    peer: usize,
    way: String,
}

const TARGETS: [&str; 2] = ["null", "loop"];
const PEERS: [&str; 5] = ["bvecd", "rublk", "nbd", "null_blk", "loop"];

impl Line {
    fn of(row: &Row) -> Option<Self> {
        Some(Self {
            target: TARGETS.iter().position(|it| *it == row.target)?,
            peer: PEERS.iter().position(|it| *it == row.peer)?,
            way: row.way(),
        })
    }
}

fn table(page: Page, reports: &[Report]) -> String {
    let rows = || reports.iter().flat_map(|report| &report.results);
    let shown = |row: &&Row| page.batch || row.transport.as_deref() != Some("batch");
    let lines: BTreeSet<Line> = rows().filter(shown).filter_map(Line::of).collect();
    let columns = || {
        let kernels = KERNELS.iter().zip(reports);
        page.jobs.iter().flat_map(move |(job, title)| {
            kernels
                .clone()
                .map(move |(kernel, report)| (*job, *title, *kernel, report))
        })
    };
    let mut text = "| backing | server | data path |".to_owned();
    for (_, title, kernel, _) in columns() {
        // Writing to a string cannot fail.
        let _ = write!(text, " {title}, {kernel} |");
    }
    let _ = write!(text, "\n|---|---|---|{}", "---:|".repeat(columns().count()));
    for line in &lines {
        let (target, peer) = (TARGETS[line.target], PEERS[line.peer]);
        let backing = match target {
            "loop" => "file on tmpfs",
            other => other,
        };
        let _ = write!(text, "\n| {backing} | {peer} | {} |", line.way);
        for (job, _, _, report) in columns() {
            let of = |row: &&Row| row.job == job && Line::of(row).as_ref() == Some(line);
            let median = report.results.iter().find(of).map(|row| row.median);
            let shown = median.map_or_else(|| "–".to_owned(), |median| format!("{median:.0}"));
            let _ = write!(text, " {shown} |");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(kernel: &str, rows: &[(&str, f64)]) -> Report {
        let rows = rows
            .iter()
            .map(|(place, value)| Row::sample(place, &[*value]));
        Report::sample(kernel, rows.collect())
    }

    #[test]
    fn the_table_has_every_server_and_both_kernels() {
        let reports = [
            report(
                "7.2.12",
                &[
                    ("bvecd/-/null/copy/per-io", 900.0),
                    ("null_blk/-/null/-/-", 100.0),
                ],
            ),
            report(
                "7.3.4",
                &[
                    ("bvecd/-/loop/copy/batch", 800.0),
                    ("bvecd/-/null/copy/per-io", 901.4),
                    ("nbd/-/loop/-/-", 700.0),
                ],
            ),
        ];
        let text = table(PAGES[1], &reports);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].contains("| dest. 1, 7.2 | dest. 1, 7.3 | dest. 32, 7.2 |"));
        let rest = " – | – | – | – |";
        assert_eq!(
            lines[2..],
            [
                format!("| null | bvecd | copy | 900 | 901 |{rest}"),
                format!("| null | null_blk | - | 100 | – |{rest}"),
                format!("| file on tmpfs | bvecd | copy batch | – | 800 |{rest}"),
                format!("| file on tmpfs | nbd | - | – | 700 |{rest}"),
            ]
        );
        assert!(!table(PAGES[0], &reports).contains("batch"));
        let environment = environment(PAGES[0], &reports, (2, 1000), "abc");
        for word in [
            "7.2.12 and 7.3.4",
            "1 CPU",
            "rublk 0.",
            "bvecd abc",
            "2 rounds",
            "TCG",
        ] {
            assert!(environment.contains(word), "{word}: {environment}");
        }
    }

    #[test]
    fn the_pages_have_a_place_and_keep_the_rest() {
        for page in PAGES {
            let text = text_of(page).unwrap();
            let once = replaced(&text, "| x |").unwrap();
            assert!(
                once.contains(&format!("{BEGIN}\n| x |\n{END}")),
                "{}",
                page.file
            );
            assert_eq!(replaced(&once, "| x |").unwrap(), once);
            let (before, _) = text.split_once(BEGIN).unwrap();
            let (_, after) = text.split_once(END).unwrap();
            assert!(once.starts_with(before) && once.ends_with(after));
        }
        assert!(replaced("nothing", "").is_err());
        let twice = format!("{BEGIN}{END}{BEGIN}{END}");
        assert!(replaced(&twice, "").is_err());
    }
}
