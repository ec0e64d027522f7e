//! Judges an action on the device and the requests it is for.

use super::{Fault, fault};
use crate::action::{Action, Corruption, Heal, Kind, MAX_PARK_NS, Place, Torn};
use crate::facts::DeviceFacts;
use crate::rule::Rule;
use crate::span::format_ns;

/// How many sectors a bad map has at most: the state of each is kept.
pub const MAX_BAD_SECTORS: u64 = 1 << 20;

pub(super) fn check(rule: &Rule, facts: &DeviceFacts) -> Result<(), Fault> {
    match &rule.action {
        Action::Fail {
            scope: crate::action::Scope::Sectors,
            effect,
            ..
        } => {
            if rule.selector.lba.is_none() {
                let problem = "there is no `lba` whose sectors could fail";
                return Err(fault(
                    "action.fail.scope",
                    problem,
                    "an lba, or scope=request",
                ));
            }
            if !effect.is_none() {
                let problem = "`scope=sectors` says already what reaches the medium";
                return Err(fault("action.fail.effect", problem, "no effect beside it"));
            }
            Ok(())
        }
        Action::Fail { .. } => Ok(()),
        Action::Short { sectors, frac } => short(sectors.map(|s| s.0), *frac),
        Action::Delay { dist, lanes, .. } => {
            if let Some((problem, expected)) = dist.fault() {
                return Err(fault("action.delay.dist", problem, expected));
            }
            in_range("action.delay.lanes", lanes.map(u64::from), 1, 64)
        }
        Action::Hang {} if facts.unprivileged => {
            let problem = "the kernel kills the server of an unprivileged device whose request is not answered";
            Err(fault(
                "action.hang",
                problem,
                "hold with a max, or a privileged device",
            ))
        }
        Action::Hold { max_ns, .. } => park("action.hold.max_ns", *max_ns),
        Action::Corrupt(corruption) => damage(corruption, rule),
        Action::Torn(torn) => parts(torn),
        Action::Misdirect { to, .. } => place(*to, facts),
        Action::Badmap { heal, wr_fail, .. } => badmap(rule, *heal, *wr_fail),
        Action::Reorder { window, hold_ns } => {
            in_range("action.reorder.window", Some(u64::from(*window)), 2, 256)?;
            park("action.reorder.hold_ns", *hold_ns)
        }
        Action::Throttle { .. } => throttle(&rule.action),
        Action::Remove {
            return_ns: Some(ns),
            ..
        } => park("action.remove.return_ns", *ns),
        Action::Resize { size } => {
            let block = u64::from(facts.logical_block_bytes.max(512));
            if size.0 > 0 && size.bytes().is_multiple_of(block) && size.bytes() < u64::MAX {
                return Ok(());
            }
            let expected = format!("a multiple of the logical block, {block} bytes, above 0");
            Err(fault(
                "action.resize.size",
                format!("found {size} sectors"),
                expected,
            ))
        }
        Action::Pi { .. } if !facts.integrity => {
            let problem = "the device carries no protection information";
            Err(fault("action.pi", problem, "a device with `integrity`"))
        }
        _ => Ok(()),
    }
}

fn in_range(field: &'static str, value: Option<u64>, least: u64, most: u64) -> Result<(), Fault> {
    match value {
        Some(value) if !(least..=most).contains(&value) => Err(fault(
            field,
            format!("found {value}"),
            format!("{least} to {most}"),
        )),
        _ => Ok(()),
    }
}

fn park(field: &'static str, ns: u64) -> Result<(), Fault> {
    let expected = format!("1 to {MAX_PARK_NS} ({})", format_ns(MAX_PARK_NS));
    match (1..=MAX_PARK_NS).contains(&ns) {
        true => Ok(()),
        false => Err(fault(field, format!("found {ns}"), expected)),
    }
}

