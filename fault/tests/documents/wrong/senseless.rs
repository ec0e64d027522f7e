//! Rules that are read and refused by a device.

use super::Case;

/// What can be said, and makes no sense on the device.
pub(super) const SENSELESS: &[Case] = &[
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
        "when = { during = \"op:100/op:5\" }\naction = { fail = {} }\nwith = { draw = @\"address\" }",
        "rule[0].with.draw",
        "no such trigger",
    ),
    (
        "when = { from = \"epoch:1\", until = \"op:5\" }\naction = { fail = {} }\nwith = { draw = @\"address\" }",
        "rule[0].with.draw",
        "no such trigger",
    ),
    (
        "action = { fail = {} }\nwith = { ttl_ns = 5000, draw = @\"address\" }",
        "rule[0].with.draw",
        "no such trigger",
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
