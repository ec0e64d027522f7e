//! `/v1/devices/{id}/holds` and `heal`

use std::sync::Arc;

use api::{
    Driver, Healed, Hold, HoldList, Problem, ProblemCode, ReleaseRequest, Released, SCHEMA, Which,
    read_body,
};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;

use super::reply::{Refusal, Reply, Subject};
use crate::clock::now_ns;
use crate::device::Device;
use crate::devices::Devices;
use crate::holds::Held;
use crate::mailbox;

/// The held requests of a device, oldest first.
#[utoipa::path(get, path = api::paths::HOLDS, params(("id" = u32, Path)), responses(
    (status = 200, body = HoldList), (status = 404, body = Problem),
))]
pub(super) async fn list(Subject(device): Subject) -> Json<HoldList> {
    let (id, now) = (device.id(), now_ns());
    let holds = device
        .shared
        .holds
        .list()
        .into_iter()
        .map(|held| describe(id, now, held));
    Json(HoldList {
        schema: SCHEMA,
        device: id,
        data_path: device.data_path(),
        holds: holds.collect(),
    })
}

/// Lets held requests go. The answer comes when they have gone on.
#[utoipa::path(post, path = api::paths::RELEASE, params(("id" = u32, Path)),
    request_body = ReleaseRequest, responses((status = 200, body = Released),
        (status = 400, body = Problem), (status = 404, body = Problem)))]
pub(super) async fn release(Subject(device): Subject, body: Bytes) -> Reply<Released> {
    let request: ReleaseRequest = read_body(&body)?;
    let which = match &request.which {
        Which::All => mailbox::Which::Held,
        Which::HoldId(id) => mailbox::Which::Hold(*id),
        Which::Rule(name) => mailbox::Which::Rule(name.clone()),
    };
    let outcome = outcome(&request)?;
    if let (mailbox::Outcome::Short(_), Driver::Nbd) = (outcome, device.config.driver) {
        let detail = "NBD has no word for fewer bytes than were asked for";
        return Err(Problem::field("/bytes", detail, "a device with --driver ublk").into());
    }
    let released = device.release(which, outcome).await.holds;
    if released.is_empty()
        && let Some(what) = named(&request.which)
    {
        return Err(nothing_held(&device, &what));
    }
    Ok(Json(Released {
        schema: SCHEMA,
        device: device.id(),
        released,
    }))
}

fn outcome(request: &ReleaseRequest) -> Result<mailbox::Outcome, Problem> {
    match (request.fail, request.bytes) {
        (None, None) => Ok(mailbox::Outcome::GoOn),
        (Some(status), None) => Ok(mailbox::Outcome::Fail(status)),
        (None, Some(bytes)) if bytes >= 512 && bytes.is_multiple_of(512) => {
            Ok(mailbox::Outcome::Short(bytes / 512))
        }
        (None, Some(bytes)) => {
            let detail = format!("found {bytes} bytes");
            Err(Problem::field(
                "/bytes",
                detail,
                "a multiple of 512, at least 512",
            ))
        }
        (Some(_), Some(_)) => {
            let detail = "a request that fails has no part that is done";
            Err(Problem::field("/bytes", detail, "`fail` or `bytes`"))
        }
    }
}

/// Removes every rule of a device and lets everything go.
#[utoipa::path(post, path = api::paths::HEAL_DEVICE, params(("id" = u32, Path)), responses(
    (status = 200, body = Healed), (status = 404, body = Problem),
))]
pub(super) async fn heal_device(Subject(device): Subject) -> Reply<Healed> {
    heal_all(vec![device]).await
}

/// Removes every rule of every device and lets everything go.
#[utoipa::path(post, path = api::paths::HEAL, responses((status = 200, body = Healed)))]
pub(super) async fn heal(State(devices): State<Arc<Devices>>) -> Reply<Healed> {
    heal_all(devices.all()).await
}

async fn heal_all(devices: Vec<Arc<Device>>) -> Reply<Healed> {
    let mut healed = Healed {
        schema: SCHEMA,
        devices: Vec::new(),
        rules_removed: 0,
        released: 0,
    };
    for device in devices {
        let rules = device.shared.rules.load().set.len();
        healed.released += device.heal().await?;
        healed.rules_removed += u64::try_from(rules).unwrap_or(0);
        healed.devices.push(device.id());
    }
    Ok(Json(healed))
}

fn describe(device: u32, now_ns: u64, held: Held) -> Hold {
    Hold {
        hold_id: held.hold_id,
        device,
        rule: held.rule.to_string(),
        op: held.op,
        direction: held.op.direction(),
        sector: fault::Sector(held.sector),
        sectors: held.sectors,
        queue: held.queue,
        tag: held.tag,
        held_ns: now_ns.saturating_sub(held.since_ns),
        max_ns: held.max_ns,
    }
}

/// What a choice names, for those that name something that must be there.
fn named(which: &Which) -> Option<String> {
    match which {
        Which::All => None,
        Which::HoldId(id) => Some(format!("request with hold_id {id}")),
        Which::Rule(name) => Some(format!("request of rule `{name}`")),
    }
}

pub(super) fn nothing_held(device: &Device, what: &str) -> Refusal {
    let held = device.shared.holds.list();
    let known: Vec<String> = held.iter().map(|hold| hold.hold_id.to_string()).collect();
    let detail = format!("device {} holds no {what}", device.id());
    let expected = match known.is_empty() {
        true => "a held request; it holds none".to_owned(),
        false => format!("one of the hold_ids {}", known.join(", ")),
    };
    Refusal(
        Problem::new(ProblemCode::NotFound, detail)
            .at("/which")
            .expecting(expected),
    )
}
