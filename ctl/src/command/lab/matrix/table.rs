//! The table on a terminal.

use lab::Verdict;
use lab::matrix::rows::{self, Note, Row};
use lab::matrix::{Cell, Matrix};

/// Where a terminal's line ends.
const WIDTH: usize = 100;
/// The widest column of names.
const FIRST: usize = 32;
/// The narrowest and widest column of a kernel.
const COLUMN: std::ops::RangeInclusive<usize> = 9..=18;

/// The whole table: verdicts, what differs between kernels below them, and what is the same on all.
pub(super) fn render(matrix: &Matrix, colour: bool) -> String {
    let rows = rows::of(matrix);
    let names = rows.iter().map(|row| row.experiment.chars().count());
    let keys = rows.iter().flat_map(|row| row.differing.iter());
    let keys = keys.map(|(key, _)| key.chars().count() + 2);
    let longest = names.chain(keys).max().unwrap_or(0);
    let first = longest.clamp("experiment".len(), FIRST) + 2;
    let kernels = matrix.kernels.len().max(1);
    let column = (WIDTH.saturating_sub(first) / kernels).clamp(*COLUMN.start(), *COLUMN.end());
    let draw = Draw {
        first,
        column,
        colour,
    };
    let heads = matrix
        .kernels
        .iter()
        .map(|kernel| Some(kernel.short_name().to_owned()));
    let mut lines = vec![draw.line("experiment", heads.map(|head| (head, None)))];
    for row in &rows {
        draw.row(row, &mut lines);
    }
    lines.push(String::new());
    lines.extend(matrix.kernels.iter().map(summary));
    for (what, which) in WHY {
        for note in rows::notes(matrix, which) {
            lines.extend(noted(what, &note));
        }
    }
    lines.extend(
        matrix
            .missing()
            .into_iter()
            .map(|what| format!("missing: {what}")),
    );
    lines.join("\n")
}

/// Says whether a cell is meant.
pub(super) type Which = fn(&Cell) -> bool;

/// What is explained below the table, and which cells that takes.
pub(super) const WHY: [(&str, Which); 4] = [
    ("violated", |cell| cell.verdict == Verdict::Violated),
    ("changed", |cell| cell.verdict == Verdict::Changed),
    ("skipped", |cell| {
        cell.verdict == Verdict::Skipped && !cell.not_applicable
    }),
    ("not applicable", |cell| cell.not_applicable),
];

/// A kernel in a line.
pub(super) fn summary(column: &lab::matrix::Column) -> String {
    let tally = column.tally();
    let judged = tally.holds + tally.violated + tally.changed;
    let failed = column
        .failed
        .as_ref()
        .map(|why| format!("; {why}"))
        .unwrap_or_default();
    format!(
        "{}: {judged} judged, {} hold, {} violated, {} changed; {} skipped, {} of them not applicable; {} s{failed}",
        column.name(),
        tally.holds,
        tally.violated,
        tally.changed,
        tally.skipped,
        tally.not_applicable,
        tally.duration().as_secs()
    )
}

fn noted(what: &str, note: &Note) -> Vec<String> {
    let head = format!("{what} on {}: ", note.kernels.join(", "));
    let text = format!("{head}{} ({})", note.reason, note.experiments.join(", "));
    wrapped(text.split(' '), 0, 2)
}

/// Words in lines, the first indented by so many blanks, the others by so many.
fn wrapped<'a>(words: impl Iterator<Item = &'a str>, first: usize, others: usize) -> Vec<String> {
    let mut lines = vec![" ".repeat(first)];
    let mut begins = true;
    for word in words {
        let length = lines.last().map_or(0, |line| line.chars().count());
        if !begins && length + 1 + word.chars().count() > WIDTH {
            lines.push(" ".repeat(others));
            begins = true;
        }
        if let Some(line) = lines.last_mut() {
            if !begins {
                line.push(' ');
            }
            line.push_str(word);
        }
        begins = false;
    }
    lines
}

struct Draw {
    first: usize,
    column: usize,
    colour: bool,
}

