//! Reads the action of a rule.

use super::fields::{Fields, number, small, yes_or_no};
use super::scan::{Item, Piece};
use crate::Status;
use crate::action::{
    Action, Corruption, DEFAULT_HOLD_NS, DEFAULT_REORDER_NS, MAX_PARK_NS, Torn, parse_parts,
};
use crate::error::ValueError;
use crate::options::OnRemove;
use crate::span::{format_ns, parse_ns};
use crate::trigger::parse_prob;
use crate::words::actions::{ACTIONS, known};

/// Reads `NAME`, `NAME(PARAMETERS)` or `NAME:PARAMETERS`.
pub(super) fn action(piece: Piece<'_>) -> Result<Action, ValueError> {
    let (name, parameters) = parts(piece)?;
    let known = known(name.text).ok_or_else(|| name.refuse(ACTIONS))?;
    let fields = match parameters {
        Some(parameters) => Fields::read(parameters, known, ", `where`, `when` or `with`")?,
        None => Fields::none(),
    };
    read(name, &fields)
}

/// The name and the parameters.
fn parts(piece: Piece<'_>) -> Result<(Piece<'_>, Option<Piece<'_>>), ValueError> {
    let Some(sign) = piece.text.find(['(', ':']) else {
        // Without parameters, what follows a space can only be a misspelt keyword.
        let word = piece.items(ACTIONS, " after parameters, `where`, `when` or `with`")?;
        return match word.as_slice() {
            [Item { key: None, .. }] => Ok((piece, None)),
            _ => Err(piece.refuse(ACTIONS)),
        };
    };
    let name = piece.part(0, sign);
    if piece.text[sign..].starts_with(':') {
        return Ok((name, Some(piece.part(sign + 1, piece.text.len()))));
    }
    let Some(end) = piece.text.find(')') else {
        let end = piece.part(piece.text.len(), piece.text.len());
        return Err(end.refuse("`)` after the parameters"));
    };
    let rest = piece.part(end + 1, piece.text.len());
    if let Some(word) = rest.text.split_whitespace().next() {
        let wrong = Piece {
            text: word,
            at: rest.at,
        };
        return Err(wrong.refuse("`where`, `when`, `with` or nothing after the action"));
    }
    let inner = piece.part(sign + 1, end);
    Ok((name, (!inner.text.is_empty()).then_some(inner)))
}

fn read(name: Piece<'_>, fields: &Fields<'_>) -> Result<Action, ValueError> {
    let without = |what: &str| name.refuse(what);
    Ok(match name.text {
        "fail" => Action::Fail {
            status: fields.get_or("status", Status::default())?,
            effect: fields.get("effect")?.unwrap_or_default(),
            scope: fields.get("scope")?.unwrap_or_default(),
        },
        "short" => Action::Short {
            sectors: fields.get("sectors")?,
            frac: fields.take("frac", parse_prob)?,
        },
        "delay" => Action::Delay {
            dist: fields
                .get("dist")?
                .ok_or_else(|| without("a time after it, such as delay(2ms)"))?,
            at: fields.get("at")?.unwrap_or_default(),
            lanes: fields.take("lanes", small(1, 64))?,
        },
        "hang" => Action::Hang {},
        "hold" => Action::Hold {
            max_ns: fields.take("max", park_ns)?.unwrap_or(DEFAULT_HOLD_NS),
            then: fields.take("then", then)?.unwrap_or_default(),
        },
        "drop" => Action::Drop {},
        "corrupt" => Action::Corrupt(corruption(fields)?),
        "torn" => Action::Torn(torn(name, fields)?),
        "misdirect" => Action::Misdirect {
            to: fields
                .get("to")?
                .ok_or_else(|| without("a place after it, such as misdirect(to=+8)"))?,
            lost: fields.take("lost", yes_or_no)?.unwrap_or(true),
        },
        "badmap" => Action::Badmap {
            heal: fields.get("heal")?.unwrap_or_default(),
            wr_fail: fields.take("wr_fail", small(0, 254))?.unwrap_or(0),
            status: fields.get_or("status", Status::Medium)?,
        },
        "ignore_flush" => Action::IgnoreFlush {},
        "ignore_fua" => Action::IgnoreFua {},
        _ => return of_device(name, fields),
    })
}

