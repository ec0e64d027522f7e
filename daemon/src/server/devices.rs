//! `/v1/devices`

use std::sync::Arc;

use api::{Device, DeviceConfig, DeviceDeleted, DeviceList, Problem, SCHEMA, read_body};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;

use super::reply::{DeviceId, Reply, Subject, no_device};
use crate::device;
use crate::devices::Devices;

/// Every device, by number.
#[utoipa::path(get, path = api::paths::DEVICES, responses((status = 200, body = DeviceList)))]
pub(super) async fn list(State(devices): State<Arc<Devices>>) -> Json<DeviceList> {
    let devices = devices
        .all()
        .iter()
        .map(|device| describe(device))
        .collect();
    Json(DeviceList {
        schema: SCHEMA,
        devices,
    })
}

/// Makes a device. The answer comes when the block device is there.
#[utoipa::path(post, path = api::paths::DEVICES, request_body = DeviceConfig, responses(
    (status = 200, body = Device), (status = 400, body = Problem), (status = 409, body = Problem),
    (status = 422, body = Problem), (status = 501, body = Problem),
))]
pub(super) async fn add(State(devices): State<Arc<Devices>>, body: Bytes) -> Reply<Device> {
    let config: DeviceConfig = read_body(&body)?;
    config.validate()?;
    let device = devices.add(config).await?;
    Ok(Json(describe(&device)))
}

/// One device.
#[utoipa::path(get, path = api::paths::DEVICE, params(("id" = u32, Path)), responses(
    (status = 200, body = Device), (status = 404, body = Problem),
))]
pub(super) async fn show(Subject(device): Subject) -> Json<Device> {
    Json(describe(&device))
}

/// Lets go whatever the device holds, and removes it. The answer comes when it is gone. A device that
/// a dead server left behind is removed too.
#[utoipa::path(delete, path = api::paths::DEVICE, params(("id" = u32, Path)), responses(
    (status = 200, body = DeviceDeleted), (status = 404, body = Problem),
))]
pub(super) async fn delete(
    DeviceId(id): DeviceId,
    State(devices): State<Arc<Devices>>,
) -> Reply<DeviceDeleted> {
    let released = match devices.get(id) {
        Some(device) => devices.delete(device).await?,
        None if devices.delete_leftover(id).await? => 0,
        None => return Err(no_device(&devices, id)),
    };
    Ok(Json(DeviceDeleted {
        schema: SCHEMA,
        id,
        released,
    }))
}

pub(super) fn describe(device: &device::Device) -> Device {
    let rules = device.shared.rules.load();
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Device {
        schema: SCHEMA,
        id: device.id(),
        path: device.path(),
        driver: device.config.driver,
        state: device.state(),
        target: device.target(),
        size_bytes: device.size_bytes(),
        data_path: device.data_path(),
        integrity: device.config.integrity,
        transport: device.config.transport,
        queues: device.info.queues,
        depth: device.info.depth,
        logical_block_bytes: device.logical_block_bytes,
        physical_block_bytes: device.physical_block_bytes,
        max_io_bytes: device.info.max_io_bytes,
        read_only: device.is_read_only(),
        limits: device.limits,
        recovery: device.config.recovery,
        flags: device
            .info
            .flags
            .iter_names()
            .map(|(name, _)| name.to_owned())
            .collect(),
        generation: rules.set.generation(),
        seed: device.config.seed,
        rules: count(rules.set.len()),
        held: count(device.shared.holds.list().len()),
        daemon_pid: std::process::id(),
    }
}
