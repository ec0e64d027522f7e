//! `lab census`.

use ::lab::census::{self, Row, Settings};
use anyhow::{Context as _, Result};
use api::{DeviceConfig, SCHEMA, TargetConfig};
use clap::Args;
use serde::Serialize;

use super::own_device::{OwnDevice, SIZE_BYTES};
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::output::{Lines, note, table};

/// What is counted.
#[derive(Debug, Args)]
#[command(after_help = "\
Makes a device in memory with the bvecd that runs, does 16 transfers of 4 pages in every way, and
counts the pins that they take. `rule` is what the rule of 2022 asks for, a page: the destination of a
user's iovec is pinned, a source is not, a bvec comes locked, a pipe has only its own pages, discard
has none. `here` is what this kernel does, `once` what registering memory took, `left` what was not
given back. Ends with 1 if anything was left. Needs root; file systems and stacked devices need
mkfs.ext4, mkfs.xfs, mkfs.btrfs, losetup, dmsetup and mdadm.

Examples:
  bvecctl lab census
  bvecctl lab census --only splice
  bvecctl --json lab census")]
pub(crate) struct Arguments {
    /// Only rows whose flavour, memory or place contains this.
    #[arg(long, value_name = "WORD", default_value = "")]
    only: String,
    /// Forget a pinned page on purpose, to see that it is found.
    #[arg(long)]
    plant: bool,
}

/// A line with `--json`.
#[derive(Debug, Serialize)]
struct Line<'a> {
    schema: u32,
    #[serde(flatten)]
    row: &'a Row,
}

/// Counts.
pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Exit> {
    let client = context.client()?;
    let interrupt = Interrupt::watch()?;
    let target = TargetConfig::Ram {
        size_bytes: SIZE_BYTES,
    };
    let own = OwnDevice::add(&client, &DeviceConfig::new(target))?;
    let settings = Settings {
        only: arguments.only.clone(),
        plant: arguments.plant,
    };
    let mut rows: Vec<Row> = Vec::new();
    let mut failed = None;
    let json = context.output.is_json();
    census::run(&own.device.path, &settings, |row| {
        if json && let Err(error) = print(row) {
            failed = Some(error);
            return false;
        }
        rows.push(row.clone());
        !interrupt.is_raised()
    })?;
    drop(own);
    if let Some(error) = failed {
        return Err(error);
    }
    interrupt.check()?;
    if rows.is_empty() {
        let message = format!(
            "count `{}`: no flavour, memory or place has it",
            arguments.only
        );
        return Err(Failure::Input(message).into());
    }
    if !json {
        context.output.line(text(&rows))?;
    }
    let left = rows.iter().filter(|row| !row.is_balanced()).count();
    if left > 0 {
        note(format!("{left} of {} rows left pins", rows.len()));
        return Ok(Exit::Bad);
    }
    Ok(Exit::Done)
}

fn print(row: &Row) -> Result<()> {
    let line = Line {
        schema: SCHEMA,
        row,
    };
    let mut lines = Lines::new();
    lines.line(serde_json::to_string(&line).context("write a row as JSON")?)?;
    lines.flush()
}

const HEADS: [&str; 9] = [
    "flavour",
    "on",
    "memory",
    "direction",
    "rule",
    "here",
    "once",
    "left",
    "",
];

fn text(rows: &[Row]) -> String {
    let right = ["rule", "here", "once", "left"];
    table(&HEADS, &right, rows.iter().map(cells))
}

fn cells(row: &Row) -> [String; 9] {
    let dash = || "-".to_owned();
    let number = |value: Option<String>| value.unwrap_or_else(dash);
    let pins = row.pins;
    let here = pins.map(|pins| {
        // Whole numbers are the rule; anything else is worth its digits.
        let text = format!("{:.2}", pins.per_page);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    });
    let words = match (&row.skipped, row.is_balanced(), row.differs) {
        (Some(why), ..) => why.clone(),
        (None, false, _) => "PINS LEFT".to_owned(),
        (None, true, true) => "differs".to_owned(),
        (None, true, false) => String::new(),
    };
    [
        word(&row.flavour),
        word(&row.place),
        word(&row.memory),
        row.direction.to_string(),
        row.rule_pins_per_page.to_string(),
        number(here),
        number(pins.map(|pins| pins.once.to_string())),
        number(pins.map(|pins| pins.outstanding.to_string())),
        words,
    ]
}

pub(super) fn word<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use ::lab::census::{Flavour, Pins, PlaceKind};
    use ::lab::{Direction, Memory};

    use super::*;

    fn row(flavour: Flavour, direction: Direction, acquired: u64, outstanding: i64) -> Row {
        Row {
            flavour,
            direction,
            memory: Memory::SharedAnonymous,
            place: PlaceKind::Raw,
            ios: 16,
            pages: 64,
            pins: Some(Pins {
                acquired,
                released: acquired,
                once: 0,
                outstanding,
                per_io: 4.0,
                per_page: acquired as f64 / 64.0,
            }),
            skipped: None,
            rule_pins_per_page: u64::from(direction == Direction::Destination),
            rule: "a rule",
            differs: direction == Direction::Source,
        }
    }

    #[test]
    fn the_table_fits_a_terminal() {
        let skipped = Row {
            pins: None,
            differs: false,
            skipped: Some(
                "mkfs.xfs: a long message of a program that says what is wrong".to_owned(),
            ),
            ..row(Flavour::Pread, Direction::Source, 64, 0)
        };
        let text = text(&[
            row(Flavour::Pread, Direction::Destination, 64, 0),
            row(Flavour::IoUringFixed, Direction::Source, 65, 0),
            row(Flavour::Splice, Direction::Destination, 0, 1),
            skipped,
        ]);
        assert!(
            text.lines().all(|line| line.chars().count() <= 100),
            "{text}"
        );
        insta::assert_snapshot!(text);
    }
}
