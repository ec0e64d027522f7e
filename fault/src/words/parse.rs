//! Reads the sections of a rule into its type.

use super::action::action;
use super::actions::takes;
use super::fields::{Fields, Known, number, small, yes_or_no};
use super::scan::{Piece, sections};
use crate::error::{ValueError, WordsError};
use crate::options::Options;
use crate::rule::Rule;
use crate::selector::Selector;
use crate::span::parse_ns;
use crate::trigger::{Trigger, parse_prob};

const SELECTORS: Known = takes!(
    None,
    [
        "op", "lba", "overlap", "flags", "size", "align", "queue", "tag", "data", "inflight",
        "epoch"
    ],
    "a selector: op=, lba=, overlap=, flags=, size=, align=, queue=, tag=, data=, inflight= or epoch="
);

const TRIGGERS: Known = takes!(
    None,
    [
        "state",
        "after_mark",
        "from",
        "until",
        "during",
        "prob",
        "nth",
        "every",
        "seq",
        "skip",
        "count",
        "rate",
        "seed"
    ],
    "a trigger: state=, after_mark=, from=, until=, during=, skip=, nth=, every=, seq=, prob=, count=, \
     rate= or seed="
);

const OPTIONS: Known = takes!(
    None,
    [
        "prio",
        "final",
        "arm",
        "draw",
        "on_remove",
        "ttl",
        "seed",
        "allow_inert"
    ],
    "an option: prio=, final=, arm=, draw=, on_remove=, ttl=, seed= or allow_inert="
);

/// Reads a rule from words: `ACTION [where SEL,...] [when TRIG,...] [with OPT,...]`.
///
/// # Errors
/// The words are not a rule; the error names the column and what would be right there.
pub fn parse(name: &str, text: &str) -> Result<Rule, WordsError> {
    read(name, text).map_err(|error| WordsError::locate(text, error))
}

fn read(name: &str, text: &str) -> Result<Rule, ValueError> {
    let sections = sections(text)?;
    let none = Selector::default();
    Ok(Rule {
        name: name.to_owned(),
        action: action(sections.action)?,
        selector: sections.selectors.map_or(Ok(none), selector)?,
        trigger: sections.triggers.map_or(Ok(Trigger::default()), trigger)?,
        options: sections.options.map_or(Ok(Options::default()), options)?,
    })
}

fn selector(section: Piece<'_>) -> Result<Selector, ValueError> {
    let fields = Fields::read(section, SELECTORS, ", `when` or `with`")?;
    Ok(Selector {
        op: fields.get("op")?.unwrap_or_default(),
        lba: fields.get("lba")?,
        overlap: fields.get("overlap")?.unwrap_or_default(),
        flags: fields.get("flags")?,
        size: fields.get("size")?,
        align: fields.get("align")?,
        queue: fields.take("queue", small(0, u64::from(u16::MAX)))?,
        tag: fields.take("tag", small(0, u64::from(u16::MAX)))?,
        data: fields.get("data")?,
        inflight: fields.get("inflight")?,
        epoch: fields.get("epoch")?,
    })
}

fn trigger(section: Piece<'_>) -> Result<Trigger, ValueError> {
    let end = " between triggers, `with`, and `where` before `when`";
    let fields = Fields::read(section, TRIGGERS, end)?;
    let at_least_one = || number(1, u64::MAX);
    Ok(Trigger {
        state: fields.get("state")?,
        after_mark: fields.get("after_mark")?,
        from: fields.get("from")?,
        until: fields.get("until")?,
        during: fields.get("during")?,
        prob: fields.take("prob", parse_prob)?,
        nth: fields.take("nth", at_least_one())?,
        every: fields.take("every", at_least_one())?,
        seq: fields.get("seq")?,
        skip: fields.take("skip", number(0, u64::MAX))?,
        count: fields.take("count", at_least_one())?,
        rate: fields.get("rate")?,
        seed: fields.take("seed", number(0, u64::MAX))?,
    })
}

fn options(section: Piece<'_>) -> Result<Options, ValueError> {
    let fields = Fields::read(section, OPTIONS, " between options")?;
    Ok(Options {
        prio: fields.take("prio", prio)?.unwrap_or_default(),
        is_final: fields.take("final", yes_or_no)?.unwrap_or_default(),
        arm: fields.get("arm")?.unwrap_or_default(),
        draw: fields.get("draw")?.unwrap_or_default(),
        on_remove: fields.get("on_remove")?.unwrap_or_default(),
        ttl_ns: fields.take("ttl", parse_ns)?,
        seed: fields.take("seed", number(0, u64::MAX))?,
        allow_inert: fields.take("allow_inert", yes_or_no)?.unwrap_or_default(),
    })
}

