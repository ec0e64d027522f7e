//! What every change of rules can be told.

use api::{ChangeOptions, RulesChanged};
use clap::Args;

use crate::output::counted;

/// Conditions and manners of a change.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct Change {
    /// Change nothing unless this generation of rules is in force.
    #[arg(long, value_name = "N")]
    expect_gen: Option<u64>,
}

impl Change {
    /// As the daemon is told.
    pub(super) const fn options(self) -> ChangeOptions {
        ChangeOptions {
            expect_generation: self.expect_gen,
            dry_run: false,
        }
    }
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
