//! What a rule that fires adds to the verdict.

use super::{Question, extents, places};
use crate::action::{Action, Removal, Scope, Stage};
use crate::draw::Stream;
use crate::history::bad_map::Outcome;
use crate::history::pace::cost_ns;
use crate::label::Label;
use crate::ruleset::{Compiled, RuleSet};
use crate::verdict::{Terminal, Touch, Verdict};

impl RuleSet {
    /// Enters states and sets marks, after all rules have been asked.
    pub(super) fn signal(&self, verdict: &Verdict) {
        for index in verdict.signals.iter() {
            match self.rules.get(index.get()).map(|rule| &rule.labels.sets) {
                Some(Some(Sets::State(id))) => self.device.enter(*id),
                Some(Some(Sets::Mark(id))) => {
                    // A device with too many marks keeps those it has.
                    let _ = self.device.mark(*id);
                }
                _ => {}
            }
        }
    }
}

/// What a rule sets on the device.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sets {
    /// A state, by its label's number.
    State(u64),
    /// A mark, by its label's number.
    Mark(u64),
}

impl Sets {
    pub(crate) fn of(action: &Action) -> Option<Self> {
        match action {
            Action::SetState { state } => Some(Self::State(Label::id(state))),
            Action::Mark { label } => Some(Self::Mark(Label::id(label))),
            _ => None,
        }
    }
}

impl Compiled {
    /// Adds this rule's action to the verdict. `number` addresses its draws.
    pub(crate) fn act(&self, question: &Question<'_>, number: u64, verdict: &mut Verdict) {
        if self.rule.action.signals() {
            verdict.signals.push(self.index);
        }
        match &self.rule.action {
            Action::Delay { at, .. } => {
                let wait_ns = self.delay_ns(question, number);
                let sum_ns = match at {
                    Stage::Submit => &mut verdict.submit_delay_ns,
                    Stage::Complete => &mut verdict.complete_delay_ns,
                };
                *sum_ns = sum_ns.saturating_add(wait_ns);
            }
            Action::Throttle { .. } => {
                let wait_ns = self.throttle_ns(question);
                if wait_ns == 0 {
                    // Nothing happens to the request, so nothing is told about it.
                    return;
                }
                verdict.submit_delay_ns = verdict.submit_delay_ns.saturating_add(wait_ns);
            }
            Action::Corrupt(_) | Action::Pi { .. } => {
                let touch = Touch {
                    rule: self.index,
                    draw: number,
                };
                verdict.corrupt.push(touch);
            }
            Action::IgnoreFua {} => verdict.ignore_fua = true,
            _ => {
                if let Some(terminal) = self.terminal(question, number) {
                    verdict.terminal = terminal;
                    verdict.rule = Some(self.index);
                    return;
                }
            }
        }
        verdict.rule = verdict.rule.or(Some(self.index));
    }

    fn terminal(&self, question: &Question<'_>, number: u64) -> Option<Terminal> {
        let request = question.request;
        let cut = extents::Cut {
            request,
            facts: question.facts,
            draw: || self.draw.bits(Stream::Action, number),
        };
        Some(match &self.rule.action {
            Action::Fail {
                status,
                effect,
                scope,
            } => Terminal::Fail {
                status: *status,
                effect: match scope {
                    Scope::Request => cut.effect(*effect),
                    Scope::Sectors => extents::without(request, &self.named),
                },
            },
            Action::Short { sectors, frac } => Terminal::Short {
                sectors: cut.short(sectors.map(|sectors| sectors.0), *frac),
            },
            Action::Hang {} => Terminal::Hang,
            Action::Hold { max_ns, then } => Terminal::Hold {
                max_ns: *max_ns,
                then: *then,
            },
            Action::Drop {} => Terminal::Drop,
            Action::Torn(torn) => Terminal::Torn {
                keep: cut.torn(torn),
                status: torn.status,
            },
            Action::Misdirect { to, lost } => Terminal::Misdirect {
                to: places::place(*to, request, question.facts, || {
                    self.draw.bits(Stream::Action, number)
                }),
                lost: *lost,
            },
            Action::Badmap { status, .. } => {
                let map = self.history.bad.as_ref()?;
                match map.meet(request, question.only_ask) {
                    Outcome::Fails(effect) => Terminal::Fail {
                        status: *status,
                        effect,
                    },
                    Outcome::Healed | Outcome::Nothing => return None,
                }
            }
            Action::IgnoreFlush {} => Terminal::IgnoreFlush,
            Action::Reorder { window, hold_ns } => Terminal::Reorder {
                window: *window,
                hold_ns: *hold_ns,
                draw: self.draw.bits(Stream::Action, number),
            },
            Action::Remove { how, return_ns } => Terminal::Remove {
                surprise: *how == Removal::Surprise,
                return_after_ns: *return_ns,
            },
            Action::CrashServer { point } => Terminal::Crash { point: *point },
            _ => return None,
        })
    }

    fn delay_ns(&self, question: &Question<'_>, number: u64) -> u64 {
        let Action::Delay { dist, lanes, .. } = &self.rule.action else {
            return 0;
        };
        let unit = match self.rule.action.draws() {
            true => self.draw.unit(Stream::Action, number),
            false => 0.0,
        };
        let wait_ns = dist.sample(unit);
        match lanes {
            Some(_) => {
                let lanes = &self.history.lanes;
                lanes.enter(question.now_ns, wait_ns, question.only_ask)
            }
            None => wait_ns,
        }
    }

    fn throttle_ns(&self, question: &Question<'_>) -> u64 {
        let Action::Throttle {
            iops,
            bytes,
            burst,
            burst_bytes,
        } = &self.rule.action
        else {
            return 0;
        };
        let (now_ns, only_ask) = (question.now_ns, question.only_ask);
        let mut wait_ns = 0;
        if let Some(iops) = iops {
            let gap_ns = cost_ns(1, *iops);
            let burst_ns = gap_ns.saturating_mul(burst.unwrap_or(1).saturating_sub(1));
            wait_ns = self.history.iops.take(now_ns, gap_ns, burst_ns, only_ask);
        }
        if let Some(bytes) = bytes {
            let cost = cost_ns(question.request.bytes(), bytes.0);
            let burst_ns = cost_ns(burst_bytes.map_or(0, |burst| burst.0), bytes.0);
            let pace = &self.history.bytes;
            wait_ns = wait_ns.max(pace.take(now_ns, cost, burst_ns, only_ask));
        }
        wait_ns
    }
}
