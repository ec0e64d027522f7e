//! `bvecctl fault edit`: another rule in the place of one that there is.

use anyhow::Result;
use api::call;
use api::fault::Rule;
use clap::Args;

use super::change::Change;
use crate::context::Context;
use crate::exit::Failure;

pub(super) const EXAMPLES: &str = "\
The rule keeps its name and its place among the others. It starts its counts again.

Examples:
  bvecctl fault edit bad 'fail:MEDIUM where op=read,lba=4096+8 when count=1'
  bvecctl fault edit slow 'delay:5ms where op=write' --dev 0 --expect-gen 7";

/// A rule, and what it is to be.
#[derive(Debug, Args)]
pub(crate) struct Edit {
    /// The rule's name.
    name: String,
    /// What it does from now on, to which requests, and when.
    words: String,
    #[command(flatten)]
    change: Change,
    /// The N of /dev/ublkbN; may be left out if there is only one.
    #[arg(long, value_name = "N")]
    dev: Option<u32>,
}

/// Changes it.
///
/// # Errors
/// The words are not a rule; there is no such rule; the daemon cannot be reached.
pub(super) fn run(edit: &Edit, context: &Context) -> Result<()> {
    let rule = Rule::parse(&edit.name, &edit.words).map_err(|error| Failure::Words {
        name: edit.name.clone(),
        error,
    })?;
    let device = context.device(edit.dev)?;
    let call = call::replace_rule(device, &rule).under(&edit.change.options());
    let changed = context.ask("change the rule", call)?;
    context.output.answer(&changed, |changed| {
        format!(
            "{} is now in force on device {} (generation {}): {rule}",
            rule.name, changed.device, changed.generation
        )
    })
}
