//! `/v1/devices/{id}/holds/{hold_id}/data`: looking into held requests, and storing into them.

use std::sync::Arc;

use api::{Content, Hex, HoldData, PokeRequest, Poked, Problem, ProblemCode, SCHEMA, read_body};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use serde::Deserialize;

use super::holds::nothing_held;
use super::reply::{Refusal, Reply, Subject, malformed, path_number};
use crate::device::Device;
use crate::devices::Devices;
use crate::mailbox::{self, Poke, Unreached};

/// The digest that the selector `data=crc32c:` knows, too.
const CRC32C: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI);

/// The number of a hold in the path.
#[derive(Debug)]
pub(super) struct HoldId(u64);

impl FromRequestParts<Arc<Devices>> for HoldId {
    type Rejection = Refusal;

    async fn from_request_parts(
        parts: &mut Parts,
        devices: &Arc<Devices>,
    ) -> Result<Self, Refusal> {
        let hint = "a hold_id, as `bvecctl hold list` shows it";
        let id = path_number(parts, devices, ("hold_id", "hold_id"), hint).await?;
        Ok(Self(id))
    }
}

/// Which part of the payload to send.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Part {
    /// Where it begins.
    #[serde(default)]
    offset_bytes: u32,
    /// How much; to the end if absent or if there is less.
    length_bytes: Option<u32>,
}

impl FromRequestParts<Arc<Devices>> for Part {
    type Rejection = Refusal;

    async fn from_request_parts(
        parts: &mut Parts,
        devices: &Arc<Devices>,
    ) -> Result<Self, Refusal> {
        let query = Query::from_request_parts(parts, devices).await;
        query.map(|Query(part)| part).map_err(|error| {
            let expected = "offset_bytes=N and length_bytes=N";
            Refusal(malformed(error.body_text()).0.expecting(expected))
        })
    }
}

/// The data of a held source request, as its pages are now.
#[utoipa::path(get, path = api::paths::HOLD_DATA,
    params(("id" = u32, Path), ("hold_id" = u64, Path), Part),
    responses((status = 200, body = HoldData), (status = 400, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn peek(
    Subject(device): Subject,
    HoldId(hold_id): HoldId,
    part: Part,
) -> Reply<HoldData> {
    let reached = device.peek(hold_id).await;
    let payload = reached.ok_or_else(|| no_hold(&device, hold_id))?;
    let payload =
        payload.map_err(|why| unreached(hold_id, &why, "a write, whose data can be looked at"))?;
    let from = usize::try_from(part.offset_bytes).unwrap_or(usize::MAX);
    let rest = payload.get(from..).filter(|rest| !rest.is_empty());
    let rest = rest.ok_or_else(|| {
        let detail = format!("the payload of hold {hold_id} has {} bytes", payload.len());
        Problem::new(ProblemCode::InvalidField, detail).expecting("an offset_bytes below that")
    })?;
    let length = part
        .length_bytes
        .map_or(usize::MAX, |length| length as usize);
    let data = &rest[..rest.len().min(length)];
    Ok(Json(HoldData {
        schema: SCHEMA,
        device: device.id(),
        hold_id,
        data_path: device.data_path(),
        sees_later_changes: device.data_path != ublk::DataPathKind::Copy,
        length_bytes: u32::try_from(payload.len()).unwrap_or(u32::MAX),
        digest: format!("crc32c:{:08x}", CRC32C.checksum(&payload)),
        offset_bytes: part.offset_bytes,
        data: Hex(data.to_vec()),
    }))
}

/// Stores into the pages of a held destination request. When it is released it completes as it is, and the
/// target is not asked; what was not stored reads as zeroes.
#[utoipa::path(post, path = api::paths::HOLD_DATA,
    params(("id" = u32, Path), ("hold_id" = u64, Path)), request_body = PokeRequest,
    responses((status = 200, body = Poked), (status = 400, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn poke(
    Subject(device): Subject,
    HoldId(hold_id): HoldId,
    body: Bytes,
) -> Reply<Poked> {
    let request: PokeRequest = read_body(&body)?;
    let content = match request.content {
        Content::Data(Hex(bytes)) if bytes.is_empty() => {
            let problem =
                Problem::field("/content/data", "there are no bytes", "at least one byte");
            return Err(problem.into());
        }
        Content::Data(Hex(bytes)) => mailbox::Content::Bytes(bytes),
        Content::Fill { byte, length_bytes } => mailbox::Content::Fill(byte, length_bytes),
    };
    let poke = Poke {
        offset: request.offset_bytes,
        content,
    };
    let reached = device.poke(hold_id, &poke).await;
    let stored = reached.ok_or_else(|| no_hold(&device, hold_id))?;
    let stored =
        stored.map_err(|why| unreached(hold_id, &why, "a read, into whose pages can be stored"))?;
    Ok(Json(Poked {
        schema: SCHEMA,
        device: device.id(),
        hold_id,
        offset_bytes: request.offset_bytes,
        length_bytes: stored,
    }))
}

fn no_hold(device: &Device, hold_id: u64) -> Refusal {
    let Refusal(mut problem) = nothing_held(device, &format!("request with hold_id {hold_id}"));
    problem.pointer = None;
    Refusal(problem)
}

fn unreached(hold_id: u64, why: &Unreached, expected: &str) -> Refusal {
    let detail = format!("hold {hold_id}: {why}");
    Refusal(match why {
        Unreached::Direction { .. } => {
            Problem::new(ProblemCode::Conflict, detail).expecting(expected)
        }
        Unreached::Outside { .. } => {
            Problem::field("/offset_bytes", detail, "a place within the payload")
        }
        Unreached::System(_) => Problem::new(ProblemCode::Internal, detail),
    })
}