/// Actions on more than one request.
fn of_device(name: Piece<'_>, fields: &Fields<'_>) -> Result<Action, ValueError> {
    let without = |what: &str| name.refuse(what);
    Ok(match name.text {
        "reorder" => Action::Reorder {
            window: fields
                .take("window", small(2, 256))?
                .ok_or_else(|| without("a window after it, such as reorder(window=8)"))?,
            hold_ns: fields.take("hold", park_ns)?.unwrap_or(DEFAULT_REORDER_NS),
        },
        "throttle" => Action::Throttle {
            iops: fields.take("iops", number(1, u64::MAX))?,
            bytes: fields.get("bytes")?,
            burst: fields.take("burst", number(1, u64::MAX))?,
            burst_bytes: fields.get("burst_bytes")?,
        },
        "remove" => Action::Remove {
            how: fields.get("how")?.unwrap_or_default(),
            return_ns: fields.take("return", park_ns)?,
        },
        "crash_server" => Action::CrashServer {
            point: fields.get("point")?.unwrap_or_default(),
        },
        "resize" => Action::Resize {
            size: fields
                .get("size")?
                .ok_or_else(|| without("a size after it, such as resize(size=1G)"))?,
        },
        "readonly" => Action::Readonly {
            on: fields.take("on", yes_or_no)?.unwrap_or(true),
        },
        "pi" => Action::Pi {
            tag: fields.get("tag")?.unwrap_or_default(),
        },
        "set_state" => Action::SetState {
            state: fields
                .get("state")?
                .ok_or_else(|| without("a name after it, such as set_state(broken)"))?,
        },
        "mark" => Action::Mark {
            label: fields
                .get("label")?
                .ok_or_else(|| without("a name after it, such as mark(cut)"))?,
        },
        "notify" => Action::Notify {},
        _ => return Err(name.refuse(ACTIONS)),
    })
}

fn corruption(fields: &Fields<'_>) -> Result<Corruption, ValueError> {
    Ok(Corruption {
        on: fields.get("on")?.unwrap_or_default(),
        kind: fields.get("kind")?.unwrap_or_default(),
        places: fields.take("places", small(1, 4096))?,
        ber: fields.take("ber", parse_prob)?,
        at: fields.get("at")?,
        burst: fields.take("burst", small(1, 65536))?,
    })
}

fn torn(name: Piece<'_>, fields: &Fields<'_>) -> Result<Torn, ValueError> {
    let persist = fields.get("persist")?.ok_or_else(|| {
        name.refuse("parts after it that reach the medium, such as torn(parts=4,persist=1+3)")
    })?;
    Ok(Torn {
        parts: fields.take("parts", parse_parts)?,
        bytes: fields.take("bytes", lengths)?,
        persist,
        unit: fields.get("unit")?.unwrap_or_default(),
        status: fields.get("status")?,
    })
}

/// Lengths in bytes, joined by `+`.
fn lengths(text: &str) -> Result<Vec<u32>, ValueError> {
    let mut lengths = Vec::new();
    let mut at = 0;
    for word in text.split('+') {
        let length = word.parse().map_err(|e: ValueError| e.shifted(at))?;
        let crate::length::Bytes(length) = length;
        let length = u32::try_from(length).ok();
        let expected = "lengths in bytes joined by `+`, such as 512+1024";
        lengths.push(length.ok_or_else(|| ValueError::new(at, word, expected))?);
        at += word.len() + 1;
    }
    Ok(lengths)
}

/// A time for which a request may be kept.
fn park_ns(text: &str) -> Result<u64, ValueError> {
    let ns = parse_ns(text)?;
    if (1..=MAX_PARK_NS).contains(&ns) {
        return Ok(ns);
    }
    let expected = format!("a time from 1ns to {}", format_ns(MAX_PARK_NS));
    Err(ValueError::new(0, text, expected))
}

fn then(text: &str) -> Result<crate::action::Then, ValueError> {
    use crate::action::Then;
    let refused = || ValueError::new(0, text, "release or fail:STATUS");
    match text.parse::<OnRemove>() {
        Ok(OnRemove::Release) => Ok(Then::Release),
        Ok(OnRemove::Fail(status)) => Ok(Then::Fail(status)),
        Ok(OnRemove::Expire) => Err(refused()),
        Err(error) if text.starts_with("fail:") => Err(error),
        Err(_) => Err(refused()),
    }
}