fn short(sectors: Option<u64>, frac: Option<f64>) -> Result<(), Fault> {
    match (sectors, frac) {
        (None, None) => Err(fault(
            "action.short",
            "nothing says how short",
            "sectors=N or frac=F",
        )),
        (Some(_), Some(_)) => Err(fault(
            "action.short.frac",
            "given together with `sectors`",
            "either `sectors` or `frac`",
        )),
        (Some(0), None) => {
            // The driver would ask for the rest of a write again, for ever (`__ublk_complete_rq`).
            Err(fault(
                "action.short.sectors",
                "found 0",
                "at least one sector",
            ))
        }
        (None, Some(frac)) if !(frac > 0.0 && frac < 1.0) => Err(fault(
            "action.short.frac",
            format!("found {frac}"),
            "a share above 0 and below 1",
        )),
        _ => Ok(()),
    }
}

fn damage(corruption: &Corruption, rule: &Rule) -> Result<(), Fault> {
    let Corruption {
        kind,
        places,
        ber,
        at,
        burst,
        ..
    } = corruption;
    let places = places.map(u64::from);
    in_range("action.corrupt.places", places, 1, 4096)?;
    in_range("action.corrupt.burst", burst.map(u64::from), 1, 65536)?;
    if let Some(ber) = ber.filter(|ber| !(*ber > 0.0 && *ber <= 1.0)) {
        let expected = "a rate above 0 and at most 1";
        return Err(fault(
            "action.corrupt.ber",
            format!("found {ber}"),
            expected,
        ));
    }
    let ways = [
        ("places", places.is_some()),
        ("ber", ber.is_some()),
        ("at", at.is_some()),
    ];
    let given: Vec<&str> = ways
        .into_iter()
        .filter(|(_, given)| *given)
        .map(|(name, _)| name)
        .collect();
    if let [first, second, ..] = given.as_slice() {
        let field = if *second == "ber" {
            "action.corrupt.ber"
        } else {
            "action.corrupt.at"
        };
        let problem = format!("given together with `{first}`");
        return Err(fault(field, problem, "one of `places`, `ber` and `at`"));
    }
    if at.is_some() && burst.is_some() {
        let problem = "`at` says already how much";
        return Err(fault(
            "action.corrupt.burst",
            problem,
            "a length in `at`, such as at=512+16",
        ));
    }
    match (kind, at) {
        (Kind::Swap(bytes), Some(at)) if at.bytes != 1 && at.bytes < 2 * u64::from(*bytes) => {
            let expected = format!(
                "a place of at least two pieces, {} bytes",
                2 * u64::from(*bytes)
            );
            Err(fault("action.corrupt.at", format!("found {at}"), expected))
        }
        (_, Some(at)) => reaches(at.start, rule),
        _ => Ok(()),
    }
}

/// A place counted from the first sector of the rule's `lba` must lie in it.
fn reaches(start: u64, rule: &Rule) -> Result<(), Fault> {
    let Some(lba) = &rule.selector.lba else {
        return Ok(());
    };
    let first = lba.iter().map(|range| range.start().0).min().unwrap_or(0);
    let sector = first.saturating_add(start / crate::SECTOR_BYTES);
    let inside = |range: crate::SectorRange| (range.start().0..range.end().0).contains(&sector);
    match lba.iter().any(inside) {
        true => Ok(()),
        false => Err(fault(
            "action.corrupt.at",
            format!("byte {start} is in sector {sector}, which `lba` does not have"),
            "a place inside the rule's lba, counted in bytes from its first sector",
        )),
    }
}