fn prio(text: &str) -> Result<i32, ValueError> {
    let expected = "a whole number from -2147483648 to 2147483647";
    text.parse().map_err(|_| ValueError::new(0, text, expected))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::any_rule;

    #[test]
    fn short_forms_are_read() {
        for (text, canonical) in [
            ("fail", "fail(status=IOERR)"),
            ("fail()", "fail(status=IOERR)"),
            ("fail:MEDIUM", "fail(status=MEDIUM)"),
            ("fail(MEDIUM)", "fail(status=MEDIUM)"),
            ("fail:status=ENODATA", "fail(status=MEDIUM)"),
            (
                " delay:2ms  where op=write when prob=10%",
                "delay(dist=fixed:2ms) where op=write when prob=0.1",
            ),
            ("hold", "hold(max=1m)"),
            ("hold:5s", "hold(max=5s)"),
            (
                "hold( max=60s , then=fail:TIMEOUT )",
                "hold(max=1m,then=fail:TIMEOUT)",
            ),
            ("hold where op=any", "hold(max=1m)"),
            (
                "fail where op=rw , lba=1M+4K",
                "fail(status=IOERR) where op=read|write,lba=2048+8",
            ),
            (
                "fail when skip=0,count=1",
                "fail(status=IOERR) when skip=0,count=1",
            ),
            (
                "fail(MEDIUM,effect=prefix:4K) where op=write,size>=64K when seq=xW with prio=5,arm=manual",
                "fail(status=MEDIUM,effect=prefix:8) where op=write,size>=128 when seq=xW \
                 with prio=5,arm=manual",
            ),
            (
                "drop where flags=fua+!meta,size=4K",
                "drop where flags=fua+!meta,size=8",
            ),
            (
                "delay(lognormal:1ms/20ms)",
                "delay(dist=lognormal:1ms/20ms)",
            ),
            (
                "delay:dist=table:0=1ms/100=2ms",
                "delay(dist=table:0=1ms/100=2ms)",
            ),
            ("torn(parts=4,persist=1+3)", "torn(parts=4,persist=1+3)"),
            ("corrupt(bits=3)", "corrupt(places=3)"),
            ("misdirect(+8,lost=no)", "misdirect(to=+8,lost=no)"),
            ("remove", "remove"),
            (
                "set_state(broken) with seed=7",
                "set_state(state=broken) with seed=7",
            ),
        ] {
            let rule = parse("r", text).unwrap();
            assert_eq!(rule.to_string(), canonical, "{text}");
        }
    }

    /// Each bad rule with the column of its fault, what is there, and a word of what would be right.
    const BAD: [(&str, usize, &str, &str); 51] = [
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
        ("fail(MEDIUM", 12, "nothing", "`)`"),
        ("fail(MEDIUM)x", 13, "`x`", "`where`"),
        ("hang(1s)", 6, "`1s`", "no parameters"),
        ("torn(parts=2)", 1, "`torn`", "parts after it"),
        ("misdirect", 1, "`misdirect`", "to=+8"),
        ("corrupt(xor:0)", 13, "`0`", "two digits"),
        (
            "fail where flags=sync",
            18,
            "`sync`",
            "a server sees no others",
        ),
        ("fail where size>=x", 18, "`x`", "sectors"),
        ("fail when seq=xx", 16, "`x`", "X or W"),
        ("fail with prio=high", 16, "`high`", "a whole number"),
        ("fail with arm=later", 15, "`later`", "manual"),
        ("fail with prio=1 when nth=1", 18, "`when`", "before `with`"),
        (
            "fail:MEDIUM count=1",
            13,
            "`count=1`",
            "a comma, `where`, `when` or `with`",
        ),
        ("delay", 1, "`delay`", "delay(2ms)"),
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
        ("fail where queue=x", 18, "`x`", "a whole number"),
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
            "(fail|delay|hold|torn|where|when|with|op|lba|size|max|prob|=|<|!|,|:|[(]|[)]|/|\\||\\+|[.][.]| |1|é|%|ms){0,20}") {
            if let Err(error) = parse("r", &text) {
                prop_assert!(error.column <= text.chars().count() + 1);
            }
        }
    }
}
