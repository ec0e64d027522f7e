//! `lab fuzz`.

use std::time::Duration;

use ::lab::census::PlaceKind;
use ::lab::fuzz::{self, Plant, Report, Settings};
use anyhow::Result;
use api::fault::Rule;
use api::{BlockingClient, DeviceConfig, SCHEMA, TargetConfig, call};
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::census::word;
use super::own_device::{OwnDevice, SIZE_BYTES};
use crate::context::Context;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::units::Span;

/// How much is drawn, and of what.
#[derive(Debug, Args)]
#[command(after_help = "\
Makes devices in memory with the bvecd that runs and does vectors of direct I/O on them: good ones,
odd ones, ones with pages that must not be used; small, huge, shared and file pages; by system call,
AIO and io_uring. After each, pins acquired must equal pins released, memory must have come back and
data be right. The rounds: `plain`; `narrow`, with blocks of 4 KiB and small limits; `read-errors` and
`write-errors`, where a rule fails a part of the requests; a file of ext4 and of XFS.

A vector that breaks something is made as short as possible and printed as a C program; the command
ends with 1 then. The same seed draws the same vectors.

Examples:
  bvecctl lab fuzz
  bvecctl lab fuzz --seed 7 --vectors 20000 --limit 60s
  bvecctl lab fuzz --seed 7 --from 1234 --vectors 1 --round plain")]
