//! Rules that cannot be read.

use super::Case;

/// What no rule can say.
pub(super) const MALFORMED: &[Case] = &[
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
        "a whole number from 0 to 65535",
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
        "a whole number from",
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
