//! One side of a comparison, from either kind of result file.

use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::{Metric, Origin};
use crate::record::store::{self, Kind};
use crate::record::{Cell, CellResult, Percentiles, Record, RunResult};
use crate::statistics::number;
use crate::{BenchError, Result};

/// So many cells are named where a side is told of.
const CELLS_SHOWN: usize = 3;

/// What a side of a comparison has.
#[derive(Debug, Clone, PartialEq)]
pub struct Side {
    /// Where it comes from.
    pub origin: Origin,
    /// What must be equal for a fair comparison, with its name.
    pub facts: Vec<(&'static str, String)>,
    /// Whether the session that made it came to its end.
    pub complete: bool,
    /// Every value of every cell.
    pub values: Vec<Values>,
}

/// The repeats of one value of one cell.
#[derive(Debug, Clone, PartialEq)]
pub struct Values {
    /// The cell's name.
    pub cell: String,
    /// The job file, where the result file has it.
    pub job_text: String,
    /// What the values are.
    pub metric: Metric,
    /// Whether they are exact counts.
    pub exact: bool,
    /// One a repeat.
    pub values: Vec<f64>,
}

/// `target/cost/result.json` and `target/bench-peers/result.json`.
#[derive(Debug, Deserialize)]
struct Instructions {
    kernel: String,
    #[serde(default)]
    revision: Option<String>,
    results: Vec<Row>,
}

#[derive(Debug, Deserialize)]
struct Row {
    peer: String,
    #[serde(default)]
    variant: Option<String>,
    target: String,
    data_path: Option<String>,
    transport: Option<String>,
    job: String,
    measure: String,
    values: Vec<f64>,
}

impl Side {
    /// Reads a file of either kind.
    ///
    /// # Errors
    /// [`BenchError::BadRecord`] when there is no such file or it is of neither kind.
    pub fn load(path: &Path) -> Result<Self> {
        let bad = |detail| BenchError::BadRecord {
            path: path.to_owned(),
            detail,
        };
        let text = fs::read_to_string(path).map_err(|error| bad(error.to_string()))?;
        Self::parse(&text).map_err(bad)
    }

    /// Understands the text of a file of either kind; the error says what is wrong.
    ///
    /// # Errors
    /// It is of neither kind.
    pub fn parse(text: &str) -> std::result::Result<Self, String> {
        match Kind::of(text)? {
            Kind::Counts => {
                let file = serde_json::from_str(text).map_err(|error| error.to_string())?;
                Self::of_instructions(file)
            }
            Kind::Record => store::parse(text).map(|record| Self::of(&record)),
        }
    }

    /// Its cells in a few words.
    #[must_use]
    pub fn cells(&self) -> String {
        let mut cells: Vec<&str> = Vec::new();
        for values in &self.values {
            if !cells.contains(&values.cell.as_str()) {
                cells.push(&values.cell);
            }
        }
        let shown = cells[..cells.len().min(CELLS_SHOWN)].join("`, `");
        match cells.len() {
            0 => "no cell".to_owned(),
            1..=CELLS_SHOWN => format!("`{shown}`"),
            more => format!("`{shown}` and {} more", more - CELLS_SHOWN),
        }
    }

    /// Of a record.
    #[must_use]
    pub fn of(record: &Record) -> Self {
        let environment = &record.environment;
        let mut facts = environment.facts();
        facts.push(("runtime in ns", record.plan.runtime_ns.to_string()));
        let values = record.cells.iter().flat_map(|cell| {
            let counted = |run: &RunResult| run.cost.guest_instructions_per_io.is_some();
            let counts = cell
                .runs
                .iter()
                .all(counted)
                .then_some(Metric::Instructions);
            let metrics = Metric::ALL.into_iter().chain(counts);
            metrics.map(move |metric| Values {
                cell: name(record, cell, metric),
                job_text: cell.cell.job_text.clone(),
                metric,
                exact: metric == Metric::Instructions,
                values: of_cell(cell, metric),
            })
        });
        Self {
            origin: Origin {
                revision: Some(environment.revision.clone()),
                kernel: environment.kernel.clone(),
            },
            facts,
            complete: record.complete,
            values: values.collect(),
        }
    }

