//! Reads the sections of a rule into its type.

use std::str::FromStr;

use super::scan::{Item, Piece, sections};
use crate::action::{Action, DEFAULT_HOLD_NS, MAX_PARK_NS, Then};
use crate::error::{ValueError, WordsError};
use crate::rule::Rule;
use crate::selector::Selector;
use crate::span::{format_ns, parse_ns};
use crate::trigger::{Trigger, parse_prob};
use crate::{Overlap, Status};

const ACTIONS: &str = "an action: fail[:STATUS], delay:TIME or hold[:max=TIME]";
const SELECTORS: &str = "a selector: op=, lba= or overlap=";
const TRIGGERS: &str = "a trigger: prob=, nth=, every=, skip=, count= or seed=";

/// Reads a rule from words: `ACTION [where SEL,...] [when TRIG,...]`.
///
/// # Errors
/// The words are not a rule; the error names the column and what would be right there.
pub fn parse(name: &str, text: &str) -> Result<Rule, WordsError> {
    read(name, text).map_err(|error| WordsError::locate(text, error))
}

fn read(name: &str, text: &str) -> Result<Rule, ValueError> {
    let sections = sections(text)?;
    Ok(Rule {
        name: name.to_owned(),
        action: action(sections.action)?,
        selector: sections
            .selectors
            .map_or(Ok(Selector::default()), selector)?,
        trigger: sections.triggers.map_or(Ok(Trigger::default()), trigger)?,
    })
}

fn action(piece: Piece<'_>) -> Result<Action, ValueError> {
    let (name, parameters) = match piece.split_once(':') {
        Some((name, rest)) => (name, Some(rest)),
        None => {
            // Without parameters, what follows a space can only be a misspelt keyword.
            let word = piece.items(ACTIONS, " after parameters, `where` or `when`")?;
            match word.as_slice() {
                [Item { key: None, .. }] => (piece, None),
                _ => return Err(piece.refuse(ACTIONS)),
            }
        }
    };
    let items = |expected: &str| match parameters {
        Some(parameters) => parameters.items(expected, ", `where` or `when`"),
        None => Ok(Vec::new()),
    };
    match name.text {
        "fail" => fail(&items("a status, such as MEDIUM")?),
        "delay" => delay(name, &items("a time, such as 2ms")?),
        "hold" => hold(&items("max=TIME or then=release|fail:STATUS")?),
        _ => Err(name.refuse(ACTIONS)),
    }
}

fn fail(items: &[Item<'_>]) -> Result<Action, ValueError> {
    let mut status = None;
    for item in items {
        match item.key.map(|key| (key, key.text)) {
            None => set(&mut status, item.value, item.value.read(Status::from_str)?)?,
            Some((key, "status")) => set(&mut status, key, item.value.read(Status::from_str)?)?,
            Some((key, _)) => return Err(key.refuse("status=STATUS")),
        }
    }
    Ok(Action::Fail {
        status: status.unwrap_or_default(),
    })
}

fn delay(name: Piece<'_>, items: &[Item<'_>]) -> Result<Action, ValueError> {
    let mut ns = None;
    for item in items {
        match item.key {
            None => set(&mut ns, item.value, park_ns(item.value)?)?,
            Some(key) => return Err(key.refuse("a time alone, such as delay:2ms")),
        }
    }
    let ns = ns.ok_or_else(|| name.refuse("a time after it, such as delay:2ms"))?;
    Ok(Action::Delay { ns })
}

