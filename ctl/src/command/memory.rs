//! `bvecctl mark` and `bvecctl state`: what a device remembers for rules that wait for it.

use anyhow::Result;
use api::fault::Label;
use api::{RememberRequest, Remembered, call};
use clap::Args;

use crate::context::Context;
use crate::exit::Exit;
use crate::output::{fields, or_dash};

/// A mark to set.
#[derive(Debug, Args)]
#[command(
    after_help = "Rules with `after_mark=LABEL` or `with arm=mark:LABEL` wait for it. It stays until it is forgotten.

Examples:
  bvecctl mark before-checkpoint
  bvecctl mark --forget"
)]
pub(crate) struct Mark {
    /// Its name.
    #[arg(required_unless_present = "forget")]
    label: Option<Label>,
    /// Forget every mark, and the state, first.
    #[arg(long)]
    forget: bool,
    /// The N of /dev/ublkbN; may be left out if there is only one.
    #[arg(long, value_name = "N")]
    dev: Option<u32>,
}

/// A state to enter, or to show.
#[derive(Debug, Args)]
#[command(
    after_help = "Rules with `state=NAME` fire only while the device is in it; rules with `set_state` enter one, too.

Examples:
  bvecctl state
  bvecctl state degraded --dev 0"
)]
pub(crate) struct State {
    /// The state to enter; without it, what the device remembers is shown.
    name: Option<Label>,
    /// The N of /dev/ublkbN; may be left out if there is only one.
    #[arg(long, value_name = "N")]
    dev: Option<u32>,
}

/// Sets a mark.
///
/// # Errors
/// The daemon cannot be reached, or has no such device; there are too many marks.
pub(crate) fn run_mark(mark: &Mark, context: &Context) -> Result<Exit> {
    let device = context.device(mark.dev)?;
    let request = RememberRequest {
        mark: mark.label.clone(),
        state: None,
        forget: mark.forget,
    };
    let remembered = context.ask("set the mark", call::remember(device, &request))?;
    context.output.answer(&remembered, text)?;
    Ok(Exit::Done)
}

/// Enters a state, or shows what is remembered.
///
/// # Errors
/// The daemon cannot be reached, or has no such device.
pub(crate) fn run_state(state: &State, context: &Context) -> Result<Exit> {
    let device = context.device(state.dev)?;
    let call = match &state.name {
        None => call::memory(device),
        Some(name) => {
            let request = RememberRequest {
                state: Some(name.clone()),
                ..RememberRequest::default()
            };
            call::remember(device, &request)
        }
    };
    let remembered = context.ask("ask for the state", call)?;
    context.output.answer(&remembered, text)?;
    Ok(Exit::Done)
}

fn text(remembered: &Remembered) -> String {
    let marks: Vec<String> = remembered.marks.iter().map(ToString::to_string).collect();
    fields([
        ("device", remembered.device.to_string()),
        ("state", or_dash(remembered.state.as_ref())),
        (
            "marks",
            match marks.is_empty() {
                true => "-".to_owned(),
                false => marks.join(" "),
            },
        ),
        ("requests", remembered.requests.to_string()),
        ("epoch", remembered.epoch.to_string()),
    ])
}
