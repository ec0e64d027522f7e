//! The way of a selected request through the triggers of a rule, in their fixed order.

use super::Question;
use crate::action::Action;
use crate::draw::{Stream, mix};
use crate::history::addresses::{self, Place};
use crate::history::bad_map::Outcome;
use crate::history::{Exit, History};
use crate::ruleset::Compiled;
use crate::trigger::Moment;
use crate::verdict::{Terminal, Verdict};

/// Where a request left a rule, and by which field of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) exit: Exit,
    pub(crate) field: &'static str,
}

const fn left(exit: Exit, field: &'static str) -> Left {
    Left { exit, field }
}

/// What turns and draws are counted by.
#[derive(Debug, Clone, Copy)]
struct Turn<'h> {
    /// From 0.
    turn: u64,
    /// Addresses the draws.
    number: u64,
    /// The address, if it is that by which the rule counts.
    place: Option<&'h Place>,
}

impl Compiled {
    /// Takes a selected request through the triggers. The number that comes out addresses the draws of the
    /// action.
    pub(crate) fn passes(&self, question: &Question<'_>, verdict: &Verdict) -> Result<u64, Left> {
        let (trigger, history) = (&self.rule.trigger, &*self.history);
        self.is_open(question)?;
        // The turn is taken once, here: it alone addresses all that follows.
        let turn = self.turn(question)?;
        self.is_turn(turn.turn)?;
        if !self.draws(turn.number) {
            return Err(left(Exit::ProbMiss, "when.prob"));
        }
        let count = trigger.count.unwrap_or(u64::MAX);
        let fired = turn
            .place
            .map_or_else(|| history.tally.fired(), Place::fired);
        if let Some(field) = self.conflict(verdict) {
            return Err(match fired < count {
                true => left(Exit::Shadowed, field),
                false => left(Exit::Exhausted, "when.count"),
            });
        }
        if let Some(map) = &history.bad
            && map.meet(question.request, true) == Outcome::Nothing
        {
            return Err(left(Exit::Exhausted, "action.badmap"));
        }
        self.takes_one(question, &turn, count)?;
        Ok(turn.number)
    }

    /// Whether the rule is armed, enabled and in its time.
    fn is_open(&self, question: &Question<'_>) -> Result<(), Left> {
        let gate = &self.history.gate;
        if !gate.is_armed() {
            let marked = self
                .labels
                .arm
                .is_some_and(|id| question.device.is_marked(id));
            if !marked {
                return Err(left(Exit::NotArmed, "with.arm"));
            }
            if !question.only_ask {
                gate.arm(question.moment());
            }
        }
        if !gate.is_enabled() {
            return Err(left(Exit::Disabled, "enabled"));
        }
        let window = |field| Err(left(Exit::Window, field));
        if self
            .labels
            .state
            .is_some_and(|id| !question.device.is_in(id))
        {
            return window("when.state");
        }
        if self
            .labels
            .after
            .is_some_and(|id| !question.device.is_marked(id))
        {
            return window("when.after_mark");
        }
        if !self.has_window {
            return Ok(());
        }
        self.is_time(question)
    }

    /// Whether the rule is in its time, counted from when it was armed.
    fn is_time(&self, question: &Question<'_>) -> Result<(), Left> {
        let (trigger, gate) = (&self.rule.trigger, &self.history.gate);
        let window = |field| Err(left(Exit::Window, field));
        let since = match question.only_ask {
            true => gate.known_since().unwrap_or_else(|| question.moment()),
            false => gate.since(question.moment()),
        };
        let gone = |of: Moment| {
            let now = question.moment();
            match of {
                Moment::Time(_) => now.ns.saturating_sub(since.ns),
                Moment::Op(_) => now.op.saturating_sub(since.op),
                Moment::Epoch(_) => now.epoch.saturating_sub(since.epoch),
            }
        };
        if trigger.from.is_some_and(|from| gone(from) < from.number()) {
            return window("when.from");
        }
        if trigger
            .until
            .is_some_and(|until| gone(until) >= until.number())
        {
            return window("when.until");
        }
        if trigger
            .during
            .is_some_and(|during| !during.is_down(gone(during.up)))
        {
            return window("when.during");
        }
        let alive_ns = question.now_ns.saturating_sub(since.ns);
        match self
            .rule
            .options
            .ttl_ns
            .is_some_and(|ttl_ns| alive_ns >= ttl_ns)
        {
            true => window("with.ttl"),
            false => Ok(()),
        }
    }

