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
        };
        assert_eq!(options.query(), "?expect_generation=7&dry_run=true");
    }
}
