//! When a rule fires, among the requests it selects.

mod moment;
mod rate;
mod sequence;

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::ValueError;
use crate::facts::ActionSet;
use crate::label::Label;
use crate::notation::maybe_prob;

pub use moment::{Interval, Moment};
pub use rate::Rate;
pub use sequence::Sequence;

/// The `when` of a rule. Without any trigger it fires on every request it selects.
///
/// The steps are taken in this order, each on what the one before let through: armed and enabled, `state`,
/// `after_mark`, `from`, `until`, `during`, `skip`, then `nth`, `every` or `seq`, then `prob`, then `count`
/// and `rate`. Requests are counted over the whole device, whatever their queue, and only those that reach
/// a step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Trigger {
    /// Only while the device is in this state, which `set_state` or a command enters; `start` until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub state: Option<Label>,
    /// Only after this mark was set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub after_mark: Option<Label>,
    /// Only from this moment on, since the rule was armed: `5s`, `op:1000` or `epoch:7`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "5s")]
    pub from: Option<Moment>,
    /// Only before this moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "op:1000")]
    pub until: Option<Moment>,
    /// Only while the device is down, of `UP/DOWN` or `UP/DOWN/PHASE` since the rule was armed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "3s/500ms")]
    pub during: Option<Interval>,
    /// Chance to fire, 0 to 1; 1 if absent. 0 never fires and 1 never draws.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "maybe_prob")]
    #[schema(minimum = 0, maximum = 1)]
    pub prob: Option<f64>,
    /// Only the n-th selected request after those skipped, counted from 1. Not together with `every`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub nth: Option<u64>,
    /// Only each n-th selected request after those skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub every: Option<u64>,
    /// Turn by turn after those skipped: `x` fires, `w` lets pass, the last one, `X` or `W`, for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "xxwxW")]
    pub seq: Option<Sequence>,
    /// Selected requests to let pass first; none if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip: Option<u64>,
    /// How often to fire at most; without limit if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub count: Option<u64>,
    /// How often to fire in a time at most: `10/s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "10/s")]
    pub rate: Option<Rate>,
    /// Seed of this rule's draws; that of the rule set if absent. Not together with that of `with`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

impl Trigger {
    /// Whether the rule fires on every request it selects.
    #[must_use]
    pub fn is_always(&self) -> bool {
        *self == Self::default()
    }

    /// What the daemon must be able to tell of a request.
    #[must_use]
    pub fn needs(&self) -> ActionSet {
        let mut needs = ActionSet::empty();
        for moment in self.moments() {
            needs |= match moment {
                Moment::Time(_) => ActionSet::empty(),
                Moment::Op(_) => ActionSet::ORDINAL,
                Moment::Epoch(_) => ActionSet::EPOCH,
            };
        }
        needs
    }

    /// Whether it depends on the time that passes.
    #[must_use]
    pub fn needs_clock(&self) -> bool {
        self.rate.is_some()
            || self
                .moments()
                .any(|moment| matches!(moment, Moment::Time(_)))
    }

    fn moments(&self) -> impl Iterator<Item = Moment> {
        let turns = self.during.map(|interval| interval.up);
        [self.from, self.until, turns].into_iter().flatten()
    }
}

/// The canonical words after `when`; nothing if the rule always fires.
impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        let mut put = |key: &str, value: Option<&dyn fmt::Display>| match value {
            Some(value) => {
                write!(f, "{comma}{key}={value}")?;
                comma = ",";
                Ok(())
            }
            None => Ok(()),
        };
        put("state", shown(self.state.as_ref()))?;
        put("after_mark", shown(self.after_mark.as_ref()))?;
        put("from", shown(self.from.as_ref()))?;
        put("until", shown(self.until.as_ref()))?;
        put("during", shown(self.during.as_ref()))?;
        put("prob", shown(self.prob.as_ref()))?;
        put("nth", shown(self.nth.as_ref()))?;
        put("every", shown(self.every.as_ref()))?;
        put("seq", shown(self.seq.as_ref()))?;
        put("skip", shown(self.skip.as_ref()))?;
        put("count", shown(self.count.as_ref()))?;
        put("rate", shown(self.rate.as_ref()))?;
        put("seed", shown(self.seed.as_ref()))
    }
}

fn shown<T: fmt::Display>(value: Option<&T>) -> Option<&dyn fmt::Display> {
    value.map(|value| value as &dyn fmt::Display)
}

/// Reads a probability: `0.1`, `1e-6`, `10%` or `1:1000`.
///
/// # Errors
/// The text is none of these, or its value is outside 0 to 1.
pub fn parse_prob(text: &str) -> Result<f64, ValueError> {
    const EXPECTED: &str = "a probability from 0 to 1, such as 0.1, 10% or 1:1000";
    let value = if let Some(percent) = text.strip_suffix('%') {
        percent.parse::<f64>().ok().map(|percent| percent / 100.0)
    } else if let Some((part, whole)) = text.split_once(':') {
        part.parse::<f64>()
            .ok()
            .zip(whole.parse::<f64>().ok())
            .map(|(part, whole)| part / whole)
    } else {
        text.parse::<f64>().ok()
    };
    // The range also refuses the NaN of `0:0` and of `nan`.
    match value {
        // -0.0 lies in the range too, but would not be written back as 0.
        Some(prob) if (0.0..=1.0).contains(&prob) => Ok(prob.abs()),
        _ => Err(ValueError::new(0, text, EXPECTED)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_probability_is_read() {
        for (text, prob) in [
            ("0", 0.0),
            ("1", 1.0),
            ("0.25", 0.25),
            ("10%", 0.1),
            ("1:1000", 0.001),
            ("1e-6", 1e-6),
        ] {
            assert_eq!(parse_prob(text), Ok(prob), "{text}");
        }
    }

    #[test]
    fn what_is_no_probability_is_refused() {
        for text in [
            "", "x", "1.1", "-0.1", "101%", "0:0", "2:1", "nan", "inf", "%", "1:",
        ] {
            assert!(parse_prob(text).is_err(), "{text}");
        }
    }
}
