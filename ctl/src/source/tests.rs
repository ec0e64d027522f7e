use api::RuleFile;

use super::*;

fn source(format: Format, text: &str) -> Source {
    let name = match format {
        Format::Toml => "rules.toml",
        Format::Json => "rules.json",
    };
    Source {
        name: name.to_owned(),
        text: text.to_owned(),
        format,
    }
}

fn wrong(format: Format, text: &str) -> Located {
    match source(format, text).parse::<RuleFile>() {
        Err(Failure::Located(located)) => *located,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn one_set_of_rules_has_two_forms() {
    let toml = "version = 1\nseed = 42\n\n[[rule]]\nname = \"once\"\nwhere = { op = [\"write\"], lba = \
                \"266240+8\" }\nwhen = { count = 1 }\naction = { fail = { status = \"MEDIUM\" } }\n";
    let json = r#"{"version":1,"seed":42,"rule":[{"name":"once","where":{"op":["write"],
        "lba":"266240+8"},"when":{"count":1},"action":{"fail":{"status":"MEDIUM"}}}]}"#;
    let of_toml: RuleFile = source(Format::Toml, toml).parse().unwrap();
    let of_json: RuleFile = source(Format::Json, json).parse().unwrap();
    assert_eq!(of_toml, of_json);
    let words = of_toml.rule[0].to_string();
    assert_eq!(
        words,
        "fail(status=MEDIUM) where op=write,lba=266240+8 when count=1"
    );
}

#[test]
fn what_is_wrong_is_located_in_toml() {
    let rule = "version = 1\n[[rule]]\nname = \"a\"\n";
    for (text, line, column, must_say) in [
        ("", 1, 1, "version"),
        ("version = 1\nseed = ]", 2, 8, "missing array"),
        ("version = 3", 1, 11, "expected 1"),
        ("version = 1\nrules = []", 2, 1, "rules"),
        (&format!("{rule}action = {{ burn = {{}} }}"), 4, 12, "burn"),
        (
            &format!("{rule}where = {{ lba = \"8..4\" }}"),
            4,
            17,
            "an end after 8",
        ),
        (
            &format!("{rule}where = {{ op = [\"reed\"] }}"),
            4,
            16,
            "reed",
        ),
    ] {
        let found = wrong(Format::Toml, text);
        assert!(found.problem.contains(must_say), "{text}: {found}");
        assert_eq!(
            (found.line, found.column),
            (line, column),
            "{text}: {found}"
        );
    }
}

#[test]
fn what_is_wrong_is_located_in_json() {
    for (text, line, column, must_say) in [
        ("", 1, 1, "EOF"),
        ("{\n\"version\": 1,\n]", 3, 1, "key must be a string"),
        ("{\"version\": 1}\n x", 2, 2, "trailing"),
        (
            "{\"version\": 1,\n \"rule\": [{\"name\": 7}]}",
            2,
            20,
            "a string",
        ),
        (
            "{\"version\": 1,\n \"rule\": [{\"name\": \"a\"}]}",
            2,
            11,
            "action",
        ),
        (
            "{\"version\": 1, \"rule\":\n[{\"where\": {\"lba\": \"8..4\"}}]}",
            2,
            20,
            "after 8",
        ),
    ] {
        let found = wrong(Format::Json, text);
        assert!(found.problem.contains(must_say), "{text}: {found}");
        assert_eq!(
            (found.line, found.column),
            (line, column),
            "{text}: {found}"
        );
    }
}

#[test]
fn what_the_daemon_refuses_is_located_too() {
    let text = "version = 1\n[[rule]]\nname = \"é\"\n\twhere = { lba = \"8\" }\n";
    let failure = source(Format::Toml, text).refuse("/rule/0/where/lba", "past the end");
    let Failure::Located(located) = failure else {
        panic!("{failure:?}");
    };
    assert_eq!(located.to_string(), "rules.toml:4:18: past the end");
    assert_eq!(
        located.excerpt(),
        "  \twhere = { lba = \"8\" }\n  \t                ^"
    );
}
