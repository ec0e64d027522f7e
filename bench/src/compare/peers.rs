//! bvecd against the others that one record has.

use serde::{Deserialize, Serialize};

use super::{Metric, Options, Row, SCHEMA, row};
use crate::compare::side::{Values, of_cell};
use crate::record::{CellResult, Missing, Peer, Record};

/// What a session with peers came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The kernel.
    pub kernel: String,
    /// The revision of bvecd.
    pub revision: String,
    /// A row for each cell of bvecd's and each peer's like it: `base` is the peer, `new` is bvecd.
    pub rows: Vec<Row>,
    /// Peers that could not be measured, with the reason.
    pub missing: Vec<Missing>,
}

impl Standing {
    /// Of a record.
    #[must_use]
    pub fn of(record: &Record, options: &Options) -> Self {
        Self {
            schema: SCHEMA,
            kernel: record.environment.kernel.clone(),
            revision: record.environment.revision.clone(),
            rows: rows(record, options),
            missing: record.missing.clone(),
        }
    }
}

/// A row for each cell of bvecd's and each of a peer's that is like it.
#[must_use]
pub fn rows(record: &Record, options: &Options) -> Vec<Row> {
    let pairs = pairs(record);
    let questions = pairs.len() * options.metrics.len();
    let all = pairs.iter().flat_map(|(ours, theirs)| {
        let fair = |metric: &&Metric| **metric != Metric::Cpu || cpu_is_whole(theirs);
        let metrics = options.metrics.iter().filter(fair);
        metrics.filter_map(move |metric| {
            let values = |cell: &CellResult| Values {
                cell: name(ours, theirs),
                job_text: cell.cell.job_text.clone(),
                metric: *metric,
                exact: false,
                values: of_cell(cell, *metric),
            };
            row(&values(theirs), &values(ours), questions, options)
        })
    });
    all.collect()
}

/// Whether the CPU time of a peer's runs is all that its requests took: the kernel's loop driver has workers of the
/// kernel that are not counted, and a server may not have been found.
fn cpu_is_whole(cell: &CellResult) -> bool {
    match cell.cell.peer {
        Peer::Loop => false,
        Peer::Rublk | Peer::Nbd => {
            let mut runs = cell.runs.iter();
            runs.all(|run| run.cost.daemon_cpu_ns_per_io.is_some())
        }
        Peer::Bvecd | Peer::Given | Peer::NullBlk | Peer::Brd => true,
    }
}

fn name(ours: &CellResult, theirs: &CellResult) -> String {
    let (ours, theirs) = (&ours.cell, &theirs.cell);
    format!("{} / {}: {}", ours.device(), theirs.device(), ours.job)
}

type Pair<'a> = (&'a CellResult, &'a CellResult);

/// Each peer with those cells of bvecd's that have the same job and are most like it: of the same backing, and
/// of the same data path, where there are such.
fn pairs(record: &Record) -> Vec<Pair<'_>> {
    let usable = |cell: &&CellResult| cell.cell.faults.is_empty() && !cell.runs.is_empty();
    let cells = || record.cells.iter().filter(usable);
    let theirs = cells().filter(|cell| !matches!(cell.cell.peer, Peer::Bvecd | Peer::Given));
    let pairs = theirs.flat_map(|peer| {
        let same_job = |cell: &&CellResult| {
            cell.cell.peer == Peer::Bvecd
                && cell.cell.job == peer.cell.job
                && cell.cell.queues == peer.cell.queues
        };
        let alike: Vec<&CellResult> = cells().filter(same_job).collect();
        let alike = narrowed(alike, |cell| cell.cell.backing() == peer.cell.backing());
        let alike = narrowed(alike, |cell| cell.cell.data_path == peer.cell.data_path);
        alike.into_iter().map(move |ours| (ours, peer))
    });
    pairs.collect()
}

/// Those that are so, if there are any.
fn narrowed(cells: Vec<&CellResult>, is_so: impl Fn(&CellResult) -> bool) -> Vec<&CellResult> {
    let kept: Vec<_> = cells.iter().copied().filter(|cell| is_so(cell)).collect();
    if kept.is_empty() { cells } else { kept }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::{cell, record};
    use crate::statistics::verdict::Verdict;

    const FAST: [f64; 4] = [20_000.0, 20_100.0, 19_900.0, 20_050.0];
    const SLOW: [f64; 4] = [10_000.0, 10_100.0, 9_900.0, 10_050.0];

    fn cell_of(peer: Peer, target: &str, data_path: Option<&str>, iops: &[f64]) -> CellResult {
        let mut made = cell(peer, "copy", iops);
        target.clone_into(&mut made.cell.target);
        made.cell.data_path = data_path.map(str::to_owned);
        made
    }

    fn standing(cells: Vec<CellResult>) -> Vec<(String, Verdict)> {
        let record = Record { cells, ..record() };
        let options = Options {
            metrics: vec![Metric::Iops],
            least: 0.0,
            seed: 1,
        };
        let standing = Standing::of(&record, &options);
        assert_eq!(standing.missing[0].what, "nbd");
        let told = |row: Row| (row.cell, row.answer.verdict);
        standing.rows.into_iter().map(told).collect()
    }

    #[test]
    fn like_is_held_against_like() {
        let rows = standing(vec![
            cell_of(Peer::Bvecd, "null", Some("copy"), &FAST),
            cell_of(Peer::Bvecd, "null", Some("auto-zero-copy"), &FAST),
            cell_of(Peer::Bvecd, "loop", Some("copy"), &SLOW),
            cell_of(Peer::Rublk, "null", Some("copy"), &SLOW),
            cell_of(Peer::NullBlk, "null_blk", None, &FAST),
            cell_of(Peer::Loop, "loop", None, &FAST),
        ]);
        let job = "rand-destination-4k-qd1";
        let row = |name: &str, verdict| (format!("{name}: {job}"), verdict);
        assert_eq!(
            rows,
            [
                row("bvecd null copy / rublk null copy", Verdict::Faster),
                row("bvecd null copy / null_blk", Verdict::CannotTell),
                row("bvecd null auto-zero-copy / null_blk", Verdict::CannotTell),
                row("bvecd loop copy / loop", Verdict::Slower),
            ]
        );
    }

    #[test]
    fn cpu_is_held_against_peers_whose_server_is_counted() {
        let ours = || cell_of(Peer::Bvecd, "loop", Some("copy"), &FAST);
        let peers_compared = |peer: Peer, served: bool| {
            let mut theirs = cell_of(peer, "loop", None, &FAST);
            for run in theirs.runs.iter_mut().filter(|_| !served) {
                run.cost.daemon_cpu_ns_per_io = None;
            }
            let record = Record {
                cells: vec![ours(), theirs],
                ..record()
            };
            let options = Options {
                metrics: vec![Metric::Iops, Metric::Cpu],
                least: 0.0,
                seed: 1,
            };
            rows(&record, &options).len()
        };
        assert_eq!(peers_compared(Peer::Rublk, true), 2);
        assert_eq!(peers_compared(Peer::Rublk, false), 1);
        assert_eq!(peers_compared(Peer::Loop, false), 1);
        assert_eq!(
            peers_compared(Peer::NullBlk, false),
            2,
            "it works in the client's own time"
        );
    }

    #[test]
    fn without_anything_alike_the_job_is_enough() {
        let rows = standing(vec![
            cell_of(Peer::Bvecd, "ram", Some("copy"), &SLOW),
            cell_of(Peer::Loop, "loop", None, &FAST),
        ]);
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].1, Verdict::Slower);
    }
}
