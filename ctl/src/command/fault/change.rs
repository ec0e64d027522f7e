//! What every change of rules can be told.

use std::time::Duration;

use anyhow::Result;
use api::fault::MAX_PARK_NS;
use api::{BlockingClient, Call, ChangeOptions, RulesChanged};
use clap::Args;

use crate::context::{Context, refused};
use crate::output::counted;

pub(super) const RM_EXAMPLES: &str = "\
What the rule holds or delays goes on, or fails, as its `on_remove` says. With --drain this returns
when every request that the rule has touched is answered: from then on nothing that clients see is
its doing. A rule that hangs requests with `on_remove=expire` makes --drain wait for ever.

Examples:
  bvecctl fault rm bad
  bvecctl fault rm slow --dev 0 --drain";

/// Longer than any request can wait for a rule, but for one that hangs.
const DRAINED: Duration =
    Duration::from_nanos(MAX_PARK_NS).saturating_add(Duration::from_secs(600));

/// Conditions and manners of a change.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct Change {
    /// Change nothing unless this generation of rules is in force.
    #[arg(long, value_name = "N")]
    expect_gen: Option<u64>,
    /// Return when every request is answered that a rule which is removed or changed has touched.
    #[arg(long)]
    drain: bool,
}

impl Change {
    /// As the daemon is told.
    pub(super) const fn options(self) -> ChangeOptions {
        ChangeOptions {
            expect_generation: self.expect_gen,
            dry_run: false,
            drain: self.drain,
            reset: false,
        }
    }
}

/// Asks for a change, and waits as long as it may take.
///
/// # Errors
/// The daemon cannot be reached or refuses.
pub(super) fn ask(
    context: &Context,
    what: &str,
    call: Call<RulesChanged>,
    options: &ChangeOptions,
) -> Result<RulesChanged> {
    let sent = client(context, options)?.send(call);
    sent.map_err(|error| refused(what, error))
}

/// A client that waits as long as a change may take.
///
/// # Errors
/// The system refuses what a client needs.
pub(super) fn client(context: &Context, options: &ChangeOptions) -> Result<BlockingClient> {
    let client = context.client()?;
    Ok(match options.drain {
        true => client.with_timeout(DRAINED),
        false => client,
    })
}

/// How a change went: `WHAT (generation 5, 1 rule left) and released 2 requests`.
pub(super) fn text(what: &str, changed: &RulesChanged) -> String {
    let rules = counted(changed.rules, "rule");
    let mut text = format!(
        "{what} device {} (generation {}, {rules} now)",
        changed.device, changed.generation
    );
    if changed.released > 0 {
        text.push_str(&format!(
            " and released {}",
            counted(changed.released, "request")
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use api::SCHEMA;

    use super::*;

    #[test]
    fn a_change_says_what_is_there_now() {
        let changed = RulesChanged {
            schema: SCHEMA,
            device: 0,
            generation: 5,
            rules: 1,
            released: 2,
        };
        assert_eq!(
            text("removed bad from", &changed),
            "removed bad from device 0 (generation 5, 1 rule now) and released 2 requests"
        );
    }
}
