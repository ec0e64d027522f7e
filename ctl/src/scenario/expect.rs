//! What a scenario says must be so: counts of rules, events, and what the device is doing.

use std::fmt;

use anyhow::Result;
use api::fault::Op;
use api::{Client, Event, EventKind, RuleStatus, call};
use serde::Deserialize;

use super::amount::Amount;
use crate::command::dev::word;
use crate::context::refused;

/// `expect = { rule = {...} }`, `{ events = {...} }` or `{ stats = {...} }`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Expect {
    /// The counts of a rule.
    Rule(OfRule),
    /// How many events there were since the scenario began.
    Events(Pattern),
    /// What the device is doing.
    Stats(OfDevice),
}

/// Counts of a rule, as `fault show` has them.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OfRule {
    pub(super) name: String,
    matched: Option<Amount>,
    fired: Option<Amount>,
    skipped: Option<Amount>,
    prob_miss: Option<Amount>,
    exhausted: Option<Amount>,
    shadowed: Option<Amount>,
    held: Option<Amount>,
}

/// Events of one kind, about this rule, operation, place and result if they are given.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pattern {
    kind: EventKind,
    rule: Option<String>,
    op: Option<Op>,
    sector: Option<Amount>,
    sectors: Option<Amount>,
    result: Option<Amount>,
    #[serde(default = "at_least_one")]
    count: Amount,
}

/// Counts of the device, as `stats` has them; `errors` over all operations.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OfDevice {
    inflight: Option<Amount>,
    held: Option<Amount>,
    delayed: Option<Amount>,
    errors: Option<Amount>,
    backing_errors: Option<Amount>,
}

#[expect(clippy::unwrap_used, reason = "a constant that the tests read")]
fn at_least_one() -> Amount {
    ">=1".parse().unwrap()
}

impl Expect {
    /// What is not so, in words; none if it is.
    pub(super) async fn judge(
        &self,
        client: &Client,
        device: u32,
        since: u64,
    ) -> Result<Option<String>> {
        Ok(match self {
            Self::Rule(expected) => {
                let status = client.send(call::rule(device, &expected.name)).await;
                let status = status.map_err(|error| refused("show the rule", error))?;
                expected.judge(&status)
            }
            Self::Events(pattern) => {
                let mut events = client.events(Some(since), false).await?;
                let mut found = 0_u64;
                while let Some(event) = events.next().await? {
                    found += u64::from(pattern.fits(&event, device));
                }
                pattern.judge(found)
            }
            Self::Stats(expected) => {
                let stats = client.send(call::stats(device)).await;
                let stats = stats.map_err(|error| refused("show the statistics", error))?;
                let errors = stats.ops.iter().map(|op| op.errors).sum();
                first_wrong(&[
                    ("inflight", expected.inflight, stats.inflight),
                    ("held", expected.held, stats.held),
                    ("delayed", expected.delayed, stats.delayed),
                    ("errors", expected.errors, errors),
                    (
                        "backing_errors",
                        expected.backing_errors,
                        stats.backing_errors,
                    ),
                ])
            }
        })
    }

    /// Whether anything is expected at all.
    pub(super) fn says_something(&self) -> bool {
        match self {
            Self::Rule(rule) => rule
                .counts(&[0; 7])
                .iter()
                .any(|(_, amount, _)| amount.is_some()),
            Self::Events(_) => true,
            Self::Stats(stats) => [
                stats.inflight,
                stats.held,
                stats.delayed,
                stats.errors,
                stats.backing_errors,
            ]
            .iter()
            .any(Option::is_some),
        }
    }
}

impl OfRule {
    fn counts(&self, found: &[u64; 7]) -> [(&'static str, Option<Amount>, u64); 7] {
        [
            ("matched", self.matched, found[0]),
            ("fired", self.fired, found[1]),
            ("skipped", self.skipped, found[2]),
            ("prob_miss", self.prob_miss, found[3]),
            ("exhausted", self.exhausted, found[4]),
            ("shadowed", self.shadowed, found[5]),
            ("held", self.held, found[6]),
        ]
    }

    fn judge(&self, status: &RuleStatus) -> Option<String> {
        let counters = &status.counters;
        first_wrong(&self.counts(&[
            counters.matched,
            counters.fired,
            counters.skipped,
            counters.prob_miss,
            counters.exhausted,
            counters.shadowed,
            status.held.into(),
        ]))
    }
}

impl Pattern {
    fn fits(&self, event: &Event, device: u32) -> bool {
        let is = |amount: Option<Amount>, found: Option<i128>| {
            amount.is_none_or(|amount| found.is_some_and(|found| amount.is_met(found)))
        };
        event.kind == self.kind
            && event.device.is_none_or(|id| id == device)
            && (self.rule.is_none() || self.rule == event.rule)
            && (self.op.is_none() || self.op == event.op)
            && is(self.sector, event.sector.map(|sector| sector.0.into()))
            && is(self.sectors, event.sectors.map(Into::into))
            && is(self.result, event.result.map(Into::into))
    }

