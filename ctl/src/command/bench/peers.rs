//! `bvecctl bench peers`: bvecd next to others in one session, and what can be said.

use ::bench::compare::peers::Standing;
use ::bench::compare::{Metric, Options as Asked};
use ::bench::matrix::Matrix;
use anyhow::Result;
use clap::Args;

use super::compare::{HEADS, row};
use super::session::{self, Options};
use super::{Run, compare};
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::output::draw;
use crate::units::Size;

pub(super) const EXAMPLES: &str = "\
Peers: rublk, nbd (nbdkit and nbd-client), and the kernel's loop, null_blk and brd. All are measured
in one session, round by round, each round in the reverse order of the one before. bvecd is held
against each with the same job, and of the same backing and data path where there are such; the
statistics are those of `bench compare`. A peer that is missing is named with the reason. A matrix of
your own names its peers; docs/bench.md has its form. No speed is an error.

Examples:
  bvecctl bench peers --out out
  bvecctl bench peers --rounds 10 --metric iops,p99
  bvecctl bench peers mine.toml --json";

/// How to measure.
#[derive(Debug, Args)]
pub(crate) struct Peers {
    /// A matrix with peers.
    #[arg(value_name = "MATRIX", default_value = "peers")]
    matrix: String,
    /// What is compared.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "iops")]
    metric: Vec<compare::Word>,
    /// Seed of fio's random offsets.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    session: Options,
}

/// Measures and compares.
///
/// # Errors
/// As [`session::run`]; what was finished is saved.
pub(super) fn run(peers: Peers, context: &Context) -> Result<Exit> {
    if !Matrix::is_meant(&peers.matrix) {
        let message = format!(
            "measure peers by `{}`: it is no matrix, name a TOML file",
            peers.matrix
        );
        return Err(Failure::Input(message).into());
    }
    let asked = Asked {
        metrics: peers
            .metric
            .iter()
            .map(|word| Metric::from(*word))
            .collect(),
        least: 0.0,
        seed: peers.seed,
    };
    let run = Run {
        jobs: vec![peers.matrix],
        dev: None,
        runtime: 0,
        ios: None,
        verify_size: Size(0),
        seed: peers.seed,
        scenario: None,
        session: peers.session,
    };
    let (record, ended) = session::measure(&run, context)?;
    let standing = Standing::of(&record, &asked);
    context.output.answer(&standing, text)?;
    ended?;
    Ok(session::judged(&record))
}

fn text(standing: &Standing) -> String {
    let rows: Vec<Vec<String>> = standing.rows.iter().map(row).collect();
    let mut heads = HEADS;
    (heads[0], heads[2], heads[3]) = ("bvecd / peer", "peer", "bvecd");
    let table = match rows.is_empty() {
        true => "no peer has a job in common with bvecd".to_owned(),
        false => draw(&heads, &["peer", "bvecd"], &rows, 1),
    };
    let missing = standing.missing.iter();
    let missing = missing.map(|it| format!("\nnot measured: {} ({})", it.what, it.reason));
    table + &missing.collect::<String>()
}
