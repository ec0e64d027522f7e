//! What can be waited for: `fired>=3`.

use std::fmt;
use std::str::FromStr;

use api::RuleStatus;

/// A count of a rule that must reach a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Condition {
    count: Count,
    least: u64,
}

/// The counts whose growth the daemon tells as an event. Nothing tells of a request that a rule let pass, so
/// nobody could wait for that without asking again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Count {
    Fired,
    Held,
}

impl Condition {
    /// The rule has fired so often.
    pub(crate) const fn fired(least: u64) -> Self {
        Self {
            count: Count::Fired,
            least,
        }
    }

    /// The rule holds so many requests.
    pub(crate) const fn held(least: u64) -> Self {
        Self {
            count: Count::Held,
            least,
        }
    }

    /// The count as it is.
    pub(crate) fn of(self, status: &RuleStatus) -> u64 {
        match self.count {
            Count::Fired => status.counters.fired,
            Count::Held => status.held.into(),
        }
    }

    /// Whether it is met.
    pub(crate) fn is_met(self, status: &RuleStatus) -> bool {
        self.of(status) >= self.least
    }

    /// The count's name.
    pub(crate) const fn name(self) -> &'static str {
        match self.count {
            Count::Fired => "fired",
            Count::Held => "held",
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}>={}", self.name(), self.least)
    }
}

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, least) = text.split_once(">=").ok_or_else(|| {
            format!("found `{text}`, expected fired>=N or held>=N, such as fired>=1 (in quotes)")
        })?;
        let count = match name.trim() {
            "fired" => Count::Fired,
            "held" => Count::Held,
            other => {
                return Err(format!(
                    "column 1: found `{other}`, expected fired or held: the daemon tells of no other \
                     count when it grows"
                ));
            }
        };
        let column = name.chars().count() + 3;
        let number = least.trim().parse().ok().filter(|least| *least > 0);
        let least = number.ok_or_else(|| {
            format!(
                "column {column}: found `{}`, expected a number from 1",
                least.trim()
            )
        })?;
        Ok(Self { count, least })
    }
}

#[cfg(test)]
mod tests {
    use super::super::show::tests::status;
    use super::*;

    #[test]
    fn conditions_are_read_and_judged() {
        let rule = status("bad", "fail");
        for (text, met) in [
            ("fired>=1", true),
            ("fired >= 2", false),
            ("held>=1", false),
        ] {
            let condition: Condition = text.parse().unwrap();
            assert_eq!(condition.is_met(&rule), met, "{text}");
        }
        assert_eq!(
            "fired >= 2".parse::<Condition>().unwrap().to_string(),
            "fired>=2"
        );
    }

    #[test]
    fn what_is_no_condition_is_located() {
        for (text, must_say) in [
            ("fired", "fired>=N"),
            ("fired>1", "fired>=N"),
            ("matched>=1", "column 1: found `matched`"),
            ("fired>=", "column 8: found ``"),
            ("fired>=0", "column 8: found `0`"),
            ("fired>=-1", "column 8"),
        ] {
            let error = text.parse::<Condition>().unwrap_err();
            assert!(error.contains(must_say), "{text}: {error}");
        }
    }
}
