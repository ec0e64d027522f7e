//! Mistakes, each with the line and the column where it stands, the path of the field, and a word of what
//! would be right.

use fault::{ActionSet, DeviceFacts, Document, DocumentError, Format};

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

/// What no rule can say.
const MALFORMED: &[Case] = &[
    ("action = { @fial = {} }", "rule[0].action", "one of `fail`"),
    ("action = @{}", "rule[0].action", "one key"),
    (
        "action = { fail = {}, @drop = {} }",
        "rule[0].action",
        "one key only",
    ),
    ("action = @\"fail\"", "rule[0].action", "a table"),
    ("action = @5", "rule[0].action", "a table with one key"),
    ("action = { fail = @5 }", "rule[0].action.fail", "a table"),
    (
        "action = { fail = { @state = \"MEDIUM\" } }",
        "rule[0].action.fail.state",
        "`status`",
    ),
    (
        "action = { fail = { status = @\"MEDUIM\" } }",
        "rule[0].action.fail.status",
        "one of IOERR",
    ),
    (
        "action = { fail = { status = @\"EPERM\" } }",
        "rule[0].action.fail.status",
        "into EIO",
    ),
    (
        "action = { fail = { effect = @\"half\" } }",
        "rule[0].action.fail.effect",
        "prefix:SECTORS",
    ),
    (
        "action = { fail = { effect = @\"prefix:0\" } }",
        "rule[0].action.fail.effect",
        "at least one",
    ),
    (
        "action = { fail = { effect = @\"torn:20/1\" } }",
        "rule[0].action.fail.effect",
        "1 to 16",
    ),
    (
        "action = { fail = { scope = @\"sector\" } }",
        "rule[0].action.fail.scope",
        "`sectors`",
    ),
    ("action = { delay = @{} }", "rule[0].action.delay", "`dist`"),
    (
        "action = { delay = { dist = @\"2\" } }",
        "rule[0].action.delay.dist",
        "a unit",
    ),
    (
        "action = { delay = { dist = @\"2min\" } }",
        "rule[0].action.delay.dist",
        "a unit",
    ),
    (
        "action = { delay = { dist = @\"gauss:1ms\" } }",
        "rule[0].action.delay.dist",
        "lognormal",
    ),
    (
        "action = { delay = { dist = @\"uniform:5ms/1ms\" } }",
        "rule[0].action.delay.dist",
        "not less",
    ),
    (
        "action = { delay = { dist = @\"2h\" } }",
        "rule[0].action.delay.dist",
        "to 1h",
    ),
    (
        "action = { delay = { dist = \"2ms\", at = @\"end\" } }",
        "rule[0].action.delay.at",
        "`complete`",
    ),
    (
        "action = { hold = { max_ns = @true } }",
        "rule[0].action.hold.max_ns",
        "a time",
    ),
    (
        "action = { hold = { max_ns = @-5 } }",
        "rule[0].action.hold.max_ns",
        "a time",
    ),
    (
        "action = { hold = { then = @\"burn\" } }",
        "rule[0].action.hold.then",
        "`release`",
    ),
    (
        "action = { corrupt = { kind = @\"xor:0\" } }",
        "rule[0].action.corrupt.kind",
        "two digits",
    ),
    (
        "action = { corrupt = { kind = @\"melt\" } }",
        "rule[0].action.corrupt.kind",
        "flip",
    ),
    (
        "action = { corrupt = { bits = 1, @bytes = 2 } }",
        "rule[0].action.corrupt.bytes",
        "once",
    ),
    (
        "action = { torn = { parts = 4, persist = @\"0\" } }",
        "rule[0].action.torn.persist",
        "1 to 16",
    ),
    (
        "action = { torn = { parts = 4, persist = @[1, 17] } }",
        "rule[0].action.torn.persist",
        "1 to 16",
    ),
    (
        "action = { torn = @{ parts = 4 } }",
        "rule[0].action.torn",
        "`persist`",
    ),
    (
        "action = { misdirect = { to = @\"there\" } }",
        "rule[0].action.misdirect.to",
        "+SECTORS",
    ),
    (
        "action = { badmap = { heal = @\"time\" } }",
        "rule[0].action.badmap.heal",
        "after:N",
    ),
    (
        "action = { set_state = { state = @\"a b\" } }",
        "rule[0].action.set_state.state",
        "letters",
    ),
    (
        "action = { fail = {} }\n@prio = 1",
        "rule[0].prio",
        "`with`",
    ),
    (
        "action = { fail = {} }\nwhere = { op = @[] }",
        "rule[0].where.op",
        "at least one",
    ),
    (
        "action = { fail = {} }\nwhere = { op = @\"read\" }",
        "rule[0].where.op",
        "a list",
    ),
    (
        "action = { fail = {} }\nwhere = { op = @[\"reed\"] }",
        "rule[0].where.op",
        "one of read",
    ),
    (
        "action = { fail = {} }\nwhere = { lba = @\"8..4\" }",
        "rule[0].where.lba",
        "an end after 8",
    ),
    (
        "action = { fail = {} }\nwhere = { lba = @\"100B\" }",
        "rule[0].where.lba",
        "multiple of 512",
    ),
    (
        "action = { fail = {} }\nwhere = { flags = @\"sync\" }",
        "rule[0].where.flags",
        "no others",
    ),
    (
        "action = { fail = {} }\nwhere = { size = @\"big\" }",
        "rule[0].where.size",
        "sectors",
    ),
    (
        "action = { fail = {} }\nwhere = { data = @\"hex:abc\" }",
        "rule[0].where.data",
        "two hexadecimal",
    ),
    (
        "action = { fail = {} }\nwhere = { epoch = @\"7..3\" }",
        "rule[0].where.epoch",
        "an end after 7",
    ),
    (
        "action = { fail = {} }\nwhere = { queue = @70000 }",
        "rule[0].where.queue",
        "",
    ),
    (
        "action = { fail = {} }\nwhere = { @ops = [\"read\"] }",
        "rule[0].where.ops",
        "`op`",
    ),
    (
        "action = { fail = {} }\nwhen = { prob = @\"often\" }",
        "rule[0].when.prob",
        "from 0 to 1",
    ),
    (
        "action = { fail = {} }\nwhen = { nth = @-1 }",
        "rule[0].when.nth",
        "",
    ),
    (
        "action = { fail = {} }\nwhen = { seq = @\"xx\" }",
        "rule[0].when.seq",
        "X or W",
    ),
    (
        "action = { fail = {} }\nwhen = { from = @\"later\" }",
        "rule[0].when.from",
        "op:N",
    ),
    (
        "action = { fail = {} }\nwhen = { during = @\"3s/op:5\" }",
        "rule[0].when.during",
        "one kind",
    ),
    (
        "action = { fail = {} }\nwhen = { rate = @\"10\" }",
        "rule[0].when.rate",
        "10/s",
    ),
    (
        "action = { fail = {} }\nwith = { arm = @\"later\" }",
        "rule[0].with.arm",
        "manual",
    ),
    (
        "action = { fail = {} }\nwith = { draw = @\"lots\" }",
        "rule[0].with.draw",
        "`address`",
    ),
    (
        "action = { fail = {} }\nwith = { on_remove = @\"keep\" }",
        "rule[0].with.on_remove",
        "expire",
    ),
];

