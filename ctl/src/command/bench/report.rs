//! `bvecctl bench report`: a result file for people and programs.

use std::path::{Path, PathBuf};

use ::bench::record::{Record, store};
use ::bench::report::rows::{self, Room, Row};
use ::bench::report::{page, text};
use anyhow::Result;
use api::SCHEMA;
use clap::Args;
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::output::{draw, note};

pub(super) const EXAMPLES: &str = "\
Without an option it prints a table. The page is one file that fetches nothing.

Examples:
  bvecctl bench report out/result.json
  bvecctl bench report out/result.json --html out/report.html
  bvecctl bench report out/result.json --csv runs.csv --markdown table.md --junit junit.xml";

/// So many remarks are below the tables.
const REMARKS_MAX: usize = 5;

/// Which file, and what to make of it.
#[derive(Debug, Args)]
pub(crate) struct Report {
    /// The result file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Write a page here.
    #[arg(long, value_name = "OUT")]
    html: Option<PathBuf>,
    /// Write a line a run here.
    #[arg(long, value_name = "OUT")]
    csv: Option<PathBuf>,
    /// Write a table for a document here.
    #[arg(long, value_name = "OUT")]
    markdown: Option<PathBuf>,
    /// Write a test report for a CI here.
    #[arg(long, value_name = "OUT")]
    junit: Option<PathBuf>,
}

/// The answer of `bench report --json`.
#[derive(Debug, Serialize)]
struct Answer {
    schema: u32,
    rows: Vec<Row>,
}

/// A form, where it goes, and what makes it.
type Form<'a> = (&'a Option<PathBuf>, fn(&Record) -> String);

/// Makes it.
///
/// # Errors
/// The file cannot be read or is no result file; a report cannot be written.
pub(super) fn run(arguments: &Report, context: &Context) -> Result<Exit> {
    let record = store::load(&arguments.file)?;
    let forms: [Form<'_>; 4] = [
        (&arguments.html, page::render),
        (&arguments.csv, text::csv),
        (&arguments.markdown, text::markdown),
        (&arguments.junit, text::junit),
    ];
    let mut written = false;
    for (place, make) in forms {
        if let Some(place) = place {
            write(&make(&record), place)?;
            written = true;
        }
    }
    if !written || context.output.is_json() {
        let answer = Answer {
            schema: SCHEMA,
            rows: rows::of(&record),
        };
        context.output.answer(&answer, |_| table(&record))?;
    }
    Ok(Exit::Done)
}

/// Writes a report whole or not at all.
pub(super) fn write(text: &str, place: &Path) -> Result<()> {
    store::save_bytes(text.as_bytes(), place)?;
    note(format!("wrote {}", place.display()));
    Ok(())
}

/// A table a device, and below what the tables have no column for.
pub(super) fn table(record: &Record) -> String {
    let rows = rows::of(record);
    let columns = rows::columns(&rows, Room::Narrow);
    let mut tables: Vec<(&str, Vec<Vec<String>>)> = Vec::new();
    for row in &rows {
        let cells = columns.iter().map(|column| (column.text)(row)).collect();
        match tables.last_mut() {
            Some((device, known)) if *device == row.device => known.push(cells),
            _ => tables.push((&row.device, vec![cells])),
        }
    }
    let heads: Vec<&str> = columns.iter().map(|column| column.head).collect();
    let right = heads.get(1..).unwrap_or_default();
    let drawn = tables
        .into_iter()
        .map(|(device, rows)| format!("{device}\n{}", draw(&heads, right, &rows, 1)));
    drawn.chain(remarks(&rows)).collect::<Vec<_>>().join("\n\n")
}

/// The first remarks; a page has columns for all.
fn remarks(rows: &[Row]) -> Option<String> {
    let all = rows::remarks(rows);
    let mut shown: Vec<String> = all.iter().take(REMARKS_MAX).cloned().collect();
    if let more @ 1.. = all.len().saturating_sub(REMARKS_MAX) {
        shown.push(format!(
            "and {more} more with stalls or drift; the page (--html) and --csv have all"
        ));
    }
    (!shown.is_empty()).then(|| shown.join("\n"))
}
