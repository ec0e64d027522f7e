//! `lab run`.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::Result;
use api::Driver;
use clap::Args;
use lab::{
    Experiment, Lab, LabError, Settings, Tally, Verdict, Version, experiments, in_order, shuffled,
};
use nix::unistd::geteuid;

use super::{find, text};
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::output::note;

/// What stands before the name of an experiment that begins.
pub(super) const BEGINS: &str = "begins ";

/// Which experiments, and how.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The experiments [default: all].
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Run each so many times.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
    /// Run them in an order drawn from this seed, in rounds [default: in the order of the list].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    seed: Option<u64>,
    /// Run each again for so many seconds.
    #[arg(long, value_name = "N")]
    seconds: Option<u64>,
    /// Run those that may harm the machine, too: in a virtual machine.
    #[arg(long)]
    dangerous: bool,
    #[command(flatten)]
    how: How,
    /// Say on standard error which one begins.
    #[arg(long, hide = true)]
    announce: bool,
}

/// What is the same for a run here and for runs in virtual machines.
#[derive(Debug, Clone, Args)]
pub(super) struct How {
    /// What makes the block devices: ublk or nbd [default: ublk, or nbd on a kernel without ublk].
    #[arg(long, value_name = "DRIVER", value_parser = driver)]
    pub(super) driver: Option<Driver>,
    /// Compare with what is known of this version, such as 7.2, rather than of the kernel that runs.
    #[arg(long, value_name = "VERSION", value_parser = version)]
    pub(super) judge_as: Option<Version>,
}

fn driver(text: &str) -> std::result::Result<Driver, String> {
    text.parse().map_err(|_| "should be ublk or nbd".to_owned())
}

fn version(text: &str) -> std::result::Result<Version, String> {
    let wrong = || "should be a version such as 7.2".to_owned();
    Version::of_release(text).ok_or_else(wrong)
}

/// Runs them.
///
/// # Errors
/// A right or a program is missing, the daemon fails, or the user interrupts; nothing is held then.
pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Exit> {
    let chosen = choose(&arguments.names)?;
    if !geteuid().is_root() {
        let message = "run experiments: they need root, to make devices and to count pages; \
                       `cargo xtask lab` runs them in a virtual machine";
        return Err(Failure::Missing(message.to_owned()).into());
    }
    let interrupt = Interrupt::watch()?;
    let lab = Lab::open(interrupt.flag())?;
    let settings = settings(arguments);
    if let Some(driver) = settings.driver
        && let Some(why) = lab.refusal(driver)
    {
        return Err(Failure::Missing(format!("use the driver {driver}: {why}")).into());
    }
    let time = Duration::from_secs(arguments.seconds.unwrap_or(0));
    let colour = text::wanted(context.output);
    let mut tally = Tally::new(lab.kernel());
    let order = match arguments.seed {
        Some(seed) => shuffled(&chosen, arguments.repeat, seed),
        None => in_order(&chosen, arguments.repeat),
    };
    let mut hopeless = BTreeSet::new();
    for experiment in order {
        let (begin, mut first) = (Instant::now(), true);
        while (first || begin.elapsed() < time) && !hopeless.contains(experiment.name) {
            first = false;
            interrupt.check()?;
            if arguments.announce {
                note(format!("{BEGINS}{}", experiment.name));
            }
            let outcome = lab.run(experiment, &settings, interrupt.flag());
            let outcome = outcome.map_err(|error| match error {
                LabError::Interrupted => Failure::Interrupted.into(),
                error => anyhow::Error::new(error),
            })?;
            tally.add(&outcome);
            context
                .output
                .answer(&outcome, |outcome| text::outcome(outcome, colour))?;
            // What cannot be done now cannot be done again.
            if outcome.verdict == Verdict::Skipped {
                hopeless.insert(experiment.name);
            }
        }
    }
    lab.close()?;
    context.output.answer(&tally, text::tally)?;
    end(&tally)
}

fn settings(arguments: &Arguments) -> Settings {
    Settings {
        seed: arguments.seed.unwrap_or(0),
        vm: arguments.dangerous,
        driver: arguments.how.driver,
        judged_as: arguments.how.judge_as,
    }
}

/// The experiments that are meant, in the order in which they were named.
pub(super) fn choose(names: &[String]) -> Result<Vec<&'static Experiment>> {
    if names.is_empty() {
        return Ok(experiments::all().collect());
    }
    names.iter().map(|name| find(name)).collect()
}

fn end(tally: &Tally) -> Result<Exit> {
    if tally.violated > 0 {
        return Ok(Exit::Bad);
    }
    if tally.changed > 0 {
        return Ok(Exit::Differs);
    }
    if tally.holds == 0 && tally.skipped > tally.not_applicable {
        let message = "ask anything: something that is needed is missing, see above";
        return Err(Failure::Missing(message.to_owned()).into());
    }
    if tally.skipped > tally.not_applicable {
        note("some experiments were skipped because something is missing");
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(holds: u32, violated: u32, skipped: u32, not_applicable: u32) -> Tally {
        Tally {
            holds,
            violated,
            skipped,
            not_applicable,
            ..Tally::new("7.3.4")
        }
    }

    #[test]
    fn the_exit_code_is_the_answer() {
        assert_eq!(end(&tally(3, 0, 1, 0)).unwrap(), Exit::Done);
        assert_eq!(end(&tally(0, 0, 2, 2)).unwrap(), Exit::Done);
        assert_eq!(end(&tally(3, 1, 0, 0)).unwrap(), Exit::Bad);
        let changed = Tally {
            changed: 1,
            ..tally(3, 1, 0, 0)
        };
        assert_eq!(end(&changed).unwrap(), Exit::Bad);
        let only_changed = Tally {
            violated: 0,
            ..changed
        };
        assert_eq!(end(&only_changed).unwrap(), Exit::Differs);
        assert!(end(&tally(0, 0, 2, 1)).is_err());
    }

    #[test]
    fn an_unknown_name_is_an_input_error_with_a_hint() {
        let error = choose(&["pin-sourc".to_owned()]).unwrap_err();
        assert!(
            error.to_string().contains("did you mean pin-source"),
            "{error}"
        );
        let error = choose(&["zzz".to_owned()]).unwrap_err();
        assert!(error.to_string().contains("lab list"), "{error}");
    }
}
