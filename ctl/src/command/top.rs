//! `bvecctl top`: what the devices are doing, again and again.

mod rates;
mod sample;
mod screen;
mod text;

use std::io::{IsTerminal, stdout};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;

use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::output::Lines;
use crate::units::Span;
use rates::View;
use sample::Sampler;

/// The shortest interval: below it the asking itself shows.
const SHORTEST: Duration = Duration::from_millis(100);

/// How long a pause lasts before Ctrl-C is looked for again.
const PATIENCE: Duration = Duration::from_millis(50);

/// What to show, and how often.
#[derive(Debug, Args)]
#[command(
    after_help = "On a terminal the view is renewed until `q` or Ctrl-C; a blank pauses it. Elsewhere, and with
--once, one table is printed. With --json there is one object a line for each interval.

Latencies are the kernel's own means over the interval (/sys/block/ublkbN/stat); bvecd reads no
clock for them. A held or delayed request counts when it completes.

Examples:
  bvecctl top
  bvecctl top --dev 0 --interval 500ms
  bvecctl top --once
  bvecctl top --json --count 10"
)]
pub(crate) struct Arguments {
    /// Only this device [default: all].
    #[arg(long, value_name = "N")]
    dev: Option<u32>,
    /// How much time each view is about; at least 100ms.
    #[arg(long, value_name = "TIME", default_value = "1s")]
    interval: Span,
    /// Print one table and end.
    #[arg(long)]
    once: bool,
    /// End after so many views.
    #[arg(long, value_name = "K", conflicts_with = "once", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

/// Shows them.
///
/// # Errors
/// The daemon cannot be reached or has no such device; the interval is too short.
pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<Exit> {
    let Span(interval) = arguments.interval;
    if interval < SHORTEST {
        let message = format!(
            "use --interval {}: found less than 100ms, expected 100ms or more",
            arguments.interval
        );
        return Err(Failure::Input(message).into());
    }
    let sampler = Sampler::new(context, arguments.dev)?;
    let interrupt = Interrupt::watch()?;
    let is_live = stdout().is_terminal() && !arguments.once && !context.output.is_json();
    if is_live {
        screen::run(&sampler, interval, arguments.count, &interrupt)?;
    } else {
        let views = match (arguments.once, context.output.is_json()) {
            (false, true) => arguments.count.unwrap_or(u64::MAX),
            (false, false) => arguments.count.unwrap_or(1),
            (true, _) => 1,
        };
        stream(&sampler, interval, views, context, &interrupt)?;
    }
    Ok(Exit::Done)
}

/// Prints so many views. Ctrl-C ends it, and is how it is meant to end.
fn stream(
    sampler: &Sampler<'_>,
    interval: Duration,
    views: u64,
    context: &Context,
    interrupt: &Interrupt,
) -> Result<()> {
    let mut before = sampler.take()?;
    let mut lines = Lines::new();
    for number in 0..views {
        if !pause(interval, interrupt) {
            break;
        }
        let now = sampler.take()?;
        let view = View::between(&before, &now);
        before = now;
        if context.output.is_json() {
            lines.line(serde_json::to_string(&view).context("write a view as JSON")?)?;
        } else {
            if number > 0 {
                lines.line("")?;
            }
            lines.line(text::of(&view))?;
        }
        lines.flush()?;
    }
    Ok(())
}

/// Lets the time pass; false if the user wants it to end.
fn pause(interval: Duration, interrupt: &Interrupt) -> bool {
    let mut left = interval;
    while !left.is_zero() {
        if interrupt.is_raised() {
            return false;
        }
        let step = left.min(PATIENCE);
        thread::sleep(step);
        left -= step;
    }
    !interrupt.is_raised()
}
