//! What the rules would do to a request, and why not, without counting anything.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::device::DeviceHistory;
use crate::engine::Question;
use crate::history::Exit;
use crate::request::Request;
use crate::ruleset::{Compiled, RuleSet};
use crate::verdict::Verdict;

/// What one rule would do to a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Explained {
    /// Its name.
    pub rule: String,
    /// What would become of the request in it.
    pub outcome: Outcome,
    /// The field of the rule that decides that, with dots; empty if it fires.
    pub field: String,
    /// The same for people: one line.
    pub text: String,
}

/// What would become of a request in a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A selector does not agree.
    NotSelected,
    /// The rule is not armed.
    NotArmed,
    /// It is disabled.
    Disabled,
    /// The state, the marks or the time are not right.
    Window,
    /// `skip`, `nth`, `every` or `seq` would let it pass.
    Skipped,
    /// The draw of `prob` would.
    ProbMiss,
    /// `count` is used up, `rate` is reached, or nothing is bad there.
    Exhausted,
    /// An earlier rule would decide.
    Shadowed,
    /// An earlier rule that is final would fire, so it would not be asked.
    NotAsked,
    /// It would fire.
    Fires,
}

/// What all rules would do to a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// Each rule, in the order of evaluation.
    pub rules: Vec<Explained>,
    /// The verdict there would be.
    pub verdict: Verdict,
}

impl RuleSet {
    /// Says what each rule would do to this request, were it the next one, and what stops it. Nothing is
    /// counted, and nothing changes. With several queues another request may come first.
    #[must_use]
    pub fn explain(&self, request: &Request, now_ns: u64, data: Option<&[u8]>) -> Explanation {
        let mut verdict = Verdict::pass(now_ns);
        let device: &DeviceHistory = self.history();
        let question = Question {
            request,
            now_ns,
            device,
            facts: &self.facts,
            only_ask: true,
        };
        let mut ended_by: Option<&str> = None;
        let mut decided_by = "";
        let mut rules = Vec::with_capacity(self.rules.len());
        for rule in &self.rules {
            let (outcome, field) = match ended_by {
                Some(_) => (Outcome::NotAsked, "with.final"),
                None => rule.foresee(&question, data, &mut verdict),
            };
            let by = ended_by.unwrap_or(decided_by);
            rules.push(Explained {
                rule: rule.rule.name.clone(),
                outcome,
                field: field.to_owned(),
                text: text(rule, outcome, field, by),
            });
            if outcome == Outcome::Fires {
                if rule.rule.options.is_final {
                    ended_by = Some(&rule.rule.name);
                }
                if verdict.rule == Some(rule.index) && rule.rule.action.is_terminal() {
                    decided_by = &rule.rule.name;
                }
            }
        }
        verdict.due_ns = now_ns.saturating_add(verdict.submit_delay_ns);
        Explanation { rules, verdict }
    }
}

impl Compiled {
    fn foresee(
        &self,
        question: &Question<'_>,
        data: Option<&[u8]>,
        verdict: &mut Verdict,
    ) -> (Outcome, &'static str) {
        if let Some(field) = self.matcher.reason(question.request, data) {
            return (Outcome::NotSelected, field);
        }
        match self.passes(question, verdict) {
            Ok(number) => {
                self.act(question, number, verdict);
                (Outcome::Fires, "")
            }
            Err(left) => (Outcome::of(left.exit), left.field),
        }
    }
}

impl Outcome {
    const fn of(exit: Exit) -> Self {
        match exit {
            Exit::NotArmed => Self::NotArmed,
            Exit::Disabled => Self::Disabled,
            Exit::Window => Self::Window,
            Exit::Skipped => Self::Skipped,
            Exit::ProbMiss => Self::ProbMiss,
            Exit::Exhausted => Self::Exhausted,
            Exit::Shadowed => Self::Shadowed,
        }
    }
}

