//! A table as rows for people: what is the same on every kernel is said once.

use serde_json::Value;

use super::{Cell, Matrix};

/// An experiment.
#[derive(Debug, Clone)]
pub struct Row<'a> {
    /// Its name.
    pub experiment: &'a str,
    /// One a kernel; none where it has no answer.
    pub cells: Vec<Option<&'a Cell>>,
    /// What was seen alike wherever something was seen: names and values.
    pub everywhere: Vec<(&'a str, String)>,
    /// What differs: names, and a value a kernel.
    pub differing: Vec<(&'a str, Vec<Option<String>>)>,
}

/// Why something was not asked, or is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The reason.
    pub reason: String,
    /// The kernels, by their short names.
    pub kernels: Vec<String>,
    /// The experiments.
    pub experiments: Vec<String>,
}

/// A row an experiment of the plan that has an answer somewhere.
#[must_use]
pub fn of(matrix: &Matrix) -> Vec<Row<'_>> {
    let names = matrix.plan.experiments.iter();
    names
        .map(|name| row(matrix, name))
        .filter(|row| row.cells.iter().any(Option::is_some))
        .collect()
}

fn row<'a>(matrix: &'a Matrix, experiment: &'a str) -> Row<'a> {
    let cells: Vec<Option<&Cell>> = matrix
        .kernels
        .iter()
        .map(|column| column.cell(experiment))
        .collect();
    let mut keys: Vec<&str> = cells
        .iter()
        .flatten()
        .flat_map(|cell| cell.observations.keys().map(String::as_str))
        .collect();
    keys.sort_unstable();
    keys.dedup();
    let (mut everywhere, mut differing) = (Vec::new(), Vec::new());
    for key in keys {
        let value = |cell: &Option<&Cell>| cell.and_then(|cell| seen(cell, key));
        let values: Vec<Option<String>> = cells.iter().map(value).collect();
        let looked = |cell: &Option<&Cell>| cell.is_some_and(|cell| !cell.observations.is_empty());
        let asked = cells.iter().zip(&values).filter(|(cell, _)| looked(cell));
        let mut distinct: Vec<&Option<String>> = asked.map(|(_, value)| value).collect();
        distinct.dedup();
        match distinct.as_slice() {
            [Some(same)] => everywhere.push((key, same.clone())),
            _ => differing.push((key, values)),
        }
    }
    Row {
        experiment,
        cells,
        everywhere,
        differing,
    }
}

/// A value in words; one that was not the same in every run is marked.
fn seen(cell: &Cell, key: &str) -> Option<String> {
    let text = match cell.observations.get(key)? {
        Value::String(text) => text.clone(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        other => other.to_string(),
    };
    let varied = cell.varied.iter().any(|varied| varied == key);
    Some(if varied { format!("{text}~") } else { text })
}

/// Reasons of the cells that `which` takes, each once, with where it was given.
#[must_use]
pub fn notes(matrix: &Matrix, which: impl Fn(&Cell) -> bool) -> Vec<Note> {
    let mut notes: Vec<Note> = Vec::new();
    for column in &matrix.kernels {
        for cell in column.cells.iter().filter(|cell| which(cell)) {
            let reason = cell.reason.clone().unwrap_or_default();
            let kernel = column.short_name().to_owned();
            let experiment = cell.experiment.clone();
            match notes.iter_mut().find(|note| note.reason == reason) {
                Some(note) => {
                    push_new(&mut note.kernels, kernel);
                    push_new(&mut note.experiments, experiment);
                }
                None => notes.push(Note {
                    reason,
                    kernels: vec![kernel],
                    experiments: vec![experiment],
                }),
            }
        }
    }
    notes
}

fn push_new(list: &mut Vec<String>, item: String) {
    if !list.contains(&item) {
        list.push(item);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{outcome, plan};
    use super::*;
    use crate::Verdict;

    #[test]
    fn what_is_alike_is_said_once() {
        let kernels = ["6.1", "7.2", "7.3"].map(str::to_owned);
        let mut matrix = Matrix::new(plan(&["a", "b", "c"]), None, &kernels);
        for (column, pins) in [(0, 0), (1, 1), (2, 1)] {
            matrix.kernels[column].add(&outcome("a", Verdict::Holds, pins));
        }
        // Where nothing was seen nothing differs.
        let mut skipped = outcome("b", Verdict::Skipped, 1);
        skipped.observations.clear();
        matrix.kernels[0].add(&skipped);
        for column in [1, 2] {
            matrix.kernels[column].add(&outcome("b", Verdict::Holds, 1));
        }
        let rows = of(&matrix);
        assert_eq!(rows.len(), 2, "c has no answer");
        let values = ["0", "1", "1"].map(|text| Some(text.to_owned()));
        assert_eq!(rows[0].differing, [("pins", values.to_vec())]);
        assert_eq!(rows[1].everywhere, [("pins", "1".to_owned())]);
        let notes = notes(&matrix, |cell| cell.verdict == Verdict::Skipped);
        assert_eq!(notes.len(), 1);
        assert_eq!(notes[0].experiments, ["b"]);
    }
}
