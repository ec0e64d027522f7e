//! When a rule fires, among the requests it selects.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::ValueError;

/// The `when` of a rule. Without any trigger it fires on every request it selects.
///
/// The steps are taken in this order, each on what the one before let through: `skip`, then `nth` or
/// `every`, then `prob`, then `count`. Requests are counted over the whole device, whatever their queue.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Trigger {
    /// Chance to fire, 0 to 1; 1 if absent. 0 never fires and 1 never draws.
    #[serde(default, skip_serializing_if = "Option::is_none")]
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
    /// Selected requests to let pass first; none if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip: Option<u64>,
    /// How often to fire at most; without limit if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub count: Option<u64>,
    /// Seed of this rule's draws; that of the rule set if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

impl Trigger {
    /// Whether the rule fires on every request it selects.
    #[must_use]
    pub fn is_always(&self) -> bool {
        *self == Self::default()
    }
}

/// The canonical words after `when`; nothing if the rule always fires.
impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        if let Some(prob) = self.prob {
            write!(f, "prob={prob}")?;
            comma = ",";
        }
        let counts = [
            ("nth", self.nth),
            ("every", self.every),
            ("skip", self.skip),
            ("count", self.count),
            ("seed", self.seed),
        ];
        for (name, count) in counts {
            if let Some(count) = count {
                write!(f, "{comma}{name}={count}")?;
                comma = ",";
            }
        }
        Ok(())
    }
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
