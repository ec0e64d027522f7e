//! The decision: which rules fire on a request, and what becomes of it.

mod act;
mod extents;
mod gates;
mod places;

use crate::device::DeviceHistory;
use crate::facts::DeviceFacts;
use crate::index::WORDS;
use crate::op::Op;
use crate::request::Request;
use crate::ruleset::{Compiled, RuleSet};
use crate::sector::Sector;
use crate::verdict::Verdict;

pub(crate) use act::Sets;

/// A request, and what is asked about it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) request: &'a Request,
    pub(crate) now_ns: u64,
    pub(crate) device: &'a DeviceHistory,
    pub(crate) facts: &'a DeviceFacts,
    /// Nothing is counted and nothing changes.
    pub(crate) only_ask: bool,
}

impl RuleSet {
    /// Decides about one request, at `now_ns` on the caller's clock.
    ///
    /// Rules are asked by priority, and in the order of the list among those of one. Delays and throttles
    /// add up, damage piles up; the first terminal action that fires decides, and later ones count as
    /// shadowed. A rule that is `final` ends the asking when it fires. The decision depends on the rules, the
    /// seed and the counts so far, and on `now_ns` only where a rule names a time. Nothing is allocated and no
    /// lock is taken.
    ///
    /// A state or a mark that a rule sets is there for the next request.
    pub fn decide(&self, request: &Request, now_ns: u64) -> Verdict {
        self.decide_with(request, now_ns, None)
    }

    /// The same, with the data of a source request, which rules with `data` look at. Without it they select
    /// nothing; see [`RuleSet::wants_payload`].
    pub fn decide_with(&self, request: &Request, now_ns: u64, data: Option<&[u8]>) -> Verdict {
        let mut verdict = Verdict::pass(now_ns);
        let mut chosen = [0; WORDS];
        let words = self.index.choose(request, &mut chosen);
        let question = Question {
            request,
            now_ns,
            device: &self.device,
            facts: &self.facts,
            only_ask: false,
        };
        'asking: for (word, bits) in chosen.iter().take(words).enumerate() {
            let mut bits = *bits;
            while bits != 0 {
                let place = word * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                let Some(rule) = self.rules.get(place) else {
                    continue;
                };
                let ends =
                    rule.matcher.selects(request, data) && rule.judge(&question, &mut verdict);
                if ends {
                    break 'asking;
                }
            }
        }
        self.signal(&verdict);
        verdict.due_ns = now_ns.saturating_add(verdict.submit_delay_ns);
        verdict
    }

    /// Whether some rule may select a request of this operation and place. If not, [`RuleSet::decide`] passes
    /// it and counts nothing, so that it need not be asked; most requests of a device with a few bad sectors
    /// are such.
    #[inline]
    #[must_use]
    pub fn may_select(&self, op: Op, sector: Sector, sectors: u32) -> bool {
        let start = sector.0;
        self.index
            .asks(op, start, start.saturating_add(u64::from(sectors)))
    }

    /// Whether a rule might select this request by its data, so that the data is needed for a decision.
    #[must_use]
    pub fn wants_payload(&self, request: &Request) -> bool {
        self.needs.data
            && self
                .rules
                .iter()
                .any(|rule| rule.matcher.wants_data(request))
    }
}

impl Compiled {
    /// Asks the rule about a request that it selects, counts where it leaves, and does what it does; says
    /// whether no further rule is asked.
    fn judge(&self, question: &Question<'_>, verdict: &mut Verdict) -> bool {
        match self.passes(question, verdict) {
            Ok(number) => {
                let request = question.request;
                self.history.tally.note(request.sector, request.bytes());
                self.act(question, number, verdict);
                self.rule.options.is_final
            }
            Err(left) => {
                self.history.tally.count(left.exit);
                false
            }
        }
    }
}