impl Draw {
    fn row(&self, row: &Row<'_>, lines: &mut Vec<String>) {
        let cells = row.cells.iter().map(|cell| match cell {
            Some(cell) => (Some(cell.words()), Some(code(cell))),
            None => (None, None),
        });
        lines.push(self.line(row.experiment, cells));
        for (key, values) in &row.differing {
            let cells = values.iter().map(|value| (value.clone(), None));
            lines.push(self.line(&format!("  {key}"), cells));
        }
        if !row.everywhere.is_empty() {
            let words: Vec<String> = row
                .everywhere
                .iter()
                .map(|(key, value)| format!("{key}={}", value.replace(' ', "\u{a0}")))
                .collect();
            let words = words.iter().map(String::as_str);
            lines.extend(wrapped(words, 2, 2).iter().map(|line| self.soft(line)));
        }
    }

    fn line(
        &self,
        name: &str,
        cells: impl Iterator<Item = (Option<String>, Option<u8>)>,
    ) -> String {
        let mut line = format!("{:<width$}", cut(name, self.first - 1), width = self.first);
        for (text, code) in cells {
            let text = cut(text.as_deref().unwrap_or("-"), self.column - 1);
            let padded = format!("{text:<width$}", width = self.column);
            line.push_str(&match code {
                Some(code) if self.colour => format!("\x1b[{code}m{padded}\x1b[0m"),
                _ => padded,
            });
        }
        line.trim_end().to_owned()
    }

    fn soft(&self, text: &str) -> String {
        match self.colour {
            true => format!("\x1b[90m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }
}

/// The colour of a verdict.
const fn code(cell: &Cell) -> u8 {
    match cell.verdict {
        Verdict::Holds => 32,
        Verdict::Violated => 31,
        Verdict::Changed => 33,
        Verdict::Skipped => 90,
    }
}

/// At most so many characters; what is cut is marked.
fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    kept + "…"
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use lab::Outcome;
    use lab::matrix::Plan;
    use serde_json::json;

    /// Four kernels with every verdict.
    pub(crate) fn matrix() -> Matrix {
        let experiments = [
            "fork-parent-stores",
            "dma-under-writeback-stable",
            "early-data",
            "swap-out",
        ];
        let plan = Plan {
            revision: "0123456789ab".to_owned(),
            experiments: experiments.map(str::to_owned).into(),
            repeat: 1,
            seed: 0,
            driver: None,
            judged_as: None,
        };
        let kernels = ["6.1", "6.12", "7.2", "7.3"];
        let releases = ["6.1.0-50", "6.12.117+deb13", "7.2.12+deb13", "7.3.4+deb13"];
        let mut matrix = Matrix::new(plan, None, &kernels.map(str::to_owned));
        for (index, release) in releases.iter().enumerate() {
            for (place, name) in experiments.iter().enumerate() {
                let verdict = match (index, place) {
                    (0, 1 | 2) => Verdict::Skipped,
                    (2, 1) => Verdict::Violated,
                    (3, 2) => Verdict::Changed,
                    (_, 3) => continue,
                    _ => Verdict::Holds,
                };
                let pins = i64::from(index > 0);
                let seen = [
                    ("pins_in_flight".to_owned(), json!(pins)),
                    ("data".to_owned(), json!(true)),
                    ("requests".to_owned(), json!("write read write")),
                ];
                let seen = if verdict == Verdict::Skipped {
                    None
                } else {
                    Some(seen)
                };
                matrix.kernels[index].add(&Outcome {
                    schema: 1,
                    experiment: (*name).to_owned(),
                    kernel: format!("{release}-cloud-amd64"),
                    driver: if index == 0 {
                        api::Driver::Nbd
                    } else {
                        api::Driver::Ublk
                    },
                    verdict,
                    reason: (verdict != Verdict::Holds).then(|| "why & <how>".to_owned()),
                    not_applicable: verdict == Verdict::Skipped,
                    observations: seen.map(Into::into).unwrap_or_default(),
                    seed: 0,
                    duration_ns: 1_500_000_000,
                });
            }
        }
        matrix.kernels[0].failed = Some("failed to finish in time".to_owned());
        matrix
    }

    #[test]
    fn the_table_fits_a_terminal() {
        let text = render(&matrix(), false);
        for line in text.lines() {
            assert!(line.chars().count() <= WIDTH + 40, "{line}");
        }
        insta::assert_snapshot!(text);
    }

    #[test]
    fn colours_are_only_where_they_are_wanted() {
        assert!(render(&matrix(), true).contains("\x1b[31mviolated"));
        assert!(!render(&matrix(), false).contains('\x1b'));
    }
}
