//! Documents that are read.

use fault::{DeviceFacts, Document, Format, Rule};

const FACTS: &DeviceFacts = &DeviceFacts::of_size(1 << 20);

const TOML: &str = r#"
version = 1
seed = 42

[[rule]]
name = "pg-heap-once"
where = { op = ["write"], lba = "266240+8", size = ">=4K" }
when  = { seq = "xW", skip = 2 }
action = { fail = { status = "MEDIUM", effect = "prefix:8" } }
with = { arm = "manual", prio = 5 }

[[rule]]
name = "lying-disk"
where = { op = ["flush"] }
action = { ignore_flush = {} }

[[rule]]
name = "slow"
[rule.where]
op = ["rw"]
align = 8
[rule.action.delay]
dist = "lognormal:200us/5ms"
at = "complete"

[[rule]]
name = "torn"
action.torn = { parts = 4, persist = [1, 3], unit = 4096 }
when.prob = "10%"

[[rule]]
name = "held"
action.hold = { max_ns = "5s", then = { fail = "TIMEOUT" } }
where.lba = "1M+4K"
when.count = 1
"#;

const JSON: &str = r#"{
  "version": 1, "seed": 42,
  "rule": [
    {"name": "pg-heap-once", "where": {"op": ["write"], "lba": "266240+8", "size": ">=4K"},
     "when": {"seq": "xW", "skip": 2}, "action": {"fail": {"status": "MEDIUM", "effect": "prefix:8"}},
     "with": {"arm": "manual", "prio": 5}},
    {"name": "lying-disk", "where": {"op": ["flush"]}, "action": {"ignore_flush": {}}},
    {"name": "slow", "where": {"op": ["rw"], "align": 8},
     "action": {"delay": {"dist": "lognormal:200us/5ms", "at": "complete"}}},
    {"name": "torn", "action": {"torn": {"parts": 4, "persist": "1+3", "unit": "4K"}}, "when": {"prob": 0.1}},
    {"name": "held", "action": {"hold": {"max_ns": 5000000000, "then": {"fail": "TIMEOUT"}}},
     "where": {"lba": "2048+8"}, "when": {"count": 1}}
  ]
}"#;

fn toml(text: &str) -> Document {
    Document::parse("a.toml", text, Format::Toml).unwrap()
}

#[test]
fn both_languages_say_the_same() {
    let one = toml(TOML);
    let other = Document::parse("a.json", JSON, Format::Json).unwrap();
    assert_eq!(one.file, other.file);
    assert_eq!(one.file.seed, Some(42));
    let set = one.check(FACTS).unwrap();
    assert_eq!(set.len(), 5);
    assert_eq!(set.rules().next().unwrap().name, "pg-heap-once");
    let words: Vec<String> = one.file.rule.iter().map(Rule::to_string).collect();
    assert_eq!(
        words,
        [
            "fail(status=MEDIUM,effect=prefix:8) where op=write,lba=266240+8,size>=8 when seq=xW,skip=2 \
             with prio=5,arm=manual",
            "ignore_flush where op=flush",
            "delay(dist=lognormal:200us/5ms,at=complete) where op=read|write,align=8",
            "torn(parts=4,persist=1+3,unit=4K) when prob=0.1",
            "hold(max=5s,then=fail:TIMEOUT) where lba=2048+8 when count=1",
        ]
    );
}

#[test]
fn what_is_written_is_read_again() {
    let one = toml(TOML);
    for format in [Format::Toml, Format::Json] {
        let text = one.file.write(format).unwrap();
        let again = Document::parse("b", &text, format).unwrap();
        assert_eq!(again.file, one.file, "{text}");
    }
    let text = one.file.write(Format::Words).unwrap();
    assert_eq!(Format::of("-", &text), Format::Words);
    let again = Document::parse("b", &text, Format::Words).unwrap();
    // Words have no place for a seed of all rules.
    assert_eq!(again.file.rule, one.file.into_rules(), "{text}");
}

#[test]
fn a_document_may_keep_inert_rules() {
    let text =
        "version = 1\n[[rule]]\nname = \"a\"\naction = { fail = {} }\nwhen = { prob = 0.0 }\n";
    assert!(toml(text).check(FACTS).is_err());
    assert!(
        toml(&format!("allow_inert = true\n{text}"))
            .check(FACTS)
            .is_ok()
    );
}

#[test]
fn a_document_without_rules_is_one() {
    assert!(toml("version = 1").check(FACTS).unwrap().is_empty());
    let json = Document::parse("a.json", r#"{"version":1,"rule":[]}"#, Format::Json);
    assert!(json.unwrap().file.rule.is_empty());
}

#[test]
fn name_and_text_tell_the_language() {
    for (name, text, format) in [
        ("a.json", "", Format::Json),
        ("a.JSON", "a: fail", Format::Json),
        (".json", "", Format::Json),
        ("a.toml", "{", Format::Toml),
        ("rules", "version = 1", Format::Toml),
        ("rules", "version = 1 # a: b", Format::Toml),
        ("rules", "[[rule]]\nname = \"a: b\"", Format::Toml),
        ("standard input", " {\"version\": 1}", Format::Json),
        ("rules", "# those of today\n\nbad.1: fail", Format::Words),
        ("é", "", Format::Toml),
    ] {
        assert_eq!(Format::of(name, text), format, "{name}: {text}");
    }
}

#[test]
fn a_rule_a_line() {
    let text = "# two rules\n\nbad: fail:MEDIUM where op=read,lba=2048+8\n  slow : delay:2ms\n";
    let rules = Document::parse("r", text, Format::Words).unwrap().file.rule;
    let found: Vec<(&str, String)> = rules
        .iter()
        .map(|rule| (rule.name.as_str(), rule.to_string()))
        .collect();
    let bad = "fail(status=MEDIUM) where op=read,lba=2048+8".to_owned();
    assert_eq!(
        found,
        [("bad", bad), ("slow", "delay(dist=fixed:2ms)".to_owned())]
    );
}
