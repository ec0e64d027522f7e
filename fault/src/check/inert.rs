//! Finds rules that can never do anything.

use super::{Fault, fault};
use crate::action::{Action, Scope};
use crate::facts::DeviceFacts;
use crate::op::{Direction, Op};
use crate::rule::Rule;
use crate::selector::Comparison;

pub(super) fn check(rule: &Rule, facts: &DeviceFacts) -> Result<(), Fault> {
    operations(rule, facts)?;
    places(rule, facts)?;
    size(rule)?;
    if rule.trigger.prob == Some(0.0) {
        return Err(fault("when.prob", "0 never fires", "a probability above 0"));
    }
    if rule.trigger.seq.as_ref().is_some_and(|seq| seq.is_inert()) {
        let problem = "no turn of it fires";
        return Err(fault("when.seq", problem, "an `x`, or `X` at the end"));
    }
    if let Some(test) = rule.selector.inflight {
        // The request itself is in flight, so there is always one.
        let none = match test.how {
            Comparison::Less => test.count <= 1,
            Comparison::AtMost | Comparison::Equal => test.count == 0,
            _ => false,
        };
        if none {
            let problem = format!("found {test}, and the request itself is in flight");
            return Err(fault("where.inflight", problem, "a number from 1"));
        }
    }
    Ok(())
}

/// The operations that reach the rule and that its action does something to.
fn operations(rule: &Rule, facts: &DeviceFacts) -> Result<(), Fault> {
    let selector = &rule.selector;
    let sectors = selector.lba.is_some()
        || selector.align.is_some()
        || selector.size.is_some_and(|test| !test.holds(0));
    let comes = |op: &Op| facts.has_volatile_cache || *op != Op::Flush;
    let fits = |op: &Op| {
        (!sectors || op.has_sectors())
            && (selector.data.is_none() || op.direction() == Direction::Source)
    };
    let problem = match () {
        () if !selector.op.iter().any(|op| comes(&op)) => {
            let problem = "a device without a volatile cache gets no flush";
            return Err(fault("where.op", problem, "another operation"));
        }
        () if !selector.op.iter().any(|op| op.has_sectors()) && sectors => {
            let field = match (&selector.lba, selector.align) {
                (Some(_), _) => "where.lba",
                (None, Some(_)) => "where.align",
                (None, None) => "where.size",
            };
            let problem = format!(
                "`{}` requests have no sectors, so the rule never fires",
                selector.op
            );
            let expected = "nothing about sectors, or an operation with sectors";
            return Err(fault(field, problem, expected));
        }
        () if !selector.op.iter().any(|op| fits(&op)) => {
            let problem = format!("`{}` requests bring no data", selector.op);
            return Err(fault("where.data", problem, "op=write, or no data"));
        }
        () if selector
            .op
            .iter()
            .any(|op| comes(&op) && fits(&op) && rule.action.acts_on(op)) =>
        {
            return Ok(());
        }
        () => format!(
            "`{}` does nothing to `{}` requests",
            rule.action.name(),
            selector.op
        ),
    };
    let acts: Vec<&str> = Op::ALL
        .iter()
        .filter(|op| comes(op) && rule.action.acts_on(**op))
        .map(|op| op.name())
        .collect();
    let expected = match acts.is_empty() {
        true => "another action: this device gets no such request".to_owned(),
        false => format!("an operation it acts on: {}", acts.join(", ")),
    };
    Err(fault("where.op", problem, expected))
}

fn places(rule: &Rule, facts: &DeviceFacts) -> Result<(), Fault> {
    let selector = &rule.selector;
    if let Some(queue) = selector.queue.filter(|queue| *queue >= facts.queues) {
        let expected = format!("a queue from 0 to {}", facts.queues.saturating_sub(1));
        return Err(fault(
            "where.queue",
            format!("there is no queue {queue}"),
            expected,
        ));
    }
    if let Some(tag) = selector.tag.filter(|tag| *tag >= facts.depth) {
        let expected = format!("a tag from 0 to {}", facts.depth.saturating_sub(1));
        return Err(fault(
            "where.tag",
            format!("there is no tag {tag}"),
            expected,
        ));
    }
    if let Some(flags) = selector.flags {
        let fua = flags.set().contains(crate::Flags::FUA);
        if fua && !facts.has_volatile_cache {
            let problem = "a device without a volatile cache gets no FUA";
            return Err(fault("where.flags", problem, "other flags"));
        }
        if flags.set().contains(crate::Flags::INTEGRITY) && !facts.integrity {
            let problem = "the device carries no protection information";
            return Err(fault("where.flags", problem, "other flags"));
        }
    }
    let needs_cache = matches!(rule.action, Action::IgnoreFua {});
    if needs_cache && !facts.has_volatile_cache {
        let problem = "a device without a volatile cache gets no FUA";
        return Err(fault(
            "action.ignore_fua",
            problem,
            "a device with a volatile cache",
        ));
    }
    Ok(())
}

fn size(rule: &Rule) -> Result<(), Fault> {
    let Some(test) = rule.selector.size else {
        return Ok(());
    };
    let none = matches!(
        (test.how, test.sectors.0),
        (Comparison::Less, 0) | (Comparison::More, 0xffff_ffff..)
    );
    let too_long = test.sectors.0 > u64::from(u32::MAX)
        && matches!(
            test.how,
            Comparison::Equal | Comparison::AtLeast | Comparison::More
        );
    if none || too_long {
        let expected = "a length that a request can have";
        return Err(fault("where.size", format!("found {test}"), expected));
    }
    // A failure of single sectors needs a request with other sectors; a whole one may be what is meant.
    let single = matches!(rule.action, Action::Short { .. })
        && test.how == Comparison::Equal
        && test.sectors.0 == 1;
    match single {
        true => Err(fault(
            "where.size",
            "a request of one sector cannot be shorter",
            "a longer request",
        )),
        false => Ok(()),
    }
}

/// Whether the action looks at more than the first rule of its kind would; used to find rules that are
/// always shadowed.
pub(super) fn takes_all(rule: &Rule) -> bool {
    let trigger = &rule.trigger;
    let options = &rule.options;
    let always = trigger.is_always() && options.arm.is_default() && options.ttl_ns.is_none();
    let whole = !matches!(
        rule.action,
        Action::Badmap { .. }
            | Action::Short { .. }
            | Action::Fail {
                scope: Scope::Sectors,
                ..
            }
    );
    always && whole && rule.action.is_terminal()
}

/// Whether every request that `later` selects is selected by `earlier` too, as far as it is easily told.
pub(super) fn covers(earlier: &Rule, later: &Rule) -> bool {
    let (a, b) = (&earlier.selector, &later.selector);
    let ops =
        b.op.iter()
            .all(|op| a.op.contains(op) && earlier.action.acts_on(op));
    let rest = crate::Selector {
        op: crate::OpSet::ANY,
        ..a.clone()
    };
    ops && (rest.is_everything()
        || rest
            == crate::Selector {
                op: crate::OpSet::ANY,
                ..b.clone()
            })
}