/// What can be said, and makes no sense on the device.
const SENSELESS: &[Case] = &[
    (
        "where = { lba = @\"4090+8\" }\naction = { fail = {} }",
        "rule[0].where.lba",
        "below 4096",
    ),
    (
        "where = { op = [\"read\"], size = \"<=0\", queue = @9 }\naction = { fail = {} }",
        "rule[0].where.queue",
        "0 to 1",
    ),
    (
        "where = { overlap = @\"exact\" }\naction = { fail = {} }",
        "rule[0].where.overlap",
        "an lba",
    ),
    (
        "where = { align = @0 }\naction = { fail = {} }",
        "rule[0].where.align",
        "at least one",
    ),
    (
        "where = { queue = @2 }\naction = { fail = {} }",
        "rule[0].where.queue",
        "0 to 1",
    ),
    (
        "where = { tag = @32 }\naction = { fail = {} }",
        "rule[0].where.tag",
        "0 to 31",
    ),
    (
        "where = { op = @[\"flush\"] }\naction = { fail = {} }",
        "rule[0].where.op",
        "another operation",
    ),
    (
        "where = { op = @[\"read\"] }\naction = { torn = { parts = 2, persist = \"1\" } }",
        "rule[0].where.op",
        "write",
    ),
    (
        "where = { op = @[\"discard\"] }\naction = { short = { sectors = 1 } }",
        "rule[0].where.op",
        "read, write",
    ),
    (
        "where = { op = @[\"write\"] }\naction = { corrupt = { on = \"destination\" } }",
        "rule[0].where.op",
        "read",
    ),
    (
        "where = { op = [\"read\"], data = @\"zero\" }\naction = { fail = {} }",
        "rule[0].where.data",
        "op=write",
    ),
    (
        "where = { flags = @\"fua\" }\naction = { fail = {} }",
        "rule[0].where.flags",
        "other flags",
    ),
    (
        "where = { inflight = @\"<1\" }\naction = { fail = {} }",
        "rule[0].where.inflight",
        "from 1",
    ),
    (
        "where = { size = @\"<0\" }\naction = { fail = {} }",
        "rule[0].where.size",
        "a request can have",
    ),
    (
        "when = { prob = @1.5 }\naction = { fail = {} }",
        "rule[0].when.prob",
        "from 0 to 1",
    ),
    (
        "when = { prob = @0.0 }\naction = { fail = {} }",
        "rule[0].when.prob",
        "above 0",
    ),
    (
        "when = { nth = @0 }\naction = { fail = {} }",
        "rule[0].when.nth",
        "1 or more",
    ),
    (
        "when = { nth = 1, every = @2 }\naction = { fail = {} }",
        "rule[0].when.every",
        "either",
    ),
    (
        "when = { nth = 1, count = @2 }\naction = { fail = {} }",
        "rule[0].when.count",
        "`every`",
    ),
    (
        "when = { nth = 1, seq = @\"xW\" }\naction = { fail = {} }",
        "rule[0].when.seq",
        "one of",
    ),
    (
        "when = { seq = @\"wwW\" }\naction = { fail = {} }",
        "rule[0].when.seq",
        "an `x`",
    ),
    (
        "when = { from = \"5s\", until = @\"3s\" }\naction = { fail = {} }",
        "rule[0].when.until",
        "after `from`",
    ),
    (
        "when = { seed = @2 }\naction = { fail = {} }",
        "rule[0].when.seed",
        "a prob",
    ),
    (
        "when = { rate = \"1/s\" }\naction = { fail = {} }\nwith = { draw = @\"address\" }",
        "rule[0].with.draw",
        "draw=order",
    ),
    (
        "action = { fail = {} }\nwith = { ttl_ns = @0 }",
        "rule[0].with.ttl_ns",
        "1 or more",
    ),
    (
        "action = { fail = { scope = @\"sectors\" } }",
        "rule[0].action.fail.scope",
        "an lba",
    ),
    (
        "action = { short = @{} }",
        "rule[0].action.short",
        "sectors=N",
    ),
    (
        "action = { short = { sectors = @0 } }",
        "rule[0].action.short.sectors",
        "at least one",
    ),
    (
        "action = { short = { sectors = 1, frac = @0.5 } }",
        "rule[0].action.short.frac",
        "either",
    ),
    (
        "action = { hold = { max_ns = @0 } }",
        "rule[0].action.hold.max_ns",
        "1 to",
    ),
    (
        "action = { delay = { dist = \"1ms\", lanes = @0 } }",
        "rule[0].action.delay.lanes",
        "1 to 64",
    ),
    (
        "action = { corrupt = { ber = @0 } }",
        "rule[0].action.corrupt.ber",
        "above 0",
    ),
    (
        "action = { corrupt = { places = 2, ber = @0.1 } }",
        "rule[0].action.corrupt.ber",
        "one of",
    ),
    (
        "action = { corrupt = { at = \"0+4\", burst = @3 } }",
        "rule[0].action.corrupt.burst",
        "in `at`",
    ),
    (
        "where.lba = \"8+8\"\naction = { corrupt = { at = @\"4096\" } }",
        "rule[0].action.corrupt.at",
        "inside",
    ),
    (
        "action = { torn = @{ persist = \"1\" } }",
        "rule[0].action.torn",
        "parts=N",
    ),
    (
        "action = { torn = { parts = 2, persist = @\"3\" } }",
        "rule[0].action.torn.persist",
        "1 to 2",
    ),
    (
        "action = { misdirect = { to = @\"4096\" } }",
        "rule[0].action.misdirect.to",
        "inside the device",
    ),
    (
        "action = { reorder = { window = @1 } }",
        "rule[0].action.reorder.window",
        "2 to 256",
    ),
    (
        "action = { throttle = @{} }",
        "rule[0].action.throttle",
        "iops=N",
    ),
    (
        "action = { throttle = { iops = 5, burst_bytes = @5 } }",
        "rule[0].action.throttle.burst_bytes",
        "bytes",
    ),
    (
        "action = { resize = { size = @0 } }",
        "rule[0].action.resize.size",
        "above 0",
    ),
    ("action = { pi = @{} }", "rule[0].action.pi", "`integrity`"),
    (
        "action = { drop = {} }\n[[rule]]\nname = \"s\"\naction = @{ fail = {} }",
        "rule[1].action",
        "higher prio",
    ),
    (
        "action = { fail = {} }\nwhen = { count = 1 }\n[[rule]]\nname = @\"r\"\naction = { drop = {} }",
        "rule[1].name",
        "its own",
    ),
];

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
    (Format::Json, "[]", 1, 1, "struct"),
    (
        Format::Json,
        "{\"version\": 1, \"seed\": 1e400}",
        1,
        24,
        "64 bits",
    ),
    (Format::Json, "{\"version\": 1, \"rule\": null}", 1, 24, ""),
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
        "f:5:17: rule[0].when.prob: rule `r`: found 1.5, expected a probability from 0 to 1"
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
