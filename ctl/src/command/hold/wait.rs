//! `bvecctl hold wait`: until requests are held.
//!
//! It follows the daemon's events and lists the holds when one tells of another; nothing is asked while
//! nothing happens.

use std::time::Duration;

use anyhow::{Context as _, Result};
use api::{Client, Decision, Event, EventKind, EventStream, HoldList, call};
use clap::Args;

use super::list_text;
use crate::context::{Context, refused};
use crate::exit::Failure;
use crate::output::counted;
use crate::units::Span;

/// The daemon tells of a hold just before it lists it, so the list is asked for once more.
const ONCE_MORE: Duration = Duration::from_millis(50);

/// What to wait for.
#[derive(Debug, Args)]
pub(crate) struct Wait {
    /// The N of /dev/ublkbN; may be left out if there is only one.
    #[arg(long, value_name = "N")]
    dev: Option<u32>,
    /// Only requests that the rule of this name holds.
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    /// How many must be held at the same time.
    #[arg(long, value_name = "K", default_value_t = 1)]
    count: usize,
    /// How long to wait at most: seconds, or a time such as 500ms.
    #[arg(long, value_name = "TIME", default_value = "30s")]
    timeout: Span,
}

/// Waits.
///
/// # Errors
/// [`Failure::NotMet`] when the time is over; the daemon cannot be reached or has no such device.
pub(super) fn run(wait: &Wait, context: &Context) -> Result<()> {
    let device = context.device(wait.dev)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the client's runtime")?;
    let Span(limit) = wait.timeout;
    let client = Client::new(&context.socket);
    let held = runtime.block_on(async {
        match tokio::time::timeout(limit, wait.until_held(&client, device)).await {
            Ok(held) => held,
            Err(_) => Err(wait.too_late(&client, device).await),
        }
    })?;
    context.output.answer(&held, list_text)
}

impl Wait {
    async fn until_held(&self, client: &Client, device: u32) -> Result<HoldList> {
        // Before the first list, so that no event after it is missed.
        let mut events = client.new_events().await?;
        let mut once_more = false;
        loop {
            let held = self.held(client, device).await?;
            if held.holds.len() >= self.count {
                return Ok(held);
            }
            let next = self.next(&mut events, device);
            once_more = if once_more {
                match tokio::time::timeout(ONCE_MORE, next).await {
                    Ok(next) => next.map(|()| true)?,
                    Err(_) => false,
                }
            } else {
                next.await.map(|()| true)?
            };
        }
    }

    /// The next event that tells of such a hold.
    async fn next(&self, events: &mut EventStream, device: u32) -> Result<()> {
        loop {
            match events.next().await? {
                Some(event) if self.is_meant(&event, device) => return Ok(()),
                Some(_) => {}
                None => {
                    let message = "wait for a held request: bvecd ended its events";
                    return Err(Failure::NotMet(message.to_owned()).into());
                }
            }
        }
    }

    fn is_meant(&self, event: &Event, device: u32) -> bool {
        let rule_fits = self.rule.is_none() || self.rule == event.rule;
        // A delay that ends in a hold is told as a release that decides to hold.
        let may_hold = matches!(event.kind, EventKind::Fired | EventKind::Released)
            && event.decision == Some(Decision::Hold);
        event.device == Some(device) && rule_fits && may_hold
    }

    async fn held(&self, client: &Client, device: u32) -> Result<HoldList> {
        let list = client.send(call::holds(device)).await;
        let mut list = list.map_err(|error| refused("list the held requests", error))?;
        let is_meant = |rule: &str| self.rule.as_ref().is_none_or(|meant| rule == meant);
        list.holds.retain(|hold| is_meant(&hold.rule));
        Ok(list)
    }

    async fn too_late(&self, client: &Client, device: u32) -> anyhow::Error {
        let count = match self.held(client, device).await {
            Ok(held) => held.holds.len(),
            Err(error) => return error,
        };
        let by = self
            .rule
            .as_ref()
            .map_or_else(String::new, |rule| format!(" by rule `{rule}`"));
        let message = format!(
            "see {} held{by} on device {device}: after {} there are {count}",
            counted(u64::try_from(self.count).unwrap_or(u64::MAX), "request"),
            self.timeout
        );
        Failure::NotMet(message).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_holds_of_the_device_and_rule_are_meant() {
        let wait = Wait {
            dev: None,
            rule: Some("stop".to_owned()),
            count: 1,
            timeout: Span(Duration::from_secs(1)),
        };
        let event = |device, rule: &str, kind, decision| Event {
            device: Some(device),
            rule: Some(rule.to_owned()),
            decision: Some(decision),
            ..Event::new(1, 1, kind)
        };
        let held = event(0, "stop", EventKind::Fired, Decision::Hold);
        assert!(wait.is_meant(&held, 0));
        assert!(wait.is_meant(&event(0, "stop", EventKind::Released, Decision::Hold), 0));
        for other in [
            event(1, "stop", EventKind::Fired, Decision::Hold),
            event(0, "other", EventKind::Fired, Decision::Hold),
            event(0, "stop", EventKind::Fired, Decision::Delay),
            event(0, "stop", EventKind::Completed, Decision::Hold),
        ] {
            assert!(!wait.is_meant(&other, 0), "{other:?}");
        }
    }
}
