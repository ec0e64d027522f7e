//! `bvecctl pages --sources`: what can be learnt here.

use ::pages::{Roots, Source};
use anyhow::Result;
use api::SCHEMA;
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::output::table;

/// The answer with `--json`.
#[derive(Debug, Serialize)]
struct Sources {
    schema: u32,
    sources: Vec<Source>,
}

pub(super) fn run(roots: &Roots, context: &Context) -> Result<Exit> {
    let answer = Sources {
        schema: SCHEMA,
        sources: ::pages::sources(roots),
    };
    context
        .output
        .answer(&answer, |answer| text(&answer.sources))?;
    Ok(Exit::Done)
}

fn text(sources: &[Source]) -> String {
    let rows = sources.iter().map(|source| {
        let words = match (&source.missing, source.instead) {
            (None, _) => source.gives.to_owned(),
            (Some(why), None) => why.clone(),
            (Some(why), Some(instead)) => format!("{why}; instead: {instead}"),
        };
        let state = if source.missing.is_none() {
            "yes"
        } else {
            "no"
        };
        [source.name.to_owned(), state.to_owned(), words]
    });
    table(
        &["source", "here", "what it tells, or why it cannot"],
        &[],
        rows,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_and_substitutes_are_shown() {
        let source = |name, missing: Option<&str>, instead| Source {
            name,
            gives: "what it gives",
            missing: missing.map(str::to_owned),
            instead,
        };
        let why = "failed to open /proc/kcore: not allowed, it needs CAP_SYS_RAWIO and a lockdown \
                   below \"confidentiality\"; this process lacks CAP_SYS_RAWIO";
        insta::assert_snapshot!(text(&[
            source("pagemap", None, None),
            source("kcore", Some(why), Some("the oracles")),
            source("vmstat", Some("it is not there"), None),
        ]));
    }
}
