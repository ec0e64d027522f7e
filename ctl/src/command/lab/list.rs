//! `lab list` and `lab explain`.

use anyhow::Result;
use api::SCHEMA;
use lab::{Danger, Experiment, experiments};
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::output::{fields, table};

/// The answer of `lab list --json`.
#[derive(Debug, Serialize)]
struct List {
    schema: u32,
    experiments: Vec<View>,
}

/// An experiment in words.
#[derive(Debug, Serialize)]
struct View {
    name: &'static str,
    question: &'static str,
    prediction: &'static str,
    source: &'static str,
    refuted_by: &'static str,
    needs: Vec<String>,
    danger: Danger,
    slow: Option<&'static str>,
    expected: Vec<Known>,
}

/// What is known of some kernel versions.
#[derive(Debug, Serialize)]
struct Known {
    key: &'static str,
    is: String,
    since: Option<String>,
    before: Option<String>,
}

impl From<&Experiment> for View {
    fn from(experiment: &Experiment) -> Self {
        let known = experiment.expected.iter().map(|expected| Known {
            key: expected.key,
            is: expected.is.to_string(),
            since: (expected.since.0 > 0).then(|| expected.since.to_string()),
            before: expected.before.map(|version| version.to_string()),
        });
        Self {
            name: experiment.name,
            question: experiment.question,
            prediction: experiment.prediction,
            source: experiment.source,
            refuted_by: experiment.refuted_by,
            needs: experiment.needs.iter().map(ToString::to_string).collect(),
            danger: experiment.danger,
            slow: experiment.slow,
            expected: known.collect(),
        }
    }
}

/// Lists all of them.
pub(super) fn list(context: &Context) -> Result<Exit> {
    let list = List {
        schema: SCHEMA,
        experiments: experiments::all().map(View::from).collect(),
    };
    context.output.answer(&list, |list| {
        let rows = list
            .experiments
            .iter()
            .map(|view| [view.name.to_owned(), view.question.to_owned()]);
        table(&["experiment", "question"], &[], rows)
    })?;
    Ok(Exit::Done)
}

/// Explains one.
pub(super) fn explain(experiment: &Experiment, context: &Context) -> Result<Exit> {
    context
        .output
        .answer(&View::from(experiment), |view| explained(view, experiment))?;
    Ok(Exit::Done)
}

fn explained(view: &View, experiment: &Experiment) -> String {
    let needs = match view.needs.as_slice() {
        [] => "root and bvecd".to_owned(),
        needs => format!("root, bvecd; {}", needs.join("; ")),
    };
    let known = view.expected.iter().map(|known| {
        let range = match (&known.since, &known.before) {
            (None, None) => "on every kernel".to_owned(),
            (Some(since), None) => format!("since {since}"),
            (None, Some(before)) => format!("before {before}"),
            (Some(since), Some(before)) => format!("since {since}, before {before}"),
        };
        format!("{} is {} {range}", known.key, known.is)
    });
    fields([
        ("experiment", view.name.to_owned()),
        ("question", view.question.to_owned()),
        ("prediction", view.prediction.to_owned()),
        ("source", view.source.to_owned()),
        ("refuted by", view.refuted_by.to_owned()),
        ("needs", needs),
        ("danger", experiment.danger.to_string()),
        ("slow", view.slow.unwrap_or("no").to_owned()),
        ("known", known.collect::<Vec<_>>().join("\n")),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_explanation_says_everything_and_fits_a_terminal() {
        for experiment in experiments::all() {
            let text = explained(&View::from(experiment), experiment);
            for line in text.lines() {
                assert!(line.chars().count() <= 100, "{line}");
            }
            assert!(text.contains("refuted by"), "{text}");
        }
    }
}
