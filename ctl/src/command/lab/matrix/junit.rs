//! The table as a JUnit report: a suite a kernel, a case an experiment.

use std::fmt::Write;

use ::bench::report::shell::xml;
use lab::Verdict;
use lab::matrix::{Cell, Column, Matrix};

/// The whole report. What was violated or has changed is a failure of that type, a machine that failed an error.
pub(super) fn render(matrix: &Matrix) -> String {
    let mut text =
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"bvecctl lab matrix\">\n"
            .to_owned();
    for column in &matrix.kernels {
        suite(column, &mut text);
    }
    text + "</testsuites>\n"
}

fn suite(column: &Column, text: &mut String) {
    let tally = column.tally();
    let name = xml(column.name());
    let errors = usize::from(column.failed.is_some());
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(
        text,
        "  <testsuite name=\"{name}\" tests=\"{}\" failures=\"{}\" errors=\"{errors}\" skipped=\"{}\" time=\"{}\">",
        column.cells.len() + errors,
        tally.violated + tally.changed,
        tally.skipped,
        seconds(column.duration_ns)
    );
    for cell in &column.cells {
        case(&name, cell, text);
    }
    if let Some(why) = &column.failed {
        let why = xml(why);
        let _ = writeln!(
            text,
            "    <testcase classname=\"{name}\" name=\"the machine\"><error message=\"{why}\"/></testcase>"
        );
    }
    text.push_str("  </testsuite>\n");
}

fn case(class: &str, cell: &Cell, text: &mut String) {
    let reason = xml(cell.reason.as_deref().unwrap_or_default());
    let inner = match cell.verdict {
        Verdict::Holds => String::new(),
        Verdict::Violated => format!("<failure type=\"violated\" message=\"{reason}\"/>"),
        Verdict::Changed => format!("<failure type=\"changed\" message=\"{reason}\"/>"),
        Verdict::Skipped => format!("<skipped message=\"{reason}\"/>"),
    };
    let seen: Vec<String> = cell
        .observations
        .iter()
        .map(|(key, value)| format!("{key}={}", value.to_string().trim_matches('"')))
        .collect();
    let out = match seen.as_slice() {
        [] => String::new(),
        seen => format!("<system-out>{}</system-out>", xml(&seen.join("\n"))),
    };
    let _ = writeln!(
        text,
        "    <testcase classname=\"{class}\" name=\"{}\" time=\"{}\">{inner}{out}</testcase>",
        xml(&cell.experiment),
        seconds(cell.duration_ns)
    );
}

fn seconds(ns: u64) -> String {
    format!("{}.{:03}", ns / 1_000_000_000, ns / 1_000_000 % 1000)
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::matrix;
    use super::*;

    #[test]
    fn every_answer_is_a_case() {
        let text = render(&matrix());
        assert_eq!(text.matches("<testsuite name=").count(), 4);
        assert_eq!(text.matches("<testcase").count(), 4 * 3 + 1);
        assert_eq!(text.matches("<failure type=\"violated\"").count(), 1);
        assert_eq!(text.matches("<failure type=\"changed\"").count(), 1);
        assert_eq!(text.matches("<skipped").count(), 2);
        assert!(text.contains("<error message=\"failed to finish in time\"/>"));
        assert!(text.contains("why &amp; &lt;how&gt;") && text.contains("time=\"1.500\""));
        assert!(
            text.contains("pins_in_flight=1\nrequests=write read write"),
            "{text}"
        );
    }
}
