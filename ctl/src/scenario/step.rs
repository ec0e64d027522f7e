//! The steps of a scenario.

use std::fmt;
use std::path::PathBuf;

use api::Which;
use api::fault::{Label, Status};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::command::{Join, Run};
use super::expect::Expect;
use crate::units::Span;

/// One step. In the file each is a table `[[step]]` with one key.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Step {
    /// Add rules, in words: `add = { bad = "fail where op=read" }`.
    Add(InWords),
    /// Put the rules of a file, beside this one, in the place of those there are.
    Apply(PathBuf),
    /// Remove a rule.
    Rm(String),
    /// Arm a rule.
    Arm(String),
    /// Set a mark.
    Mark(Label),
    /// Enter a state.
    State(Label),
    /// Wait for a rule, or for time to pass.
    Wait(Wait),
    /// Run a command.
    Run(Run),
    /// Wait for the end of a command that runs in the background.
    Join(Join),
    /// Let held requests go: `all`, a rule's name, or a hold_id.
    Release(Choice),
    /// Fail held requests.
    Fail(Fail),
    /// Remove every rule and let everything go.
    Heal {},
    /// Say what must be so.
    Expect(Box<Expect>),
}

/// Rules in words by their names, in the order of the file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct InWords(pub(crate) Vec<(String, String)>);

impl<'de> Deserialize<'de> for InWords {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = InWords;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("rules in words, such as { bad = \"fail where op=read\" }")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<InWords, A::Error> {
                let mut rules = Vec::new();
                while let Some(rule) = map.next_entry()? {
                    rules.push(rule);
                }
                Ok(InWords(rules))
            }
        }

        deserializer.deserialize_map(Reader)
    }
}

/// What to wait for: `{ rule = "bad", fired = 1 }`, `{ rule = "stop", held = 2 }` or `{ time = "500ms" }`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wait {
    pub(super) rule: Option<String>,
    pub(super) fired: Option<u64>,
    pub(super) held: Option<u64>,
    pub(super) time: Option<Span>,
    /// How long to wait for the rule at most.
    #[serde(default = "ten_seconds")]
    pub(super) timeout: Span,
}

impl Wait {
    /// How long, if time is all that is waited for.
    pub(crate) fn time(&self) -> Option<std::time::Duration> {
        self.time.map(|time| time.0)
    }
}

const fn ten_seconds() -> Span {
    Span(std::time::Duration::from_secs(10))
}

/// Which held requests.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(from = "Word")]
pub(crate) struct Choice(pub(super) Which);

/// A name, or a number without quotes.
#[derive(Deserialize)]
#[serde(untagged)]
enum Word {
    Number(u64),
    Name(String),
}

impl From<Word> for Choice {
    fn from(word: Word) -> Self {
        Self(match word {
            Word::Number(id) => Which::HoldId(id),
            Word::Name(name) if name == "all" => Which::All,
            Word::Name(name) => Which::Rule(name),
        })
    }
}

/// Held requests, and the error they fail with.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fail {
    pub(super) which: Choice,
    #[serde(default)]
    pub(super) status: Status,
}

impl Step {
    /// The step's word, as in the file.
    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Self::Add(_) => "add",
            Self::Apply(_) => "apply",
            Self::Rm(_) => "rm",
            Self::Arm(_) => "arm",
            Self::Mark(_) => "mark",
            Self::State(_) => "state",
            Self::Wait(_) => "wait",
            Self::Run(_) => "run",
            Self::Join(_) => "join",
            Self::Release(_) => "release",
            Self::Fail(_) => "fail",
            Self::Heal {} => "heal",
            Self::Expect(_) => "expect",
        }
    }
}

/// What the step does, in a line.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add(InWords(rules)) => {
                let rules = rules.iter().map(|(name, words)| format!("{name}: {words}"));
                write!(f, "add {}", rules.collect::<Vec<_>>().join("; "))
            }
            Self::Apply(file) => write!(f, "apply {}", file.display()),
            Self::Rm(name) => write!(f, "rm {name}"),
            Self::Arm(name) => write!(f, "arm {name}"),
            Self::Mark(label) => write!(f, "mark {label}"),
            Self::State(name) => write!(f, "state {name}"),
            Self::Wait(wait) => write!(f, "wait for {wait}"),
            Self::Run(run) => write!(f, "run {run}"),
            Self::Join(join) => write!(f, "join {join}"),
            Self::Release(choice) => write!(f, "release {choice}"),
            Self::Fail(fail) => write!(f, "fail {} with {}", fail.which, fail.status),
            Self::Heal {} => f.write_str("heal"),
            Self::Expect(expect) => write!(f, "expect {expect}"),
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Which::All => f.write_str("all"),
            Which::HoldId(id) => write!(f, "{id}"),
            Which::Rule(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.rule, self.fired, self.held, self.time) {
            (Some(rule), Some(fired), ..) => write!(f, "{rule} fired>={fired}"),
            (Some(rule), _, Some(held), _) => write!(f, "{rule} held>={held}"),
            (.., Some(time)) => write!(f, "{time}"),
            _ => f.write_str("nothing"),
        }
    }
}
