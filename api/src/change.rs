//! How a change of rules is made.

use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

/// Conditions and manners of a change of rules, in the query of whatever changes them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ChangeOptions {
    /// Change nothing unless this generation is in force; otherwise the answer is 409.
    #[serde(default)]
    pub expect_generation: Option<u64>,
    /// Only say whether it could be done, and what it would make; nothing is changed.
    #[serde(default)]
    pub dry_run: bool,
    /// Answer only when every request has been answered to which a rule had done something that is now removed
    /// or changed. Until then such a request may still end as that rule wanted.
    #[serde(default)]
    pub drain: bool,
    /// Let the rules that are sent start their counts again. Otherwise a rule that stays as it is goes on with
    /// them, and so does a single rule that is put in the place of another.
    #[serde(default)]
    pub reset: bool,
}

impl ChangeOptions {
    /// The query, `?` included; nothing if there is nothing to say.
    #[must_use]
    pub(crate) fn query(&self) -> String {
        let mut items = Vec::new();
        if let Some(generation) = self.expect_generation {
            items.push(format!("expect_generation={generation}"));
        }
        if self.dry_run {
            items.push("dry_run=true".to_owned());
        }
        if self.drain {
            items.push("drain=true".to_owned());
        }
        if self.reset {
            items.push("reset=true".to_owned());
        }
        match items.is_empty() {
            true => String::new(),
            false => format!("?{}", items.join("&")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_in_the_query() {
        assert_eq!(ChangeOptions::default().query(), "");
        let options = ChangeOptions {
            expect_generation: Some(7),
            dry_run: true,
            drain: true,
            reset: true,
        };
        let query = "?expect_generation=7&dry_run=true&drain=true&reset=true";
        assert_eq!(options.query(), query);
    }
}