    fn judge(&self, found: u64) -> Option<String> {
        let wrong = !self.count.is_met(found);
        wrong.then(|| format!("there are {found} such events, expected {}", self.count))
    }
}

fn first_wrong(counts: &[(&str, Option<Amount>, u64)]) -> Option<String> {
    counts.iter().find_map(|(name, expected, found)| {
        let expected = (*expected)?;
        let wrong = !expected.is_met(*found);
        wrong.then(|| format!("{name} is {found}, expected {expected}"))
    })
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = |f: &mut fmt::Formatter<'_>, counts: &[(&str, Option<Amount>)]| {
            let given = counts
                .iter()
                .filter_map(|(n, a)| a.map(|a| format!(" {n}={a}")));
            f.write_str(&given.collect::<String>())
        };
        match self {
            Self::Rule(rule) => {
                write!(f, "rule {}", rule.name)?;
                said(
                    f,
                    &rule.counts(&[0; 7]).map(|(name, amount, _)| (name, amount)),
                )
            }
            Self::Events(events) => {
                write!(f, "{} events {}", events.count, word(&events.kind))?;
                if let Some(rule) = &events.rule {
                    write!(f, " of {rule}")?;
                }
                if let Some(op) = events.op {
                    write!(f, " {op}")?;
                }
                said(
                    f,
                    &[
                        ("sector", events.sector),
                        ("sectors", events.sectors),
                        ("result", events.result),
                    ],
                )
            }
            Self::Stats(stats) => {
                f.write_str("stats")?;
                said(
                    f,
                    &[
                        ("inflight", stats.inflight),
                        ("held", stats.held),
                        ("delayed", stats.delayed),
                        ("errors", stats.errors),
                        ("backing_errors", stats.backing_errors),
                    ],
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use api::fault::Sector;

    use super::*;

    fn read(json: &str) -> Expect {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn events_are_counted_by_what_is_given() {
        let expect =
            read(r#"{"events":{"kind":"completed","rule":"bad","result":-61,"sector":"8..16"}}"#);
        let Expect::Events(pattern) = &expect else {
            panic!("{expect:?}");
        };
        let event = |rule: &str, sector, result| Event {
            device: Some(0),
            rule: Some(rule.to_owned()),
            sector: Some(Sector(sector)),
            result: Some(result),
            ..Event::new(1, 1, EventKind::Completed)
        };
        assert!(pattern.fits(&event("bad", 8, -61), 0));
        assert!(!pattern.fits(&event("bad", 8, -61), 1));
        assert!(!pattern.fits(&event("bad", 16, -61), 0));
        assert!(!pattern.fits(&event("bad", 8, 4096), 0));
        assert!(!pattern.fits(&event("other", 8, -61), 0));
        assert_eq!(pattern.judge(1), None);
        assert_eq!(
            pattern.judge(0).unwrap(),
            "there are 0 such events, expected >=1"
        );
        assert_eq!(
            expect.to_string(),
            ">=1 events completed of bad sector=8..16 result=-61"
        );
    }

    #[test]
    fn the_first_count_that_is_wrong_is_told() {
        let expect = read(r#"{"rule":{"name":"bad","fired":1,"matched":">=2"}}"#);
        assert!(expect.says_something());
        assert_eq!(expect.to_string(), "rule bad matched=>=2 fired=1");
        let Expect::Rule(rule) = expect else {
            panic!();
        };
        let wrong = |counts| first_wrong(&rule.counts(&counts));
        assert_eq!(wrong([2, 1, 0, 0, 0, 0, 0]), None);
        assert_eq!(
            wrong([2, 3, 0, 0, 0, 0, 0]).unwrap(),
            "fired is 3, expected 1"
        );
        assert!(!read(r#"{"rule":{"name":"bad"}}"#).says_something());
        assert!(serde_json::from_str::<Expect>(r#"{"stats":{"colour":1}}"#).is_err());
    }
}
