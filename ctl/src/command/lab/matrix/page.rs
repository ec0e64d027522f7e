//! The table as a page: one file that fetches nothing.

use ::bench::report::shell;
use lab::matrix::rows::{self, Row};
use lab::matrix::{Cell, Matrix};
use lab::{Driver, Verdict};
use maud::{Markup, html};

use super::table::{WHY, summary};

const STYLE: &str = include_str!("page.css");

/// The whole page.
pub(super) fn render(matrix: &Matrix) -> String {
    let plan = &matrix.plan;
    let body = html! {
        p.soft {
            "The verdict of each experiment on each kernel, below it what was observed differently, and what was the same on all. "
            "What an experiment asks: " code { "bvecctl lab explain NAME" } "."
        }
        ul.facts {
            li { b { "experiments" } (plan.experiments.len()) }
            li { b { "runs of each" } (plan.repeat) }
            li { b { "revision" } (plan.revision) }
            @if plan.seed > 0 { li { b { "seed" } (plan.seed) } }
            @if let Some(version) = &plan.judged_as { li { b { "judged as" } (version) } }
            @for shard in &matrix.shards { li { b { "shard" } (shard) } }
        }
        (verdict(matrix))
        (table(matrix))
        (reasons(matrix))
    };
    shell::page("bvecd: experiments across kernels", STYLE, &body)
}

fn verdict(matrix: &Matrix) -> Markup {
    let bad = matrix.worst() > Some(Verdict::Holds) || !matrix.complete;
    html! {
        div.verdict.wrong[bad] {
            ul {
                @for column in &matrix.kernels { li { (summary(column)) } }
                @for missing in matrix.missing() { li { "missing: " (missing) } }
            }
        }
    }
}

fn table(matrix: &Matrix) -> Markup {
    let columns = matrix.kernels.len() + 1;
    html! {
        div.scroll {
            table.matrix {
                thead {
                    tr {
                        th { "experiment" }
                        @for column in &matrix.kernels {
                            th title=(column.name()) {
                                (column.short_name())
                                @if column.cells.iter().any(|cell| cell.driver == Driver::Nbd) { " (NBD)" }
                            }
                        }
                    }
                }
                tbody { @for row in rows::of(matrix) { (lines(&row, columns)) } }
            }
        }
    }
}

fn lines(row: &Row<'_>, columns: usize) -> Markup {
    html! {
        tr.name {
            td id=(row.experiment) { (row.experiment) }
            @for cell in &row.cells {
                @match cell {
                    Some(cell) => { td.(class(cell)) title=[cell.reason.as_ref()] { (cell.words()) } }
                    None => { td { "–" } }
                }
            }
        }
        @for (key, values) in &row.differing {
            tr.seen {
                td { (key) }
                @for value in values { td { (value.as_deref().unwrap_or("–")) } }
            }
        }
        @if !row.everywhere.is_empty() {
            tr.same {
                td colspan=(columns) {
                    @for (index, (key, value)) in row.everywhere.iter().enumerate() {
                        @if index > 0 { ", " }
                        (key) " " (value)
                    }
                }
            }
        }
    }
}

const fn class(cell: &Cell) -> &'static str {
    match cell.verdict {
        Verdict::Holds => "holds",
        Verdict::Violated => "violated",
        Verdict::Changed => "changed",
        Verdict::Skipped if cell.not_applicable => "na",
        Verdict::Skipped => "skipped",
    }
}

fn reasons(matrix: &Matrix) -> Markup {
    html! {
        @for (what, which) in WHY {
            @let notes = rows::notes(matrix, which);
            @if !notes.is_empty() {
                h2 { "Why " (what) }
                ul.why {
                    @for note in notes {
                        li { b { (note.kernels.join(", ")) } ": " (note.reason) " " code { (note.experiments.join(", ")) } }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::matrix;
    use super::*;

    #[test]
    fn the_page_has_everything_and_fetches_nothing() {
        let page = render(&matrix());
        for word in [
            "class=\"violated\"",
            "class=\"changed\"",
            "class=\"na\"",
            "Why violated",
            "6.1.0-50 (NBD)",
            "why &amp; &lt;how&gt;",
            "failed to finish in time",
            "prefers-color-scheme:dark",
            "max-width:40rem",
            "name=\"viewport\"",
        ] {
            assert!(page.contains(word), "{word}");
        }
        for word in ["http:", "https:", "<script", "src=", "@import", "url("] {
            assert!(!page.contains(word), "{word}");
        }
        assert_eq!(page.matches("<tr").count(), page.matches("</tr>").count());
    }
}
