//! Documents that are read.

use fault::{Body, DeviceFacts, Document, Format, Rule};

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
    assert_eq!((one.seed, &one.rules), (Some(42), &other.rules));
    assert_eq!(other.seed, Some(42));
    let set = one.check(FACTS).unwrap();
    assert_eq!(set.len(), 5);
    assert_eq!(set.rules().next().unwrap().name, "pg-heap-once");
    let words: Vec<String> = one.rules.iter().map(Rule::to_string).collect();
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
    let body = Body::new(one.seed, one.rules.clone());
    for format in [Format::Toml, Format::Json] {
        let text = body.write(format).unwrap();
        let again = Document::parse("b", &text, format).unwrap();
        assert_eq!((again.seed, &again.rules), (one.seed, &one.rules), "{text}");
    }
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
    assert!(json.unwrap().rules.is_empty());
}

#[test]
fn the_name_tells_the_language() {
    for (name, format) in [
        ("a.json", Format::Json),
        ("a.JSON", Format::Json),
        (".json", Format::Json),
        ("a.toml", Format::Toml),
        ("rules", Format::Toml),
        ("é", Format::Toml),
    ] {
        assert_eq!(Format::of_name(name), format, "{name}");
    }
}
