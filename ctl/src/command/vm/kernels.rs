//! `bvecctl vm kernels`: what can be booted.

use ::vm::{Cache, CachedKernel, Candidate, Progress, available_kernels, cached_kernels};
use anyhow::Result;
use api::SCHEMA;
use clap::Args;
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::output::{note, table};

/// Which kernels to list.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Only those that are here already; asks no mirror.
    #[arg(long)]
    cached: bool,
}

/// The answer with `--json`.
#[derive(Debug, Serialize)]
struct Kernels {
    schema: u32,
    cached: Vec<CachedKernel>,
    available: Vec<Candidate>,
}

/// Lists them.
///
/// # Errors
/// The cache cannot be used. A mirror that cannot be asked is told beside the list.
pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Exit> {
    let cache = Cache::open()?;
    let mut kernels = Kernels {
        schema: SCHEMA,
        cached: cached_kernels(&cache),
        available: Vec::new(),
    };
    if !arguments.cached {
        for (suite, found) in available_kernels(&cache, &Progress::new(false)) {
            match found {
                Ok(found) => kernels.available.extend(found),
                Err(error) => note(format!("failed to ask {suite}: {error}")),
            }
        }
    }
    context.output.answer(&kernels, text)?;
    Ok(Exit::Done)
}

fn text(kernels: &Kernels) -> String {
    let cached = kernels.cached.iter().map(|kernel| {
        [
            kernel.release.clone(),
            kernel.suite.clone(),
            "cached".to_owned(),
        ]
    });
    let is_cached = |release: &str| {
        kernels
            .cached
            .iter()
            .any(|kernel| kernel.release == release)
    };
    let others = kernels
        .available
        .iter()
        .filter(|kernel| !is_cached(&kernel.release));
    let others = others.map(|kernel| {
        let state = if kernel.missing.is_empty() {
            "can be fetched"
        } else {
            "incomplete"
        };
        [
            kernel.release.clone(),
            kernel.suite.clone(),
            state.to_owned(),
        ]
    });
    let rows: Vec<_> = cached.chain(others).collect();
    if rows.is_empty() {
        return "no kernel is cached; `bvecctl vm run -- true` fetches the newest".to_owned();
    }
    table(&["kernel", "suite", ""], &[], rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Versions are made by the harness alone, so ours are read as it writes them.
    fn candidate(release: &str, missing: &[&str]) -> Candidate {
        serde_json::from_value(serde_json::json!({
            "release": release, "version": "1", "suite": "sid", "packages": [], "missing": missing,
        }))
        .unwrap()
    }

    #[test]
    fn a_cached_kernel_is_listed_once() {
        let cached = serde_json::from_value(serde_json::json!({
            "release": "7.3.4-amd64", "version": "7.3.4-1", "suite": "sid",
        }))
        .unwrap();
        let kernels = Kernels {
            schema: SCHEMA,
            cached: vec![cached],
            available: vec![
                candidate("7.3.4-amd64", &[]),
                candidate("7.2.9-amd64", &[]),
                candidate("7.1.0-amd64", &["linux-modules"]),
            ],
        };
        insta::assert_snapshot!(text(&kernels));
    }

    #[test]
    fn an_empty_cache_says_what_to_do() {
        let kernels = Kernels {
            schema: SCHEMA,
            cached: Vec::new(),
            available: Vec::new(),
        };
        assert!(text(&kernels).contains("bvecctl vm run"));
    }
}
