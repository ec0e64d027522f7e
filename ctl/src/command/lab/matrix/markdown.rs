//! The table as Markdown, as docs/lab.md has it.

use std::fmt::Write;

use lab::matrix::rows::{self, Row};
use lab::matrix::{Cell, Matrix};
use lab::{Driver, Verdict};

use super::table::{WHY, summary};

/// The whole document.
pub(super) fn render(matrix: &Matrix) -> String {
    let mut text = "# Experiments across kernels\n\n".to_owned();
    text.push_str(&head(matrix));
    text.push_str("\n\n| experiment |");
    for column in &matrix.kernels {
        let nbd = column.cells.iter().any(|cell| cell.driver == Driver::Nbd);
        // Writing to a string cannot fail, here and below.
        let _ = write!(
            text,
            " {}{} |",
            column.short_name(),
            if nbd { " (NBD)" } else { "" }
        );
    }
    text.push_str(" the same on all |\n|---|");
    text.push_str(&"---|".repeat(matrix.kernels.len() + 1));
    text.push('\n');
    for row in rows::of(matrix) {
        lines(&row, &mut text);
    }
    for column in &matrix.kernels {
        let _ = write!(text, "\n- {}", summary(column));
    }
    text.push('\n');
    for (what, which) in WHY {
        let notes = rows::notes(matrix, which);
        if !notes.is_empty() {
            let _ = write!(text, "\n## {}\n\n", capital(what));
        }
        for note in notes {
            let _ = writeln!(
                text,
                "- {}: {} ({})",
                note.kernels.join(", "),
                escaped(&note.reason),
                note.experiments.join(", ")
            );
        }
    }
    for missing in matrix.missing() {
        let _ = write!(text, "\nMissing: {missing}.\n");
    }
    text
}

fn head(matrix: &Matrix) -> String {
    let plan = &matrix.plan;
    let mut text = format!(
        "Written by `bvecctl lab matrix`, revision {}; {} experiments, {}. The verdict of each experiment on each kernel, \
         and below it what was observed differently. Values that were the same wherever the experiment was asked are in \
         the last column. What an experiment asks: `bvecctl lab explain NAME`.",
        plan.revision,
        plan.experiments.len(),
        match plan.repeat {
            1 => "each once".to_owned(),
            times => format!("each {times} times; ~ marks a value that was not the same each time"),
        },
    );
    if let Some(version) = &plan.judged_as {
        let _ = write!(text, " Compared with what is known of {version}.");
    }
    text
}

fn lines(row: &Row<'_>, text: &mut String) {
    let _ = write!(text, "| **{}** |", row.experiment);
    for cell in &row.cells {
        let _ = write!(text, " {} |", cell.map_or_else(|| "–".to_owned(), verdict));
    }
    let same = row.everywhere.iter();
    let same = same.map(|(key, value)| format!("{key}={}", escaped(value)));
    let _ = writeln!(text, " {} |", same.collect::<Vec<_>>().join(", "));
    for (key, values) in &row.differing {
        let _ = write!(text, "| {key} |");
        for value in values {
            let _ = write!(text, " {} |", escaped(value.as_deref().unwrap_or("–")));
        }
        text.push_str(" |\n");
    }
}

fn verdict(cell: &Cell) -> String {
    match cell.verdict {
        Verdict::Holds | Verdict::Skipped if !cell.flaky => cell.words(),
        _ => format!("**{}**", cell.words()),
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().collect::<String>() + letters.as_str())
        .unwrap_or_default()
}

/// A text that does not end its cell, and shows as it is.
fn escaped(text: &str) -> String {
    text.replace('|', "\\|")
        .replace('<', "\\<")
        .replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::matrix;
    use super::*;

    #[test]
    fn every_row_has_every_column() {
        let text = render(&matrix());
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
        assert!(rows.len() > 5, "{text}");
        for row in rows {
            assert_eq!(row.matches('|').count(), 7, "{row}");
        }
        assert!(text.contains("6.1.0-50 (NBD)"), "{text}");
        assert!(
            text.contains("**violated**") && text.contains("## Violated"),
            "{text}"
        );
        assert!(text.contains("why & \\<how>"), "{text}");
    }
}