pub(crate) struct Arguments {
    /// Seed of everything that is drawn.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Vectors of each round.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    vectors: u64,
    /// Longest time of each round.
    #[arg(long, value_name = "TIME", default_value = "30s")]
    limit: Span,
    /// Number of the first vector.
    #[arg(long, value_name = "N", default_value_t = 0)]
    from: u64,
    /// Only this round; may be given often.
    #[arg(long, value_enum)]
    round: Vec<Round>,
    /// Make this mistake on purpose, to see that it is found.
    #[arg(long, value_enum)]
    plant: Option<Planted>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Round {
    Plain,
    Narrow,
    ReadErrors,
    WriteErrors,
    Ext4,
    Xfs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Planted {
    /// A registered page is forgotten with every vector of two segments or more.
    Leak,
    /// A byte that a transfer stored is changed, in memory.
    Data,
    /// The device answers some reads with a flipped bit.
    Device,
}

impl Round {
    const fn place(self) -> PlaceKind {
        match self {
            Self::Ext4 => PlaceKind::Ext4,
            Self::Xfs => PlaceKind::Xfs,
            _ => PlaceKind::Raw,
        }
    }

    fn config(self) -> DeviceConfig {
        let config = DeviceConfig::new(TargetConfig::Ram {
            size_bytes: SIZE_BYTES,
        });
        match self {
            Self::Narrow => DeviceConfig {
                logical_block_bytes: Some(4096),
                max_io_bytes: 32 << 10,
                max_segments: Some(8),
                ..config
            },
            _ => config,
        }
    }

    /// The rule of its errors: a part of the window's second half, whose sectors begin at 2048.
    const fn rule(self) -> Option<&'static str> {
        match self {
            Self::ReadErrors => Some("fail:MEDIUM where op=read,lba=3072+512"),
            Self::WriteErrors => Some("fail:MEDIUM where op=write,lba=3072+512"),
            _ => None,
        }
    }
}

/// A line with `--json`.
#[derive(Debug, Serialize)]
struct Line {
    schema: u32,
    round: Round,
    #[serde(flatten)]
    report: Report,
}

/// Fuzzes.
pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Exit> {
    let client = context.client()?;
    let interrupt = Interrupt::watch()?;
    let rounds = match arguments.round.as_slice() {
        [] => Round::value_variants(),
        chosen => chosen,
    };
    let mut found = false;
    for round in rounds {
        let report = one(*round, arguments, &client, &interrupt)?;
        interrupt.check()?;
        found |= report.finding.is_some();
        let line = Line {
            schema: SCHEMA,
            round: *round,
            report,
        };
        context.output.answer(&line, text)?;
    }
    Ok(if found { Exit::Bad } else { Exit::Done })
}

fn one(
    round: Round,
    arguments: &Arguments,
    client: &BlockingClient,
    interrupt: &Interrupt,
) -> Result<Report> {
    let own = match OwnDevice::add(client, &round.config()) {
        // Before 6.15 the driver takes no limits of segments.
        Err(_) if round == Round::Narrow => {
            let config = DeviceConfig {
                max_segments: None,
                ..round.config()
            };
            OwnDevice::add(client, &config)?
        }
        made => made?,
    };
    let settings = Settings {
        seed: arguments.seed,
        first: arguments.from,
        vectors: arguments.vectors,
        limit: arguments.limit.0,
        logical_block_bytes: own.device.logical_block_bytes.into(),
        faulty: round.rule().is_some(),
        destinations_only: round == Round::ReadErrors,
        plant: match arguments.plant {
            Some(Planted::Leak) => Some(Plant::Leak),
            Some(Planted::Data) => Some(Plant::Data),
            Some(Planted::Device) | None => None,
        },
    };
    let add = |name: &str, words: &str| -> Result<()> {
        let rule = Rule::parse(name, words)?;
        client.send(call::add_rule(own.device.id, &rule))?;
        Ok(())
    };
    let mut failed = None;
    let ready = || {
        let damage = "corrupt(kind=flip) where op=read,lba=2560+64";
        let plant = (arguments.plant == Some(Planted::Device)).then_some(("damage", damage));
        let errors = round.rule().map(|words| ("errors", words));
        for (name, words) in errors.into_iter().chain(plant) {
            if let Err(error) = add(name, words) {
                failed = Some(error);
            }
        }
    };
    let report = fuzz::run(&own.device.path, &settings, round.place(), ready, || {
        !interrupt.is_raised()
    })?;
    match failed {
        Some(error) => Err(error),
        None => Ok(report),
    }
}

fn text(line: &Line) -> String {
    let report = &line.report;
    let name = word(&line.round);
    if let Some(why) = &report.skipped {
        return format!("{name:<12}  skipped: {why}");
    }
    let time = Duration::from_nanos(report.duration_ns).as_secs_f64();
    let counts = format!(
        "{name:<12}  {} vectors in {time:.1} s ({:.0} a minute): {} whole, {} in part, {} refused",
        report.vectors, report.per_minute, report.whole, report.partial, report.refused
    );
    let Some(finding) = &report.finding else {
        return format!("{counts}\n{:<12}  holds", "");
    };
    let problem = serde_json::to_string(&finding.problem).unwrap_or_default();
    let shortest = serde_json::to_string(&finding.shortest).unwrap_or_default();
    format!(
        "{counts}\n{:<12}  VIOLATED by vector {} of seed {}: {problem}\nshortest ({} tries): \
         {shortest}\n\n{}",
        "", finding.number, report.seed, finding.tries, finding.program
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        Report {
            place: PlaceKind::Raw,
            seed: 7,
            skipped: None,
            vectors: 1000,
            whole: 500,
            partial: 100,
            refused: 400,
            duration_ns: 10_000_000_000,
            per_minute: 6000.0,
            finding: None,
        }
    }

    #[test]
    fn rounds_are_told_in_words() {
        let line = |report| Line {
            schema: SCHEMA,
            round: Round::ReadErrors,
            report,
        };
        let good = text(&line(report()));
        assert!(
            good.contains("1000 vectors in 10.0 s (6000 a minute)"),
            "{good}"
        );
        assert!(good.lines().all(|line| line.chars().count() <= 100) && good.ends_with("holds"));
        let skipped = Report {
            skipped: Some("the program mkfs.xfs is missing".to_owned()),
            ..report()
        };
        assert!(text(&line(skipped)).ends_with("mkfs.xfs is missing"));
    }

    #[test]
    fn the_rules_can_be_read() {
        for round in Round::value_variants() {
            if let Some(words) = round.rule() {
                Rule::parse("errors", words).unwrap();
            }
        }
    }
}
