//! Requests that are held.

use fault::{Direction, Op, Sector, Status};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::data_path::DataPath;
use crate::hex::Hex;

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
    /// How its data moves: whether a peek sees later changes, and a poke the pages themselves.
    pub data_path: DataPath,
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
    /// How many bytes of each are done on the medium, and answered: a multiple of 512, at least 512 and less
    /// than the request; all if absent. Reads and writes only; not together with `fail`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 512, multiple_of = 512)]
    pub bytes: Option<u32>,
}

impl ReleaseRequest {
    /// To let these go on as if they had never been held.
    #[must_use]
    pub const fn of(which: Which) -> Self {
        Self {
            which,
            fail: None,
            bytes: None,
        }
    }

    /// The same requests, failed with this error if one is given.
    #[must_use]
    pub fn failing(self, fail: Option<Status>) -> Self {
        Self { fail, ..self }
    }
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

/// The data of a held source request, as its pages are at this moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HoldData {
    /// Version of this object; 1.
    pub schema: u32,
    /// The device's number.
    pub device: u32,
    /// The hold's number.
    pub hold_id: u64,
    /// How its payload moves.
    pub data_path: DataPath,
    /// Whether the pages themselves were looked at. If not (data path `copy`) it is what the driver copied when
    /// the request was fetched, and does not change any more.
    pub sees_later_changes: bool,
    /// The length of the payload.
    pub length_bytes: u32,
    /// CRC-32C of the whole payload, as the selector `data=crc32c:...` takes it.
    #[schema(example = "crc32c:8aa1b0f2")]
    pub digest: String,
    /// Where `data` begins in the payload.
    pub offset_bytes: u32,
    /// Bytes of the payload, in hexadecimal.
    pub data: Hex,
}

/// What to store into the pages of a held destination request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PokeRequest {
    /// Where in the payload.
    #[serde(default)]
    pub offset_bytes: u32,
    /// What.
    pub content: Content,
}

/// Bytes to store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// These, in hexadecimal.
    Data(Hex),
    /// One byte over and over.
    Fill {
        /// The byte.
        byte: u8,
        /// How often; to the end of the payload if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        length_bytes: Option<u32>,
    },
}

/// The answer to a poke.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Poked {
    /// Version of this object; 1.
    pub schema: u32,
    /// The device's number.
    pub device: u32,
    /// The hold's number.
    pub hold_id: u64,
    /// Where in the payload.
    pub offset_bytes: u32,
    /// How many bytes were stored.
    pub length_bytes: u32,
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
            let request = ReleaseRequest::of(which);
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
