//! Requests that are held.

use fault::{Direction, Op, Sector, Status};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A request that is kept uncommitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Hold {
    /// Its number, never used again while the daemon runs.
    pub hold_id: u64,
    /// The device's number.
    pub device: u32,
    /// Name of the rule that holds it.
    pub rule: String,
    /// What the request asks for.
    pub op: Op,
    /// Which way its data moves.
    pub direction: Direction,
    /// Its first sector.
    pub sector: Sector,
    /// Its length in sectors.
    pub sectors: u32,
    /// The hardware queue it came by.
    pub queue: u16,
    /// The block layer's tag.
    pub tag: u16,
    /// How long it has been held, in nanoseconds.
    pub held_ns: u64,
    /// How long it is held at most, in nanoseconds.
    pub max_ns: u64,
}

/// The requests held on a device, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HoldList {
    /// Version of this object; 1.
    pub schema: u32,
    /// The device's number.
    pub device: u32,
    /// The holds.
    pub holds: Vec<Hold>,
}

/// Which held requests to let go, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseRequest {
    /// Which requests.
    pub which: Which,
    /// The error they fail with; if absent they go on as if they had never been held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fail: Option<Status>,
}

/// A choice of held requests: `"all"`, `{"hold_id": 3}` or `{"rule": "NAME"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    /// Every one of the device.
    All,
    /// The one with this number.
    HoldId(u64),
    /// Every one that the rule of this name holds.
    Rule(String),
}

/// The answer to a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Released {
    /// Version of this object; 1.
    pub schema: u32,
    /// The device's number.
    pub device: u32,
    /// Numbers of the holds that were let go, in that order.
    pub released: Vec<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_names_what_it_lets_go() {
        for (json, which) in [
            (r#"{"which":"all"}"#, Which::All),
            (r#"{"which":{"hold_id":3}}"#, Which::HoldId(3)),
            (r#"{"which":{"rule":"bad"}}"#, Which::Rule("bad".to_owned())),
        ] {
            let request = ReleaseRequest { which, fail: None };
            assert_eq!(serde_json::to_string(&request).unwrap(), json);
            assert_eq!(
                serde_json::from_str::<ReleaseRequest>(json).unwrap(),
                request
            );
        }
        for bad in [
            "{}",
            r#"{"which":"some"}"#,
            r#"{"which":"all","fail":"EPERM"}"#,
        ] {
            assert!(
                serde_json::from_str::<ReleaseRequest>(bad).is_err(),
                "{bad}"
            );
        }
    }
}