fn text(rule: &Compiled, outcome: Outcome, field: &str, by: &str) -> String {
    let action = &rule.rule.action;
    match outcome {
        Outcome::NotSelected if field == "where.op" && !rule.selects_op_in_words() => {
            format!("`{}` does nothing to such a request", action.name())
        }
        Outcome::NotSelected => format!("{field} does not select it"),
        Outcome::NotArmed => format!("it is not armed ({field})"),
        Outcome::Disabled => "it is disabled".to_owned(),
        Outcome::Window => format!("{field} does not hold now"),
        Outcome::Skipped => format!("{field} lets this one pass"),
        Outcome::ProbMiss => "the draw of when.prob lets this one pass".to_owned(),
        Outcome::Exhausted if field == "action.badmap" => {
            "no sector of it is bad any more".to_owned()
        }
        Outcome::Exhausted => format!("{field} is used up"),
        Outcome::Shadowed => format!("`{by}` has decided before"),
        Outcome::NotAsked => format!("`{by}` fires and is final"),
        Outcome::Fires => format!("it fires: {action}"),
    }
}

impl Compiled {
    /// Whether the operations it acts on are just those that it names.
    fn selects_op_in_words(&self) -> bool {
        self.matcher.ops() == Some(self.rule.selector.op)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DeviceFacts, Op, Rule, Sector};

    fn set(words: &[&str]) -> RuleSet {
        let rules = words.iter().enumerate();
        let rules = rules.map(|(n, words)| Rule::parse(&format!("r{n}"), words).unwrap());
        RuleSet::compile(1, 1, rules.collect(), None, &DeviceFacts::of_size(4096)).unwrap()
    }

    #[test]
    fn each_stage_that_stops_a_rule_is_named() {
        let set = set(&[
            "delay:1ms where op=write",
            "delay:1ms where lba=100+8",
            "delay:1ms with arm=manual",
            "delay:1ms",
            "delay:1ms when state=broken",
            "delay:1ms when from=op:10",
            "delay:1ms when skip=1",
            "delay:1ms when seq=wX",
            "delay:1ms when prob=0 with allow_inert=yes",
            "fail:MEDIUM where lba=0+8 when count=1",
            "fail where lba=0+16",
            "throttle(iops=1) with final=yes",
            "notify",
        ]);
        set.enable("r3", false);
        let request = Request::new(Op::Read, Sector(0), 8);
        let before = set.snapshot();
        let explained = set.explain(&request, 5, None);
        let found: Vec<(Outcome, &str)> = explained
            .rules
            .iter()
            .map(|rule| (rule.outcome, rule.field.as_str()))
            .collect();
        assert_eq!(
            found,
            [
                (Outcome::NotSelected, "where.op"),
                (Outcome::NotSelected, "where.lba"),
                (Outcome::NotArmed, "with.arm"),
                (Outcome::Disabled, "enabled"),
                (Outcome::Window, "when.state"),
                (Outcome::Window, "when.from"),
                (Outcome::Skipped, "when.skip"),
                (Outcome::Skipped, "when.seq"),
                (Outcome::ProbMiss, "when.prob"),
                (Outcome::Fires, ""),
                (Outcome::Shadowed, "action"),
                (Outcome::Fires, ""),
                (Outcome::NotAsked, "with.final"),
            ]
        );
        assert_eq!(explained.rules[10].text, "`r9` has decided before");
        assert_eq!(explained.rules[12].text, "`r11` fires and is final");
        assert_eq!(set.snapshot(), before, "asking has changed something");
        assert_eq!(explained.verdict, set.decide(&request, 5));
        let again = set.explain(&request, 5, None);
        assert_eq!(again.rules[9].field, "when.count");
    }

    #[test]
    fn an_action_that_cannot_act_says_so() {
        let set = set(&["torn(parts=2,persist=1) where op=writes"]);
        let discard = Request::new(Op::Discard, Sector(0), 8);
        let told = &set.explain(&discard, 0, None).rules[0];
        assert_eq!(told.text, "`torn` does nothing to such a request");
    }
}
