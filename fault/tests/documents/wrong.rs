//! Mistakes, each with the line and the column where it stands, the path of the field, and a word of what
//! would be right.

mod malformed;
mod senseless;

use fault::{ActionSet, DeviceFacts, Document, DocumentError, Format};

use malformed::MALFORMED;
use senseless::SENSELESS;

/// A device of 2 MiB with two queues, without volatile cache and protection information.
const FACTS: &DeviceFacts = &DeviceFacts {
    queues: 2,
    depth: 32,
    has_volatile_cache: false,
    ..DeviceFacts::of_size(4096)
};

fn error(text: &str, format: Format, facts: &DeviceFacts) -> DocumentError {
    match Document::parse("f", text, format) {
        Ok(document) => match document.check(facts) {
            Ok(_) => panic!("it is accepted:\n{text}"),
            Err(error) => error,
        },
        Err(error) => error,
    }
}

/// One rule in TOML: what follows its name, which is in line 3. The mistake is marked by `@`.
type Case = (&'static str, &'static str, &'static str);

fn check(cases: &[Case], facts: &DeviceFacts) {
    for (body, path, expected) in cases {
        let marked = format!("version = 1\n[[rule]]\nname = \"r\"\n{body}\n");
        let at = marked
            .find('@')
            .unwrap_or_else(|| panic!("no mark in {body}"));
        let text = marked.replacen('@', "", 1);
        let found = error(&text, Format::Toml, facts);
        let before = &marked[..at];
        let line = before.matches('\n').count() + 1;
        let column = before
            .rsplit('\n')
            .next()
            .unwrap_or_default()
            .chars()
            .count()
            + 1;
        assert_eq!(
            (found.line, found.column),
            (line, column),
            "{body}\n{found}"
        );
        assert_eq!(found.path, *path, "{body}\n{found}");
        assert!(found.expected.contains(expected), "{body}\n{found}");
    }
}

#[test]
fn there_are_enough_of_them() {
    assert!(MALFORMED.len() + SENSELESS.len() + WHOLE.len() >= 60);
}

#[test]
fn what_no_rule_can_say_is_located() {
    check(MALFORMED, FACTS);
}

#[test]
fn what_makes_no_sense_is_located() {
    check(SENSELESS, FACTS);
}

/// Whole documents, with line, column and a word of the message.
const WHOLE: &[(Format, &str, usize, usize, &str)] = &[
    (Format::Toml, "", 1, 1, "expected `version`"),
    (Format::Toml, "version = 2", 1, 11, "expected 1"),
    (Format::Toml, "version = 1\nrules = []", 2, 1, "`rule`"),
    (Format::Toml, "version = 1\nseed = -1", 2, 8, "-1"),
    (Format::Toml, "version = 1\nversion = 1", 2, 1, "duplicate"),
    (
        Format::Toml,
        "version = 1\n[[rule]]\nname = \"a",
        3,
        10,
        "TOML",
    ),
    (
        Format::Toml,
        "version = 1\n[[rule]]\nname = \"é\" x",
        3,
        12,
        "TOML",
    ),
    (
        Format::Toml,
        "version = 1\n[[rule]]\nname = 1979-05-27",
        3,
        8,
        "no date",
    ),
    (
        Format::Toml,
        "version = 1\n[[rule]]\nname = \"a\"",
        2,
        1,
        "expected `action`",
    ),
    (Format::Words, "a: fail\nb fail", 2, 1, "NAME: ACTION"),
    (Format::Words, "a: fail\n\tb c: fail", 2, 3, "and a colon"),
    (
        Format::Words,
        "# é\n b: fail wher op=read",
        2,
        10,
        "`where`",
    ),
    (Format::Words, "é", 1, 1, "a rule"),
    (
        Format::Words,
        "a: fail\nb: fail where lba=4090+8",
        2,
        19,
        "below 4096",
    ),
    (
        Format::Words,
        "a: fail where op=read\na: fail where op=write",
        2,
        1,
        "a name of its own",
    ),
    (
        Format::Words,
        " b : hold(10s) where op=read,lba=8+8 when prob=0 with seed=1",
        1,
        48,
        "above 0",
    ),
    (Format::Json, "", 1, 1, "JSON"),
    (Format::Json, "{\"version\": 1,}", 1, 15, "JSON"),
    (
        Format::Json,
        "{\"version\": 1,\n \"version\": 1}",
        2,
        2,
        "only once",
    ),
    (Format::Json, "{\"version\": 1}\nx", 2, 1, "trailing"),
    (
        Format::Json,
        "{\"version\": 1, \"rule\": [\n  {\"name\": \"é\",  \"acton\": {}}]}",
        2,
        18,
        "`action`",
    ),
    (
        Format::Json,
        "{\"version\": 1, \"rule\": [\n  {\"name\": \"a\", \"action\": {\"fail\": {}},\n   \"when\": {\"prob\": 2}}]}",
        3,
        21,
        "from 0 to 1",
    ),
    (Format::Json, "[]", 1, 1, "a table of keys"),
    (
        Format::Json,
        "{\"version\": 1, \"seed\": 1e400}",
        1,
        24,
        "64 bits",
    ),
    (
        Format::Json,
        "{\"version\": 1, \"rule\": null}",
        1,
        24,
        "a list",
    ),
];

#[test]
fn whole_documents_are_located() {
    for (format, text, line, column, word) in WHOLE {
        let found = error(text, *format, FACTS);
        assert_eq!(
            (found.line, found.column),
            (*line, *column),
            "{text}\n{found}"
        );
        assert!(found.to_string().contains(word), "{text}\n{found}");
    }
}

#[test]
fn a_message_is_one_line_with_everything() {
    let text =
        "version = 1\n[[rule]]\nname = \"r\"\naction = { fail = {} }\nwhen = { prob = 1.5 }\n";
    assert_eq!(
        error(text, Format::Toml, FACTS).to_string(),
        "f:5:17: rule `r`: when.prob: found 1.5, expected a probability from 0 to 1"
    );
}

#[test]
fn what_the_daemon_cannot_do_is_located_too() {
    let facts = DeviceFacts {
        supported: ActionSet::FAIL,
        ..*FACTS
    };
    check(
        &[(
            "action = @{ delay = { dist = \"1ms\" } }",
            "rule[0].action",
            "this daemon",
        )],
        &facts,
    );
}
