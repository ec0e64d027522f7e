//! `bvecctl heal`: no rules, nothing held.

use anyhow::Result;
use api::{Healed, call};
use clap::Args;

use crate::context::Context;
use crate::exit::Exit;
use crate::output::counted;

/// Which devices to heal.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  bvecctl heal\n  bvecctl heal --dev 0")]
pub(crate) struct Arguments {
    /// Only this device [default: all].
    #[arg(long, value_name = "N")]
    dev: Option<u32>,
}

/// Heals them.
///
/// # Errors
/// The daemon cannot be reached, or has no such device.
pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<Exit> {
    let healed = context.ask("heal", call::heal(arguments.dev))?;
    context.output.answer(&healed, text)?;
    Ok(Exit::Done)
}

fn text(healed: &Healed) -> String {
    let devices = u64::try_from(healed.devices.len()).unwrap_or(u64::MAX);
    format!(
        "removed {} and released {} on {}",
        counted(healed.rules_removed, "rule"),
        counted(healed.released, "request"),
        counted(devices, "device")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_is_one_line() {
        let healed = Healed {
            schema: api::SCHEMA,
            devices: vec![0, 1],
            rules_removed: 1,
            released: 3,
        };
        assert_eq!(
            text(&healed),
            "removed 1 rule and released 3 requests on 2 devices"
        );
    }
}
