//! `bvecctl bench run` as a session: rounds, a record saved after every run, a page at the end.

use std::path::PathBuf;
use std::time::Duration;

use ::bench::matrix::{MarkSpec, Matrix, Planned, Support};
use ::bench::record::{Cell, Missing, Peer, Record};
use ::bench::session::{Session, Settings, Stage, lacks};
use ::bench::{Bench, Job, Limits};
use anyhow::Result;
use api::call;
use clap::Args;

use super::progress::Following;
use super::report::{table, write};
use super::{Run, scenario, wrong};
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::output::note;

/// The rounds of jobs, unless told; a matrix has its own.
const ROUNDS: u32 = 3;

/// What makes a run a session.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Save the result, fio's reports and a page in this directory.
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// How often each cell is run [default: 3, or what the matrix says].
    #[arg(long, value_name = "N")]
    rounds: Option<u32>,
    /// What each run does first and does not count, in ms.
    #[arg(long, value_name = "MS")]
    warm_up: Option<u64>,
    /// Run only the I-th of N parts of a matrix.
    #[arg(long, value_name = "I/N", value_parser = shard)]
    shard: Option<(usize, usize)>,
    /// The revision that the record names [default: unknown].
    #[arg(long, value_name = "TEXT")]
    revision: Option<String>,
}

/// `1/4` and so on.
pub(crate) fn shard(text: &str) -> std::result::Result<(usize, usize), String> {
    let parse = || {
        let (part, of) = text.split_once('/')?;
        Some((part.parse::<usize>().ok()?, of.parse::<usize>().ok()?))
    };
    parse()
        .filter(|(part, of)| (1..=*of).contains(part))
        .ok_or_else(|| format!("found `{text}`, should be like 1/4, the first of four"))
}

/// Whether the words mean a session rather than a plain run.
pub(super) fn is_meant(run: &Run) -> bool {
    let session = &run.session;
    let matrix = run.jobs.iter().any(|job| Matrix::is_meant(job));
    matrix || session.out.is_some() || session.rounds.is_some() || run.scenario.is_some()
}

/// Refuses, for a plain run, the options that only a session knows.
///
/// # Errors
/// [`Failure::Input`], if there is one.
pub(super) fn refuse_options(run: &Run) -> Result<(), Failure> {
    let session = &run.session;
    let given = [
        ("--warm-up", session.warm_up.is_some()),
        ("--shard", session.shard.is_some()),
        ("--revision", session.revision.is_some()),
    ];
    match given.into_iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((option, _)) => Err(Failure::Input(format!(
            "use {option}: it is of a session, which --out, --rounds, --scenario or a matrix makes of a run"
        ))),
    }
}

/// Runs it.
///
/// # Errors
/// A job or matrix cannot be used, something needed is missing, or a run fails; what was finished is saved.
pub(super) fn run(run: &Run, context: &Context) -> Result<Exit> {
    let (record, ended) = measure(run, context)?;
    context.output.answer(&record, table)?;
    ended?;
    Ok(judged(&record))
}

/// Runs it, and returns what was finished, with how it ended.
///
/// # Errors
/// As [`run`], before anything is measured.
pub(super) fn measure(run: &Run, context: &Context) -> Result<(Record, ::bench::Result<()>)> {
    let interrupt = Interrupt::watch()?;
    let bench = Bench::default();
    let (stage, planned, missing, settings) = prepare(run, context)?;
    for missing in &missing {
        note(format!(
            "not measured: {} ({})",
            missing.what, missing.reason
        ));
    }
    if planned.is_empty() {
        return Err(Failure::Missing(
            "measure anything: every cell is missing something".to_owned(),
        )
        .into());
    }
    let cells = planned.len() * usize::try_from(settings.rounds)?;
    let session = Session::new(&bench, &stage, planned, missing, settings)?;
    let mut following = Following::new(&interrupt, cells);
    let (record, ended) = session.run(&mut following);
    following.end();
    if let Some(out) = &run.session.out {
        let page = ::bench::report::page::render(&record);
        let written = write(&page, &out.join("report.html"));
        // Where the session failed, its failure is what must be told: a full disk has no room for a page either.
        if ended.is_ok() {
            written?;
        }
    }
    Ok((record, ended))
}

/// Says what is wrong with runs, and whether something is.
pub(super) fn judged(record: &Record) -> Exit {
    for cell in &record.cells {
        for run in cell.runs.iter().filter(|run| !run.is_good()) {
            note(format!(
                "the answer of {}, round {}, is bad: {}",
                cell.cell,
                run.round,
                wrong(&run.unexplained())
            ));
        }
    }
    if record.is_good() {
        Exit::Done
    } else {
        Exit::Bad
    }
}

type Prepared = (Stage, Vec<Planned>, Vec<Missing>, Settings);

