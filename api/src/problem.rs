//! What went wrong, as the daemon tells it.

use std::fmt;

use fault::RuleError;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The media type of a [`Problem`] (RFC 9457).
pub const PROBLEM_MEDIA_TYPE: &str = "application/problem+json";

/// The body of every answer that is not a success, after RFC 9457. `Display` is one line for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// What kind of problem, for programs.
    pub code: ProblemCode,
    /// The kind in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened, with the names and values of this case.
    pub detail: String,
    /// Where in the request's body: a JSON pointer (RFC 6901).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// What would be right there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
}

/// The kinds of problems.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProblemCode {
    /// The body or the query is not of the right form.
    Malformed,
    /// A field has a value that cannot be used.
    InvalidField,
    /// The path names nothing that there is: no such device, rule or hold.
    NotFound,
    /// The path is right, the method is not.
    MethodNotAllowed,
    /// The body is longer than any that makes sense.
    TooLarge,
    /// What is asked for clashes with what there is, such as a name that is taken.
    Conflict,
    /// The backing is mounted, or used by another device.
    InUse,
    /// The daemon lacks the right to do it.
    Forbidden,
    /// The kernel, or this target, cannot do it.
    Unsupported,
    /// A fault of the daemon or an unexpected answer of the kernel.
    Internal,
}

impl ProblemCode {
    /// The HTTP status that goes with it.
    #[must_use]
    pub const fn http_status(self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::InvalidField => 422,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::TooLarge => 413,
            Self::Conflict | Self::InUse => 409,
            Self::Forbidden => 403,
            Self::Unsupported => 501,
            Self::Internal => 500,
        }
    }

    /// The exit code of a client that got it: 2 bad input, 4 something needed is missing, 125 a fault of
    /// bvecd itself.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Malformed
            | Self::InvalidField
            | Self::NotFound
            | Self::MethodNotAllowed
            | Self::TooLarge
            | Self::Conflict
            | Self::InUse => 2,
            Self::Forbidden | Self::Unsupported => 4,
            Self::Internal => 125,
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::Malformed => "the request is malformed",
            Self::InvalidField => "a field cannot be used",
            Self::NotFound => "there is no such thing",
            Self::MethodNotAllowed => "the method does not fit the path",
            Self::TooLarge => "the request is too large",
            Self::Conflict => "the request clashes with what there is",
            Self::InUse => "the backing is in use",
            Self::Forbidden => "a right is missing",
            Self::Unsupported => "this cannot be done here",
            Self::Internal => "bvecd failed",
        }
    }
}

impl Problem {
    /// A problem of this kind.
    #[must_use]
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self {
            code,
            title: code.title().to_owned(),
            status: code.http_status(),
            detail: detail.into(),
            pointer: None,
            expected: None,
        }
    }

    /// A field of the body, by its JSON pointer, that cannot be used.
    #[must_use]
    pub fn field(
        pointer: impl Into<String>,
        detail: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        Self::new(ProblemCode::InvalidField, detail)
            .at(pointer)
            .expecting(expected)
    }

    /// The problem of a rule that is the whole body.
    #[must_use]
    pub fn rule(error: &RuleError) -> Self {
        Self::rule_at("", error)
    }

    /// The problem of a rule in the list `rules` of the body.
    #[must_use]
    pub fn rule_of_list(error: &RuleError) -> Self {
        Self::rule_at(&format!("/rules/{}", error.index), error)
    }

    /// The problem of a rule in a [`crate::RuleFile`].
    #[must_use]
    pub fn rule_of_file(error: &RuleError) -> Self {
        Self::rule_at(&format!("/rule/{}", error.index), error)
    }

    fn rule_at(base: &str, error: &RuleError) -> Self {
        let detail = format!("rule `{}`: {}: {}", error.rule, error.field, error.problem);
        Self::field(
            format!("{base}{}", error.pointer()),
            detail,
            error.expected.as_str(),
        )
    }

    /// The same problem, located in the body by a JSON pointer.
    #[must_use]
    pub fn at(mut self, pointer: impl Into<String>) -> Self {
        self.pointer = Some(pointer.into());
        self
    }

    /// The same problem with what would have been right.
    #[must_use]
    pub fn expecting(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(pointer) = self
            .pointer
            .as_deref()
            .filter(|pointer| !pointer.is_empty())
        {
            write!(f, "{pointer}: ")?;
        }
        f.write_str(&self.detail)?;
        match &self.expected {
            Some(expected) => write!(f, ", expected {expected}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_tells_where_what_and_what_would_be_right() {
        let problem = Problem::field("/queues", "found `0`", "1 to 4096 queues");
        assert_eq!(
            problem.to_string(),
            "/queues: found `0`, expected 1 to 4096 queues"
        );
        assert_eq!((problem.status, problem.code.exit_code()), (422, 2));
        let json = serde_json::to_string(&problem).unwrap();
        assert_eq!(serde_json::from_str::<Problem>(&json).unwrap(), problem);
    }
}