    /// The cells of a record without rules, and those with rules: two sides that were measured in turn.
    ///
    /// # Errors
    /// [`BenchError::BadRecord`] when the file at `path` is no record, or has not both kinds of cells.
    pub fn halves(path: &Path) -> Result<(Self, Self)> {
        let record = store::load(path)?;
        let half = |faulted: bool| {
            let mut half = record.clone();
            half.cells
                .retain(|cell| cell.cell.faults.is_empty() != faulted);
            half
        };
        let (plain, faulted) = (half(false), half(true));
        if plain.cells.is_empty() || faulted.cells.is_empty() {
            let detail = "it has not both cells with rules and cells without, so that it needs a second file \
                          to be compared with";
            return Err(BenchError::BadRecord {
                path: path.to_owned(),
                detail: detail.to_owned(),
            });
        }
        Ok((Self::of(&plain), Self::of(&faulted)))
    }

    fn of_instructions(file: Instructions) -> std::result::Result<Self, String> {
        let values = file.results.into_iter().map(|row| {
            let (metric, exact) = match row.measure.as_str() {
                "instructions_per_io" => (Metric::Instructions, true),
                "iops" => (Metric::Iops, false),
                other => {
                    return Err(format!(
                        "it has the measure {other}, should be instructions_per_io or iops"
                    ));
                }
            };
            let words = [
                Some(row.peer),
                row.variant,
                Some(row.target),
                row.data_path,
                row.transport,
            ];
            let words: Vec<String> = words.into_iter().flatten().collect();
            Ok(Values {
                cell: format!("{}: {}", words.join(" "), row.job),
                job_text: String::new(),
                metric,
                exact,
                values: row.values,
            })
        });
        Ok(Self {
            origin: Origin {
                revision: file.revision,
                kernel: file.kernel.clone(),
            },
            facts: vec![("kernel", file.kernel)],
            complete: true,
            values: values.collect::<std::result::Result<_, _>>()?,
        })
    }
}

/// What a cell is called. Clean requests are held against those of a run without rules, which is another cell,
/// unless this record has that as well.
fn name(record: &Record, cell: &CellResult, metric: Metric) -> String {
    let plain = Cell {
        faults: Vec::new(),
        ..cell.cell.clone()
    };
    let has_plain = || record.cells.iter().any(|other| other.cell == plain);
    match metric {
        Metric::CleanP99 if !has_plain() => plain.to_string(),
        _ => cell.cell.to_string(),
    }
}

/// The requests that no rule fired on; all of them where no rules changed.
fn clean(run: &RunResult) -> &Percentiles {
    let split = run.split.as_ref();
    split.map_or(&run.percentiles_ns, |split| &split.clean.percentiles_ns)
}

/// The values of a cell's runs.
#[must_use]
pub fn of_cell(cell: &CellResult, metric: Metric) -> Vec<f64> {
    cell.values(|run| value(run, metric))
}

fn value(run: &RunResult, metric: Metric) -> f64 {
    match metric {
        Metric::Iops => run.job.iops,
        Metric::Bandwidth => run.job.bandwidth_bytes_per_s,
        Metric::P50 => number(run.percentiles_ns.p50),
        Metric::P99 => number(run.percentiles_ns.p99),
        Metric::P99_9 => number(run.percentiles_ns.p99_9),
        Metric::CleanP99 => number(clean(run).p99),
        Metric::Cpu => run.job.cpu_ns_per_io,
        Metric::Instructions => run.cost.guest_instructions_per_io.unwrap_or(f64::NAN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::{Options, compare};
    use crate::statistics::verdict::Verdict;

    fn counted(instructions: f64) -> String {
        format!(
            "{{\"schema\":1,\"kernel\":\"7.3\",\"rounds\":1,\"results\":[{{\"peer\":\"bvecd\",\"target\":\"null\",\
             \"data_path\":\"copy\",\"transport\":\"per-io\",\"job\":\"rand-destination-4k-qd1\",\
             \"block_size_bytes\":4096,\"depth\":1,\"direction\":\"destination\",\
             \"measure\":\"instructions_per_io\",\"values\":[{instructions}],\"median\":{instructions}}}]}}"
        )
    }

    #[test]
    fn five_percent_more_instructions_are_slower() {
        let options = Options {
            metrics: vec![Metric::P99],
            least: 0.0,
            seed: 1,
        };
        let side = |count| Side::parse(&counted(count)).unwrap();
        let found = compare(&side(23_500.0), &side(24_675.0), &options);
        assert_eq!(found.verdict, Verdict::Slower);
        assert_eq!(
            found.rows[0].cell,
            "bvecd null copy per-io: rand-destination-4k-qd1"
        );
        let found = compare(&side(23_500.0), &side(23_600.0), &options);
        assert_eq!(found.verdict, Verdict::CannotTell);
    }

    #[test]
    fn clean_requests_are_held_against_a_run_without_rules() {
        use crate::record::tests::record;
        use crate::record::{Part, Split};
        let options = Options {
            metrics: vec![Metric::P99, Metric::CleanP99],
            least: 0.0,
            seed: 1,
        };
        let (base, mut faulted) = (record(), record());
        faulted.cells.truncate(1);
        faulted.cells[0].cell.faults = vec!["late: delay:50ms".to_owned()];
        for run in &mut faulted.cells[0].runs {
            run.split = Some(Split {
                clean: Part::of(run.histogram.clone()),
                faulted: Part::of(vec![(50_000_000, 9)].into()),
                drained: 0,
                failed: 0,
                unmatched: 0,
                events_lost: 0,
            });
            run.percentiles_ns.p99 = 50_000_000;
        }
        let found = compare(&Side::of(&base), &Side::of(&faulted), &options);
        assert_eq!(found.rows.len(), 1, "{found:?}");
        assert_eq!(found.rows[0].metric, Metric::CleanP99);
        assert_eq!(found.verdict, Verdict::CannotTell);
        // What does touch the others is told.
        for run in &mut faulted.cells[0].runs {
            let clean = vec![(500_000, 900), (900_000, 100)].into();
            run.split.as_mut().unwrap().clean = Part::of(clean);
        }
        let found = compare(&Side::of(&base), &Side::of(&faulted), &options);
        assert_eq!(found.verdict, Verdict::Slower);
    }

    #[test]
    fn a_session_is_held_against_itself_by_its_rules() {
        use crate::record::tests::record;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("result.json");
        let mut both = record();
        let mut late = both.cells[0].clone();
        late.cell.faults = vec!["late: delay:50ms".to_owned()];
        fs::write(&path, serde_json::to_string(&both).unwrap()).unwrap();
        let error = Side::halves(&path).unwrap_err().to_string();
        assert!(error.contains("second file"), "{error}");
        both.cells.push(late);
        fs::write(&path, serde_json::to_string(&both).unwrap()).unwrap();
        let (plain, faulted) = Side::halves(&path).unwrap();
        let options = Options {
            metrics: vec![Metric::CleanP99],
            least: 0.0,
            seed: 1,
        };
        let found = compare(&plain, &faulted, &options);
        assert_eq!(found.rows.len(), 1, "{found:?}");
        assert_eq!(found.verdict, Verdict::CannotTell);
    }

    #[test]
    fn unknown_files_and_measures_are_refused() {
        let error =
            Side::parse(&counted(1.0).replace("instructions_per_io", "furlongs")).unwrap_err();
        assert!(error.contains("furlongs"), "{error}");
        assert!(Side::parse("[]").unwrap_err().contains("not a JSON object"));
        let error = Side::parse(&counted(1.0).replace("\"schema\":1", "\"schema\":7")).unwrap_err();
        assert_eq!(error, "it has schema 7, this bvecctl knows 1");
        let error = Side::parse(&counted(1.0).replace("\"job\"", "\"jab\"")).unwrap_err();
        assert!(error.contains("missing field `job`"), "{error}");
    }
}
