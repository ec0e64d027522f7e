//! `bvecctl fault enable`, `disable`, `arm` and `disarm`.

use anyhow::Result;
use api::{SCHEMA, SwitchRequest, call};

use super::{Named, Shown, rule_text};
use crate::context::Context;

/// What becomes of a rule.
#[derive(Debug, Clone, Copy)]
pub(super) enum Switch {
    Enable,
    Disable,
    Arm,
    Disarm,
}

/// Does it. The rule's counts stay, and so does the generation.
///
/// # Errors
/// The daemon cannot be reached, or has no such device or rule.
pub(super) fn run(switch: Switch, named: &Named, context: &Context) -> Result<()> {
    let request = match switch {
        Switch::Enable | Switch::Disable => SwitchRequest {
            enabled: Some(matches!(switch, Switch::Enable)),
            ..SwitchRequest::default()
        },
        Switch::Arm | Switch::Disarm => SwitchRequest {
            armed: Some(matches!(switch, Switch::Arm)),
            ..SwitchRequest::default()
        },
    };
    let device = context.device(named.of.dev)?;
    let call = call::switch_rule(device, &named.name, &request);
    let shown = Shown {
        schema: SCHEMA,
        device,
        rule: context.ask("switch the rule", call)?,
    };
    context
        .output
        .answer(&shown, |shown| rule_text(&shown.rule))
}