fn hold(items: &[Item<'_>]) -> Result<Action, ValueError> {
    let (mut max_ns, mut then) = (None, None);
    for item in items {
        match item.key.map(|key| (key, key.text)) {
            Some((key, "max")) => set(&mut max_ns, key, park_ns(item.value)?)?,
            Some((key, "then")) => set(&mut then, key, then_what(item.value)?)?,
            Some((key, _)) => return Err(key.refuse("max=TIME or then=release|fail:STATUS")),
            None => set(&mut max_ns, item.value, park_ns(item.value)?)?,
        }
    }
    Ok(Action::Hold {
        max_ns: max_ns.unwrap_or(DEFAULT_HOLD_NS),
        then: then.unwrap_or_default(),
    })
}

/// A time for which a request may be kept.
fn park_ns(value: Piece<'_>) -> Result<u64, ValueError> {
    let ns = value.read(parse_ns)?;
    if (1..=MAX_PARK_NS).contains(&ns) {
        Ok(ns)
    } else {
        Err(value.refuse(format!("a time from 1ns to {}", format_ns(MAX_PARK_NS))))
    }
}

fn then_what(value: Piece<'_>) -> Result<Then, ValueError> {
    match value.split_once(':') {
        None if value.text == "release" => Ok(Then::Release),
        None if value.text == "fail" => Ok(Then::Fail(Status::default())),
        Some((word, status)) if word.text == "fail" => {
            status.read(Status::from_str).map(Then::Fail)
        }
        _ => Err(value.refuse("release or fail:STATUS")),
    }
}

fn selector(section: Piece<'_>) -> Result<Selector, ValueError> {
    let (mut op, mut lba, mut overlap) = (None, None, None);
    for item in section.items(SELECTORS, " or `when`")? {
        let key = item.key.ok_or_else(|| item.value.refuse(SELECTORS))?;
        match key.text {
            "op" => set(&mut op, key, item.value.read(FromStr::from_str)?)?,
            "lba" => set(&mut lba, key, item.value.read(FromStr::from_str)?)?,
            "overlap" => set(&mut overlap, key, item.value.read(Overlap::from_str)?)?,
            _ => return Err(key.refuse(SELECTORS)),
        }
    }
    Ok(Selector {
        op: op.unwrap_or_default(),
        lba,
        overlap: overlap.unwrap_or_default(),
    })
}

fn trigger(section: Piece<'_>) -> Result<Trigger, ValueError> {
    let mut trigger = Trigger::default();
    for item in section.items(TRIGGERS, " between triggers, and `where` before `when`")? {
        let key = item.key.ok_or_else(|| item.value.refuse(TRIGGERS))?;
        match key.text {
            "prob" => set(&mut trigger.prob, key, item.value.read(parse_prob)?)?,
            "nth" => set(&mut trigger.nth, key, number(item.value, 1)?)?,
            "every" => set(&mut trigger.every, key, number(item.value, 1)?)?,
            "skip" => set(&mut trigger.skip, key, number(item.value, 0)?)?,
            "count" => set(&mut trigger.count, key, number(item.value, 1)?)?,
            "seed" => set(&mut trigger.seed, key, number(item.value, 0)?)?,
            _ => return Err(key.refuse(TRIGGERS)),
        }
    }
    Ok(trigger)
}

fn number(value: Piece<'_>, least: u64) -> Result<u64, ValueError> {
    let expected = || value.refuse(format!("a whole number from {least} to 2^64 - 1"));
    let all_digits = value.text.bytes().all(|byte| byte.is_ascii_digit());
    let number = value
        .text
        .parse()
        .ok()
        .filter(|number| all_digits && *number >= least);
    number.ok_or_else(expected)
}

/// Fills a slot that may be filled once.
fn set<T>(slot: &mut Option<T>, place: Piece<'_>, value: T) -> Result<(), ValueError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(place.refuse("each thing only once")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::any_rule;

    #[test]
    fn short_forms_are_read() {
        for (text, canonical) in [
            ("fail", "fail:status=IOERR"),
            ("fail:MEDIUM", "fail:status=MEDIUM"),
            ("fail:status=ENODATA", "fail:status=MEDIUM"),
            (
                " delay:2ms  where op=write when prob=10%",
                "delay:2ms where op=write when prob=0.1",
            ),
            ("hold", "hold:max=1m"),
            ("hold:5s", "hold:max=5s"),
            (
                "hold:max=60s,then=fail:TIMEOUT",
                "hold:max=1m,then=fail:TIMEOUT",
            ),
            ("hold where op=any", "hold:max=1m"),
            (
                "fail where op=rw , lba=1M+4K",
                "fail:status=IOERR where op=read|write,lba=2048+8",
            ),
            (
                "fail when skip=0,count=1",
                "fail:status=IOERR when skip=0,count=1",
            ),
        ] {
            assert_eq!(parse("r", text).unwrap().to_string(), canonical, "{text}");
        }
    }

    /// Each bad rule with the column of its fault, what is there, and a word of what would be right.
    const BAD: [(&str, usize, &str, &str); 39] = [
        ("", 1, "nothing", "an action"),
        ("   ", 4, "nothing", "an action"),
        ("where op=read", 1, "nothing", "an action"),
        ("explode", 1, "`explode`", "an action"),
        ("fail,delay:2ms", 1, "`fail,delay`", "an action"),
        ("fail wher op=read", 6, "`wher`", "`where`"),
        ("fail:", 6, "nothing", "a status"),
        ("fail:MEDUIM", 6, "`MEDUIM`", "MEDIUM"),
        ("fail:EPERM", 6, "`EPERM`", "into EIO"),
        ("fail:status=EROFS", 13, "`EROFS`", "into EIO"),
        ("fail:errno=EIO", 6, "`errno`", "status="),
        ("fail:MEDIUM,NOSPC", 13, "`NOSPC`", "only once"),
        (
            "fail:MEDIUM count=1",
            13,
            "`count=1`",
            "a comma, `where` or `when`",
        ),
        ("delay", 1, "`delay`", "delay:2ms"),
        ("delay:2", 8, "nothing", "a unit"),
        ("delay:0ms", 7, "`0ms`", "from 1ns"),
        ("delay:2h", 7, "`2h`", "to 1h"),
        ("delay:ns=5", 7, "`ns`", "a time alone"),
        ("hold:max=2h", 10, "`2h`", "to 1h"),
        ("hold:max=0s", 10, "`0s`", "from 1ns"),
        ("hold:then=burn", 11, "`burn`", "release or fail"),
        ("hold:then=fail:XX", 16, "`XX`", "a status"),
        ("hold:for=2s", 6, "`for`", "max=TIME"),
        ("fail where", 11, "nothing", "a selector"),
        ("fail where op", 12, "`op`", "op="),
        ("fail where op=reed", 15, "`reed`", "one of read"),
        ("fail where op=read|", 20, "nothing", "one of read"),
        ("fail where op=read,", 20, "nothing", "a selector"),
        ("fail where op=read lba=8", 20, "`lba=8`", "a comma"),
        ("fail where op=read,op=write", 20, "`op`", "only once"),
        ("fail where lba=8..4", 19, "`4`", "an end after 8"),
        ("fail where lba=100B", 16, "`100B`", "a multiple of 512"),
        ("fail where queue=1", 12, "`queue`", "a selector"),
        ("fail where overlap=some", 20, "`some`", "one of any"),
        ("fail where op=read where lba=8", 20, "`where`", "only once"),
        (
            "fail when count=1 where op=read",
            19,
            "`where`",
            "before `when`",
        ),
        ("fail when prob=1.5", 16, "`1.5`", "from 0 to 1"),
        ("fail when nth=0", 15, "`0`", "from 1"),
        ("fail when count=+1", 17, "`+1`", "a whole number"),
    ];

    #[test]
    fn bad_words_are_located() {
        for (text, column, found, expected) in BAD {
            let error = parse("r", text).unwrap_err();
            assert_eq!(
                (error.column, error.found.as_str()),
                (column, found),
                "{text}: {error}"
            );
            assert!(error.expected.contains(expected), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn every_rule_survives_its_words(rule in any_rule()) {
            prop_assert_eq!(parse(&rule.name, &rule.to_string()), Ok(rule));
        }

        #[test]
        fn every_rule_survives_its_json(rule in any_rule()) {
            let json = serde_json::to_string(&rule).unwrap();
            prop_assert_eq!(serde_json::from_str::<Rule>(&json).unwrap(), rule);
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,60}") {
            if let Err(error) = parse("r", &text) {
                prop_assert!(error.column <= text.chars().count() + 1);
                prop_assert!(!error.render().is_empty());
            }
        }

        #[test]
        fn no_text_of_our_words_panics(text in
            "(fail|delay|hold|where|when|op|lba|max|prob|=|,|:|\\||\\+|[.][.]| |1|é|%|ms){0,20}") {
            if let Err(error) = parse("r", &text) {
                prop_assert!(error.column <= text.chars().count() + 1);
            }
        }
    }
}