fn parts(torn: &Torn) -> Result<(), Fault> {
    in_range("action.torn.parts", torn.parts.map(u64::from), 1, 16)?;
    let count = match (torn.parts, &torn.bytes) {
        (Some(parts), None) => u32::from(parts),
        (None, Some(bytes)) => {
            let whole = bytes.iter().all(|bytes| *bytes > 0);
            let count = u32::try_from(bytes.len())
                .unwrap_or(u32::MAX)
                .saturating_add(1);
            if !whole || !(2..=16).contains(&count) {
                let expected = "1 to 15 lengths in bytes, each at least 1";
                return Err(fault("action.torn.bytes", "these are no parts", expected));
            }
            count
        }
        (Some(_), Some(_)) => {
            let problem = "given together with `parts`";
            return Err(fault(
                "action.torn.bytes",
                problem,
                "either `parts` or `bytes`",
            ));
        }
        (None, None) => {
            let problem = "nothing says how it is cut";
            return Err(fault("action.torn", problem, "parts=N or bytes=A+B"));
        }
    };
    match torn.persist.highest() <= count {
        true => Ok(()),
        false => Err(fault(
            "action.torn.persist",
            format!("there is no part {}", torn.persist.highest()),
            format!("parts from 1 to {count}"),
        )),
    }
}

fn place(to: Place, facts: &DeviceFacts) -> Result<(), Fault> {
    let last = match to {
        Place::At(sector) => sector.0.saturating_add(1),
        Place::Random(Some(range)) => range.end().0,
        Place::After(sectors) | Place::Before(sectors) => sectors,
        Place::Random(None) => 0,
    };
    let field = "action.misdirect.to";
    if last > facts.sectors {
        let expected = format!(
            "a place inside the device, which has {} sectors",
            facts.sectors
        );
        return Err(fault(field, format!("found {to}"), expected));
    }
    let block = u64::from(facts.logical_block_bytes / 512).max(1);
    let aligned = match to {
        Place::At(sector) => sector.0.is_multiple_of(block),
        Place::After(sectors) | Place::Before(sectors) => sectors.is_multiple_of(block),
        Place::Random(_) => true,
    };
    match aligned {
        true => Ok(()),
        false => Err(fault(
            field,
            format!("found {to}"),
            format!("a multiple of the logical block, {block} sectors"),
        )),
    }
}

fn badmap(rule: &Rule, heal: Heal, wr_fail: u8) -> Result<(), Fault> {
    let Some(lba) = &rule.selector.lba else {
        let problem = "there is no `lba`, so no sector is bad";
        return Err(fault("where.lba", problem, "the bad sectors"));
    };
    in_range("action.badmap.wr_fail", Some(u64::from(wr_fail)), 0, 254)?;
    let sectors: u64 = lba
        .iter()
        .fold(0, |sum, range| sum.saturating_add(range.sectors()));
    let kept = heal != Heal::Never || wr_fail > 0;
    match kept && sectors > MAX_BAD_SECTORS {
        true => Err(fault(
            "where.lba",
            format!("{sectors} sectors are bad"),
            format!("at most {MAX_BAD_SECTORS} in a map, or heal=never and wr_fail=0"),
        )),
        false => Ok(()),
    }
}

fn throttle(action: &Action) -> Result<(), Fault> {
    let Action::Throttle {
        iops,
        bytes,
        burst,
        burst_bytes,
    } = action
    else {
        return Ok(());
    };
    in_range("action.throttle.iops", *iops, 1, 1_000_000_000)?;
    in_range("action.throttle.bytes", bytes.map(|b| b.0), 512, 1 << 50)?;
    in_range("action.throttle.burst", *burst, 1, 1 << 32)?;
    in_range(
        "action.throttle.burst_bytes",
        burst_bytes.map(|b| b.0),
        1,
        1 << 50,
    )?;
    if iops.is_none() && bytes.is_none() {
        return Err(fault(
            "action.throttle",
            "nothing is limited",
            "iops=N or bytes=N",
        ));
    }
    if burst.is_some() && iops.is_none() {
        let problem = "a burst of requests without `iops`";
        return Err(fault("action.throttle.burst", problem, "an iops beside it"));
    }
    if burst_bytes.is_some() && bytes.is_none() {
        let problem = "a burst of bytes without `bytes`";
        return Err(fault(
            "action.throttle.burst_bytes",
            problem,
            "bytes beside it",
        ));
    }
    Ok(())
}
