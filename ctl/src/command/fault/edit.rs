//! `bvecctl fault edit`: another rule in the place of one that there is.

use anyhow::Result;
use api::fault::Rule;
use api::{ChangeOptions, call};
use clap::Args;

use super::change::{self, Change};
use crate::context::Context;
use crate::exit::Failure;

pub(super) const EXAMPLES: &str = "\
The rule keeps its name, its place among the others, and its counts: one that has used up its
`count` stays used up. With --reset it starts again.

Examples:
  bvecctl fault edit bad 'fail:MEDIUM where op=read,lba=4096+8 when count=1'
  bvecctl fault edit once 'fail where op=read when count=1' --reset
  bvecctl fault edit slow 'delay:5ms where op=write' --dev 0 --expect-gen 7";

/// A rule, and what it is to be.
#[derive(Debug, Args)]
pub(crate) struct Edit {
    /// The rule's name.
    name: String,
    /// What it does from now on, to which requests, and when.
    words: String,
    /// Start its counts again.
    #[arg(long)]
    reset: bool,
    /// Accept the rule although it can never do anything; the same as `with allow_inert=yes`.
    #[arg(long)]
    allow_inert: bool,
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
    let mut rule = Rule::parse(&edit.name, &edit.words).map_err(|error| Failure::Words {
        name: edit.name.clone(),
        error,
    })?;
    rule.options.allow_inert |= edit.allow_inert;
    let device = context.device(edit.dev)?;
    let options = ChangeOptions {
        reset: edit.reset,
        ..edit.change.options()
    };
    let call = call::replace_rule(device, &rule).under(&options);
    let changed = change::ask(context, "change the rule", call, &options)?;
    context.output.answer(&changed, |changed| {
        format!(
            "{} is now in force on device {} (generation {}): {rule}",
            rule.name, changed.device, changed.generation
        )
    })
}
