//! The parameters that each action takes.

use super::fields::Known;

/// What a rule may do, for messages.
pub(super) const ACTIONS: &str = "an action: fail, short, delay(TIME), hang, hold, drop, corrupt, torn, misdirect, badmap, \
     ignore_flush, ignore_fua, reorder, throttle, remove, crash_server, resize, readonly, pi, set_state, \
     mark or notify";

macro_rules! takes {
    ($lone:expr, [$($key:literal $(= $stands_for:literal)?),*], $expected:literal) => {
        Known {
            keys: &[$(takes!(@pair $key $(= $stands_for)?)),*],
            lone: $lone,
            expected: $expected,
        }
    };
    (@pair $key:literal) => { ($key, $key) };
    (@pair $key:literal = $stands_for:literal) => { ($key, $stands_for) };
}
pub(super) use takes;

/// What this action takes; none if there is no such action.
pub(super) fn known(name: &str) -> Option<Known> {
    Some(match name {
        "fail" => takes!(
            Some("status"),
            ["status", "effect", "scope"],
            "a status, such as MEDIUM, as status=STATUS; effect= or scope="
        ),
        "short" => takes!(
            Some("sectors"),
            ["sectors", "n" = "sectors", "frac"],
            "sectors=N or frac=F"
        ),
        "delay" => takes!(
            Some("dist"),
            ["dist", "at", "lanes"],
            "a time alone, such as delay(2ms), or dist=, at= or lanes="
        ),
        "hold" => takes!(
            Some("max"),
            ["max", "then"],
            "max=TIME or then=release|fail:STATUS"
        ),
        "corrupt" => takes!(
            Some("kind"),
            [
                "on",
                "kind",
                "places",
                "bits" = "places",
                "bytes" = "places",
                "ber",
                "at",
                "burst"
            ],
            "on=, kind=, places=, ber=, at= or burst="
        ),
        "torn" => takes!(
            None,
            ["parts", "bytes", "persist", "unit", "status"],
            "parts=, bytes=, persist=, unit= or status="
        ),
        "misdirect" => takes!(Some("to"), ["to", "lost"], "to=PLACE or lost=yes|no"),
        "badmap" => takes!(
            Some("heal"),
            ["heal", "wr_fail", "status"],
            "heal=, wr_fail= or status="
        ),
        "reorder" => takes!(Some("window"), ["window", "hold"], "window=N or hold=TIME"),
        "throttle" => takes!(
            None,
            ["iops", "bytes", "bps" = "bytes", "burst", "burst_bytes"],
            "iops=N, bytes=N, burst=N or burst_bytes=N"
        ),
        "remove" => takes!(
            Some("how"),
            ["how", "return"],
            "how=surprise|graceful or return=TIME"
        ),
        "crash_server" => takes!(Some("point"), ["point"], "point=POINT"),
        "resize" => takes!(Some("size"), ["size"], "size=SIZE"),
        "readonly" => takes!(Some("on"), ["on"], "on=yes|no"),
        "pi" => takes!(Some("tag"), ["tag"], "tag=guard|app|ref"),
        "set_state" => takes!(Some("state"), ["state"], "state=NAME"),
        "mark" => takes!(Some("label"), ["label"], "label=NAME"),
        "hang" | "drop" | "ignore_flush" | "ignore_fua" | "notify" => {
            takes!(None, [], "nothing: this action takes no parameters")
        }
        _ => return None,
    })
}
