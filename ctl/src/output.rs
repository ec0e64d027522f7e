//! What a command prints on standard output: one line of JSON, or text for people.

use std::fmt::Display;
use std::io::{self, BufWriter, ErrorKind, StdoutLock, Write, stderr, stdout};

use anyhow::{Context, Error, Result};
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;

use crate::exit::Failure;

/// The width that tables keep to, in characters.
const MAX_WIDTH: u16 = 100;

/// Where answers go, and in which form.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    /// JSON or text.
    pub(crate) const fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether it is JSON.
    pub(crate) const fn is_json(self) -> bool {
        self.json
    }

    /// Prints an answer: as JSON, or as the text that `text` makes of it.
    ///
    /// # Errors
    /// [`Failure::OutputClosed`], or standard output cannot be written to.
    pub(crate) fn answer<T: Serialize>(
        self,
        answer: &T,
        text: impl FnOnce(&T) -> String,
    ) -> Result<()> {
        let text = if self.json {
            serde_json::to_string(answer).context("write the answer as JSON")?
        } else {
            text(answer)
        };
        self.line(text.trim_end())
    }

    /// Prints a line of text as it is.
    ///
    /// # Errors
    /// As [`Self::answer`].
    pub(crate) fn line(self, text: impl Display) -> Result<()> {
        let mut lines = Lines::new();
        lines.line(&text)?;
        lines.flush()
    }
}

/// Many lines, written in large pieces.
#[derive(Debug)]
pub(crate) struct Lines(BufWriter<StdoutLock<'static>>);

impl Lines {
    /// Takes standard output.
    pub(crate) fn new() -> Self {
        Self(BufWriter::new(stdout().lock()))
    }

    /// Writes a line, perhaps not yet to the end.
    ///
    /// # Errors
    /// As [`Output::answer`].
    pub(crate) fn line(&mut self, text: impl Display) -> Result<()> {
        writeln!(self.0, "{text}").map_err(closed)
    }

    /// Writes everything out.
    ///
    /// # Errors
    /// As [`Output::answer`].
    pub(crate) fn flush(&mut self) -> Result<()> {
        self.0.flush().map_err(closed)
    }
}

/// Rust programs ignore SIGPIPE, so that a reader who left shows as an error.
fn closed(error: io::Error) -> Error {
    match error.kind() {
        ErrorKind::BrokenPipe => Failure::OutputClosed.into(),
        _ => Error::new(error).context("write to standard output"),
    }
}

/// Says something beside the answer, on standard error.
pub(crate) fn note(text: impl Display) {
    // Nobody can be told about a standard error that is closed.
    let _ = writeln!(stderr(), "bvecctl: {text}");
}

/// A table for people. Columns that `right` names by their head are aligned to the right, as numbers are.
pub(crate) fn table<R>(heads: &[&str], right: &[&str], rows: R) -> String
where
    R: IntoIterator,
    R::Item: IntoIterator<Item = String>,
{
    let rows: Vec<Vec<String>> = rows
        .into_iter()
        .map(|row| row.into_iter().collect())
        .collect();
    draw(heads, right, &rows, 2)
}

/// As [`table`], with `gap` blanks between columns.
pub(crate) fn draw(heads: &[&str], right: &[&str], rows: &[Vec<String>], gap: u16) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(MAX_WIDTH)
        .set_header(heads.iter().copied())
        .add_rows(rows.iter().map(|row| row.iter()));
    let last = heads.len().saturating_sub(1);
    for (index, head) in heads.iter().enumerate() {
        if let Some(column) = table.column_mut(index) {
            column.set_padding((0, if index == last { 0 } else { gap }));
            if right.contains(head) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
    table.trim_fmt()
}

/// Names and values, one a line, for a single thing.
pub(crate) fn fields<const N: usize>(fields: [(&str, String); N]) -> String {
    let rows = fields.map(|(name, value)| vec![name.to_owned(), value]);
    // Nothing stands above the values, so the line of heads goes.
    draw(&["", ""], &[], &rows, 2)
        .trim_start_matches([' ', '\n'])
        .to_owned()
}

/// A count with its noun: `1 queue`, `2 queues`.
pub(crate) fn counted(count: impl Into<u64>, noun: &str) -> String {
    let count = count.into();
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

/// A text that may be missing.
pub(crate) fn or_dash(value: Option<impl Display>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_not_padded() {
        let rows = [["a", "1"], ["long", "200"]].map(|row| row.map(str::to_owned));
        let text = table(&["name", "count"], &["count"], rows);
        assert_eq!(text, "name  count\na         1\nlong    200");
    }

    #[test]
    fn a_table_keeps_to_its_width() {
        let rows = [["x ".repeat(80), "y".repeat(70)]];
        let text = table(&["words", "path"], &[], rows);
        assert!(text.lines().count() > 2);
        assert!(
            text.lines()
                .all(|line| line.chars().count() <= usize::from(MAX_WIDTH)),
            "{text}"
        );
    }

    #[test]
    fn nouns_agree() {
        assert_eq!(counted(1_u8, "queue"), "1 queue");
        assert_eq!(counted(0_u8, "queue"), "0 queues");
    }
}