fn prepare(run: &Run, context: &Context) -> Result<Prepared> {
    match run.jobs.as_slice() {
        [word] if Matrix::is_meant(word) => matrix(run, word, context),
        words if words.iter().any(|word| Matrix::is_meant(word)) => {
            let message = "choose what to run: one matrix, or jobs, not both".to_owned();
            Err(Failure::Input(message).into())
        }
        _ => jobs(run, context),
    }
}

fn matrix(run: &Run, word: &str, context: &Context) -> Result<Prepared> {
    if run.scenario.is_some() {
        let message = "run a matrix with --scenario: its groups have marks of their own".to_owned();
        return Err(Failure::Input(message).into());
    }
    if run.dev.is_some() || run.ios.is_some() {
        let message =
            "run a matrix on --dev or for --ios: it makes its devices and has its own runtime"
                .to_owned();
        return Err(Failure::Input(message).into());
    }
    let matrix = Matrix::load(word)?;
    // Without a daemon the peers can be measured, and bvecd is named as missing.
    let client = context.client()?;
    let features = client.send(call::features()).ok();
    let support = Support {
        features,
        cpus: std::thread::available_parallelism().map_or(1, usize::from),
    };
    let stage = Stage::making(
        support.features.is_some().then_some(client),
        matrix.size_bytes(),
    );
    let (planned, mut missing) = matrix.cells(&support)?;
    let wanted = |peer: Peer| planned.iter().any(|it| it.cell.peer == peer);
    missing.extend(
        Peer::ALL
            .into_iter()
            .filter(|peer| wanted(*peer))
            .filter_map(lacks),
    );
    let planned = planned
        .into_iter()
        .filter(|it| lacks(it.cell.peer).is_none())
        .collect();
    let limits = Limits {
        runtime: matrix.runtime(),
        ..Limits::default()
    };
    let settings = Settings {
        name: matrix.name.clone(),
        rounds: run.session.rounds.unwrap_or(matrix.rounds),
        warm_up: run
            .session
            .warm_up
            .map_or(matrix.warm_up(), Duration::from_millis),
        limits,
        ..settings(run)
    };
    Ok((stage, planned, missing, settings))
}

fn jobs(run: &Run, context: &Context) -> Result<Prepared> {
    let jobs = run.load()?;
    let scenario = run.scenario.as_deref();
    let marks = scenario
        .map(scenario::marks)
        .transpose()?
        .unwrap_or_default();
    let id = context.device(run.dev)?;
    let device = context.ask("find the device", call::device(id))?;
    let setup = run.setup(&device);
    let plan = |job: Job| Planned {
        cell: Cell {
            faults: marks.iter().map(MarkSpec::name).collect(),
            data_path: Some(device.data_path.to_string()),
            transport: Some(device.transport.to_string()),
            ..Cell::new(
                Peer::Bvecd,
                device.target.name(),
                device.queues.into(),
                &job,
            )
        },
        job,
        marks: marks.clone(),
    };
    let planned: Vec<Planned> = jobs.into_iter().map(plan).collect();
    let settings = Settings {
        name: run.jobs.join(" "),
        limits: setup.limits,
        ..settings(run)
    };
    Ok((
        Stage::given(context.client()?, device.clone()),
        planned,
        Vec::new(),
        settings,
    ))
}

fn settings(run: &Run) -> Settings {
    Settings {
        name: String::new(),
        revision: run
            .session
            .revision
            .clone()
            .unwrap_or_else(|| "unknown".to_owned()),
        rounds: run.session.rounds.unwrap_or(ROUNDS),
        limits: Limits::default(),
        warm_up: run
            .session
            .warm_up
            .map_or(Duration::ZERO, Duration::from_millis),
        seed: run.seed,
        shard: run.session.shard,
        out: run.session.out.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        run: Run,
    }

    #[test]
    fn a_plain_run_takes_no_option_of_a_session() {
        let run = |words: &[&str]| {
            let words = [&["run", "verify-4k-qd32"], words].concat();
            <Line as clap::Parser>::try_parse_from(words).unwrap().run
        };
        for words in [["--warm-up", "9"], ["--shard", "1/2"], ["--revision", "a"]] {
            let plain = run(&words);
            assert!(!is_meant(&plain));
            let error = refuse_options(&plain).unwrap_err().to_string();
            assert!(
                error.contains(words[0]) && error.contains("--out"),
                "{error}"
            );
            assert!(is_meant(&run(&[&words[..], &["--rounds", "2"]].concat())));
        }
        assert!(refuse_options(&run(&[])).is_ok());
    }

    #[test]
    fn a_guest_that_counts_is_known_to_be_one() {
        assert_eq!(::vm::plan::COUNTS, ::bench::instructions::VARIABLE);
    }

    #[test]
    fn shards_are_counted_from_one() {
        assert_eq!(shard("2/4"), Ok((2, 4)));
        for bad in ["0/4", "5/4", "1", "a/b", ""] {
            assert!(shard(bad).unwrap_err().contains("1/4"), "{bad}");
        }
    }
}
