//! Judges triggers and options.

use super::{Fault, fault};
use crate::facts::ActionSet;
use crate::options::{Arm, DrawBy};
use crate::rule::Rule;
use crate::trigger::Trigger;

pub(super) fn check(rule: &Rule) -> Result<(), Fault> {
    let trigger = &rule.trigger;
    if let Some(prob) = trigger.prob.filter(|prob| !(0.0..=1.0).contains(prob)) {
        let expected = "a probability from 0 to 1";
        return Err(fault("when.prob", format!("found {prob}"), expected));
    }
    let counts = [
        ("when.nth", trigger.nth),
        ("when.every", trigger.every),
        ("when.count", trigger.count),
    ];
    for (field, count) in counts {
        if count == Some(0) {
            return Err(fault(field, "0 means never", "1 or more"));
        }
    }
    turns(trigger)?;
    times(trigger)?;
    options(rule)
}

/// `nth`, `every`, `seq` and `count` among each other.
fn turns(trigger: &Trigger) -> Result<(), Fault> {
    if trigger.nth.is_some() && trigger.every.is_some() {
        let problem = "given together with `nth`";
        return Err(fault("when.every", problem, "either `nth` or `every`"));
    }
    if trigger.seq.is_some() && (trigger.nth.is_some() || trigger.every.is_some()) {
        let problem = "given together with `nth` or `every`";
        return Err(fault(
            "when.seq",
            problem,
            "one of `nth`, `every` and `seq`",
        ));
    }
    if let (Some(_), Some(count @ 2..)) = (trigger.nth, trigger.count) {
        let problem = format!("`nth` fires once, so a count of {count} is never reached");
        let expected = "1 or no count, or `every` for `nth`";
        return Err(fault("when.count", problem, expected));
    }
    Ok(())
}

fn times(trigger: &Trigger) -> Result<(), Fault> {
    if let Some(rate) = trigger.rate.filter(|rate| !rate.is_sound()) {
        let expected = "at least one firing in at least 1ns";
        return Err(fault("when.rate", format!("found {rate}"), expected));
    }
    if let Some(during) = trigger.during.filter(|during| !during.is_sound()) {
        let expected = "times of one kind, the device down for more than none";
        return Err(fault("when.during", format!("found {during}"), expected));
    }
    match (trigger.from, trigger.until) {
        (_, Some(until)) if until.number() == 0 => {
            let problem = "it ends when it begins";
            Err(fault("when.until", problem, "a moment after arming"))
        }
        (Some(from), Some(until)) if from.is_like(until) && until <= from => {
            let problem = format!("it ends at {until}, before it begins at {from}");
            Err(fault("when.until", problem, "a moment after `from`"))
        }
        _ => Ok(()),
    }
}

fn options(rule: &Rule) -> Result<(), Fault> {
    let (trigger, options) = (&rule.trigger, &rule.options);
    if trigger.seed.is_some() && options.seed.is_some() {
        let problem = "given under `when` too";
        return Err(fault("with.seed", problem, "one seed"));
    }
    if rule.seed().is_some() && !rule.draws() {
        let field = match trigger.seed {
            Some(_) => "when.seed",
            None => "with.seed",
        };
        let problem = "nothing is drawn without `prob`";
        return Err(fault(
            field,
            problem,
            "a prob beside it, or an action that draws",
        ));
    }
    if options.ttl_ns == Some(0) {
        return Err(fault("with.ttl_ns", "found 0", "1 or more nanoseconds"));
    }
    if options.draw == DrawBy::Address {
        let clock = trigger.needs_clock().then_some("a trigger of time");
        let ordinal = trigger.needs().contains(ActionSet::ORDINAL);
        let ordinal = ordinal.then_some("a trigger of `op:`");
        let ttl = options.ttl_ns.map(|_| "`ttl`");
        if let Some(what) = clock.or(ordinal).or(ttl) {
            let problem = format!("{what} depends on the order of requests");
            return Err(fault(
                "with.draw",
                problem,
                "draw=order, or no such trigger",
            ));
        }
    }
    if let (Arm::Mark(arm), Some(after)) = (&options.arm, &trigger.after_mark)
        && arm == after
    {
        let problem = format!("the rule is armed by `{arm}` already");
        return Err(fault("when.after_mark", problem, "another mark, or none"));
    }
    Ok(())
}
