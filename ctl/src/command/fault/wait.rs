//! `bvecctl fault wait`: until a rule has fired, or holds, so often.
//!
//! It follows the daemon's events and looks at the rule when one may have changed its counts; nothing is
//! asked while nothing happens.

use anyhow::{Context as _, Result};
use api::ClientError;
use api::{Client, Event, EventKind, EventStream, ProblemCode, RuleStatus, SCHEMA, call};
use clap::Args;

use super::condition::Condition;
use super::{Shown, rule_text};
use crate::context::{Context, refused};
use crate::exit::Failure;
use crate::units::Span;

pub(super) const EXAMPLES: &str = "\
What is counted already counts: a rule that has fired when this is called need not fire again.

Examples:
  bvecctl fault wait bad
  bvecctl fault wait bad 'fired>=3' --timeout 10s
  bvecctl fault wait stop 'held>=1' --dev 0";

/// What to wait for.
#[derive(Debug, Args)]
pub(crate) struct Wait {
    /// The rule's name.
    name: String,
    /// Which count must be reached: fired>=N or held>=N.
    #[arg(default_value = "fired>=1")]
    condition: Condition,
    /// How long to wait at most: seconds, or a time such as 500ms.
    #[arg(long, value_name = "TIME", default_value = "30s")]
    timeout: Span,
    /// The N of /dev/ublkbN; may be left out if there is only one.
    #[arg(long, value_name = "N")]
    dev: Option<u32>,
}

/// Waits.
///
/// # Errors
/// [`Failure::NotMet`] when the time is over or the rule is removed meanwhile; the daemon cannot be reached
/// or has no such device or rule.
pub(super) fn run(wait: &Wait, context: &Context) -> Result<()> {
    let device = context.device(wait.dev)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the client's runtime")?;
    let client = Client::new(&context.socket);
    let Span(limit) = wait.timeout;
    let rule = runtime.block_on(async {
        let met = until(&client, device, &wait.name, wait.condition);
        match tokio::time::timeout(limit, met).await {
            Ok(met) => met,
            Err(_) => Err(wait.too_late(&client, device).await),
        }
    })?;
    let shown = Shown {
        schema: SCHEMA,
        device,
        rule,
    };
    context
        .output
        .answer(&shown, |shown| rule_text(&shown.rule))
}

impl Wait {
    async fn too_late(&self, client: &Client, device: u32) -> anyhow::Error {
        match client.send(call::rule(device, &self.name)).await {
            Ok(status) => {
                let count = self.condition.of(&status);
                let message = format!(
                    "see {} of rule `{}` on device {device}: after {} it is {count}",
                    self.condition, self.name, self.timeout
                );
                Failure::NotMet(message).into()
            }
            Err(error) => refused("show the rule", error),
        }
    }
}

/// Waits until the condition is met, without end.
///
/// # Errors
/// [`Failure::NotMet`] if the rule is removed meanwhile; the daemon cannot be reached or has no such rule.
pub(crate) async fn until(
    client: &Client,
    device: u32,
    name: &str,
    condition: Condition,
) -> Result<RuleStatus> {
    // Before the first look, so that no event after it is missed.
    let mut events = client.new_events().await?;
    let mut was_there = false;
    loop {
        match client.send(call::rule(device, name)).await {
            Ok(status) if condition.is_met(&status) => return Ok(status),
            Ok(_) => was_there = true,
            Err(ClientError::Problem(problem))
                if was_there && problem.code == ProblemCode::NotFound =>
            {
                let message = format!("see {condition} of rule `{name}`: it was removed");
                return Err(Failure::NotMet(message).into());
            }
            Err(error) => return Err(refused("show the rule", error)),
        }
        next(&mut events, device).await?;
    }
}

/// The next event that may have changed a rule's counts. A rule that only added a delay is not named by it, so
/// every rule's is meant.
async fn next(events: &mut EventStream, device: u32) -> Result<()> {
    loop {
        match events.next().await? {
            Some(event) if may_count(&event, device) => return Ok(()),
            Some(_) => {}
            None => {
                let message = "wait for a rule: bvecd ended its events";
                return Err(Failure::NotMet(message.to_owned()).into());
            }
        }
    }
}

fn may_count(event: &Event, device: u32) -> bool {
    let kinds = [
        EventKind::Fired,
        EventKind::Released,
        EventKind::RulesChanged,
        EventKind::Healed,
        EventKind::DeviceDeleted,
    ];
    event.device == Some(device) && kinds.contains(&event.kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_events_that_may_count_wake() {
        let event = |device, kind| Event {
            device: Some(device),
            ..Event::new(1, 1, kind)
        };
        assert!(may_count(&event(0, EventKind::Fired), 0));
        assert!(may_count(&event(0, EventKind::RulesChanged), 0));
        assert!(!may_count(&event(1, EventKind::Fired), 0));
        assert!(!may_count(&event(0, EventKind::Completed), 0));
    }
}
