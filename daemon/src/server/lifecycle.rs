//! The verbs of a device's life.

use std::sync::Arc;
use std::time::Duration;

use api::{
    Adopted, DeviceChanged, DeviceLeft, HandedOver, Problem, QuiesceRequest, Reaped, ResizeRequest,
    SCHEMA, StopRequest, read_body,
};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;

use super::devices::describe;
use super::reply::{DeviceId, Refusal, Reply, Subject};
use crate::device::Device;
use crate::devices::{Devices, Left};

/// Takes the block device away and keeps the device, until it is resumed or deleted. What is held is let
/// go. With `safe` it is refused while a client has the block device open.
#[utoipa::path(post, path = api::paths::STOP, params(("id" = u32, Path)), request_body = StopRequest,
    responses((status = 200, body = DeviceChanged), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 501, body = Problem)))]
pub(super) async fn stop(
    State(devices): State<Arc<Devices>>,
    Subject(device): Subject,
    body: Bytes,
) -> Reply<DeviceChanged> {
    let request: StopRequest = read_or_default(&body)?;
    let released = devices.stop(&device, request.safe).await?;
    Ok(changed(&device, released))
}

/// Ends the queues and keeps the block device: its requests wait, or fail with `fail-io`, until it is
/// resumed. What is held is let go.
#[utoipa::path(post, path = api::paths::QUIESCE, params(("id" = u32, Path)),
    request_body = QuiesceRequest, responses((status = 200, body = DeviceChanged),
        (status = 404, body = Problem), (status = 409, body = Problem), (status = 501, body = Problem)))]
pub(super) async fn quiesce(
    State(devices): State<Arc<Devices>>,
    Subject(device): Subject,
    body: Bytes,
) -> Reply<DeviceChanged> {
    let request: QuiesceRequest = read_or_default(&body)?;
    let limit = Duration::from_nanos(request.wait_ns);
    let released = devices.quiesce(&device, limit).await?;
    Ok(changed(&device, released))
}

/// Serves a quiesced or stopped device again.
#[utoipa::path(post, path = api::paths::RESUME, params(("id" = u32, Path)), responses(
    (status = 200, body = DeviceChanged), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn resume(
    State(devices): State<Arc<Devices>>,
    Subject(device): Subject,
) -> Reply<DeviceChanged> {
    devices.resume(&device).await?;
    Ok(changed(&device, 0))
}

/// Changes the size of a live device. A file or memory is made longer if need be and never shorter.
#[utoipa::path(post, path = api::paths::RESIZE, params(("id" = u32, Path)),
    request_body = ResizeRequest, responses((status = 200, body = DeviceChanged),
        (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem),
        (status = 501, body = Problem)))]
pub(super) async fn resize(
    State(devices): State<Arc<Devices>>,
    Subject(device): Subject,
    body: Bytes,
) -> Reply<DeviceChanged> {
    let request: ResizeRequest = read_body(&body)?;
    devices.resize(&device, request.size_bytes).await?;
    Ok(changed(&device, 0))
}

/// Takes over one device of a daemon that is gone.
#[utoipa::path(post, path = api::paths::RECOVER, params(("id" = u32, Path)), responses(
    (status = 200, body = DeviceChanged), (status = 409, body = Problem), (status = 500, body = Problem)))]
pub(super) async fn recover(
    State(devices): State<Arc<Devices>>,
    DeviceId(id): DeviceId,
) -> Reply<DeviceChanged> {
    let device = devices.recover(id).await?;
    Ok(changed(&device, 0))
}

/// Takes over every device of daemons that are gone.
#[utoipa::path(post, path = api::paths::ADOPT, responses(
    (status = 200, body = Adopted), (status = 500, body = Problem)))]
pub(super) async fn adopt(State(devices): State<Arc<Devices>>) -> Reply<Adopted> {
    let (adopted, left) = devices.adopt().await?;
    Ok(Json(Adopted {
        schema: SCHEMA,
        adopted: adopted.iter().map(|device| describe(device)).collect(),
        left: left.into_iter().map(problem_of).collect(),
    }))
}

/// Removes every device of daemons that are gone; whatever waits on them fails.
#[utoipa::path(post, path = api::paths::REAP, responses(
    (status = 200, body = Reaped), (status = 500, body = Problem)))]
pub(super) async fn reap(State(devices): State<Arc<Devices>>) -> Reply<Reaped> {
    let (reaped, left) = devices.reap().await?;
    Ok(Json(Reaped {
        schema: SCHEMA,
        reaped,
        left: left.into_iter().map(problem_of).collect(),
    }))
}

/// Quiesces every device and ends the daemon, for the next one to adopt them. Refused, with everything as
/// it was, if there is a device that does not outlive its daemon.
#[utoipa::path(post, path = api::paths::HAND_OVER, request_body = QuiesceRequest, responses(
    (status = 200, body = HandedOver), (status = 409, body = Problem), (status = 501, body = Problem)))]
pub(super) async fn hand_over(
    State(devices): State<Arc<Devices>>,
    body: Bytes,
) -> Reply<HandedOver> {
    let request: QuiesceRequest = read_or_default(&body)?;
    let limit = Duration::from_nanos(request.wait_ns);
    let (ids, released) = devices.hand_over(limit).await?;
    devices.leaving.send_replace(true);
    Ok(Json(HandedOver {
        schema: SCHEMA,
        devices: ids,
        released,
    }))
}

/// A body all of whose keys may be left out may be left out itself.
fn read_or_default<T: serde::de::DeserializeOwned + Default>(body: &[u8]) -> Result<T, Problem> {
    match body.is_empty() {
        true => Ok(T::default()),
        false => read_body(body),
    }
}

fn changed(device: &Device, released: u64) -> Json<DeviceChanged> {
    Json(DeviceChanged {
        schema: SCHEMA,
        device: describe(device),
        released,
    })
}

fn problem_of((id, error): Left) -> DeviceLeft {
    DeviceLeft {
        id,
        problem: Refusal::from(error).0,
    }
}