    fn turn(&self, question: &Question<'_>) -> Result<Turn<'_>, Left> {
        let history: &History = &self.history;
        let Some(table) = &history.addresses else {
            let turn = match question.only_ask {
                true => history.turn(),
                false => history.next_turn(),
            };
            return Ok(Turn {
                turn,
                number: turn,
                place: None,
            });
        };
        let key = addresses::key(question.request);
        if question.only_ask {
            let place = table.find(key);
            let turn = place.map_or(0, Place::met);
            return Ok(Turn {
                turn,
                number: mix(&[key, turn]),
                place,
            });
        }
        let place = table.place(key);
        let place = place.ok_or(left(Exit::Exhausted, "with.draw"))?;
        let turn = place.meet();
        Ok(Turn {
            turn,
            number: mix(&[key, turn]),
            place: Some(place),
        })
    }

    /// Whether `skip`, and `nth`, `every` or `seq`, let this turn through.
    fn is_turn(&self, turn: u64) -> Result<(), Left> {
        let trigger = &self.rule.trigger;
        let skipped = |field| Err(left(Exit::Skipped, field));
        let Some(after_skip) = turn.checked_sub(trigger.skip.unwrap_or(0)) else {
            return skipped("when.skip");
        };
        if trigger
            .nth
            .is_some_and(|nth| after_skip != nth.saturating_sub(1))
        {
            return skipped("when.nth");
        }
        let at_end = |every: u64| after_skip % every.max(1) == every.saturating_sub(1);
        if trigger.every.is_some_and(|every| !at_end(every)) {
            return skipped("when.every");
        }
        match trigger
            .seq
            .as_ref()
            .is_some_and(|seq| !seq.fires(after_skip))
        {
            true => skipped("when.seq"),
            false => Ok(()),
        }
    }

    /// Whether `prob` lets it through. Certainties are not drawn.
    fn draws(&self, number: u64) -> bool {
        match self.rule.trigger.prob {
            None => true,
            Some(prob) if prob >= 1.0 => true,
            Some(prob) if prob <= 0.0 => false,
            Some(prob) => self.draw.unit(Stream::Prob, number) < prob,
        }
    }

    /// What stands against the action: that an earlier one has decided, or that there is no room.
    fn conflict(&self, verdict: &Verdict) -> Option<&'static str> {
        let action = &self.rule.action;
        if action.is_terminal() && verdict.terminal != Terminal::Pass {
            return Some("action");
        }
        let full = match action {
            Action::Corrupt(_) | Action::Pi { .. } => !verdict.corrupt.has_room(),
            _ if action.signals() => !verdict.signals.has_room(),
            _ => false,
        };
        full.then_some("action")
    }

    /// Takes one of the firings that `count` and `rate` allow.
    fn takes_one(&self, question: &Question<'_>, turn: &Turn<'_>, count: u64) -> Result<(), Left> {
        let history: &History = &self.history;
        if let Some(rate) = self.rule.trigger.rate {
            let gap_ns = rate.gap_ns();
            // What has not been used can be made up for, up to one whole measure.
            let burst_ns = gap_ns.saturating_mul(rate.count.saturating_sub(1));
            let free = match question.only_ask {
                true => history.rate.would_take(question.now_ns, burst_ns),
                false => history.rate.try_take(question.now_ns, gap_ns, burst_ns),
            };
            if !free {
                return Err(left(Exit::Exhausted, "when.rate"));
            }
        }
        let by_address = turn.place.filter(|_| count != u64::MAX);
        let taken = match (question.only_ask, by_address) {
            (true, _) => {
                turn.place
                    .map_or_else(|| history.tally.fired(), Place::fired)
                    < count
            }
            (false, Some(place)) => place.take(count) && history.tally.take(u64::MAX),
            (false, None) if turn.place.is_some() => history.tally.take(u64::MAX),
            (false, None) => history.tally.take(count),
        };
        match taken {
            true => Ok(()),
            false => Err(left(Exit::Exhausted, "when.count")),
        }
    }
}

impl Question<'_> {
    fn moment(&self) -> crate::history::ArmedAt {
        crate::history::ArmedAt {
            ns: self.now_ns,
            op: self.request.ordinal,
            epoch: self.request.epoch,
        }
    }
}
