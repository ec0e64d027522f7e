//! `/v1/devices/{id}/stats`

use api::{DeviceStats, OpStats, Problem, QueueStats, SCHEMA, SharedMemoryStats};
use axum::Json;

use super::reply::Subject;
use crate::device::Device;
use crate::shared::{QueueShared, fault_op};

pub(super) const OPS: [ublk::Op; 5] = [
    ublk::Op::Read,
    ublk::Op::Write,
    ublk::Op::Flush,
    ublk::Op::Discard,
    ublk::Op::WriteZeroes,
];

/// What a device has done.
#[utoipa::path(get, path = api::paths::STATS, params(("id" = u32, Path)), responses(
    (status = 200, body = DeviceStats), (status = 404, body = Problem),
))]
pub(super) async fn show(Subject(device): Subject) -> Json<DeviceStats> {
    Json(of(&device))
}

/// What a device has done.
pub(super) fn of(device: &Device) -> DeviceStats {
    let queues: Vec<QueueStats> = device.queues.iter().map(|queue| of_queue(queue)).collect();
    let sum = |part: fn(&QueueStats) -> u64| queues.iter().map(part).sum();
    DeviceStats {
        schema: SCHEMA,
        device: device.id(),
        ops: OPS
            .iter()
            .filter_map(|op| of_op(&device.queues, *op))
            .collect(),
        inflight: sum(|queue| queue.inflight),
        held: sum(|queue| queue.held),
        delayed: sum(|queue| queue.delayed),
        faults_fired: device
            .queues
            .iter()
            .map(|queue| queue.stats.faulted.get())
            .sum(),
        backing_errors: device
            .queues
            .iter()
            .map(|queue| queue.stats.backing_errors.total.get())
            .sum(),
        integrity_errors: device
            .queues
            .iter()
            .map(|queue| queue.stats.integrity_errors.total.get())
            .sum(),
        shared_memory: shared_memory(device),
        queues,
    }
}

fn shared_memory(device: &Device) -> Option<SharedMemoryStats> {
    let counts = || device.queues.iter().map(|queue| &queue.shared_memory);
    (device.data_path == ublk::DataPathKind::SharedMemory).then(|| SharedMemoryStats {
        shared: counts().map(|counts| counts.shared()).sum(),
        copied: counts().map(|counts| counts.copied()).sum(),
    })
}

fn of_op(queues: &[std::sync::Arc<QueueShared>], op: ublk::Op) -> Option<OpStats> {
    let name = fault_op(op)?;
    let mut stats = OpStats {
        op: name,
        direction: name.direction(),
        ios: 0,
        bytes: 0,
        errors: 0,
    };
    for counts in queues.iter().filter_map(|queue| queue.stats.of(op)) {
        stats.ios += counts.ios.get();
        stats.bytes += counts.bytes.get();
        stats.errors += counts.errors.get();
    }
    Some(stats)
}

fn of_queue(queue: &QueueShared) -> QueueStats {
    let stats = &queue.stats;
    let mut sums = [0; 3];
    for counts in OPS.iter().filter_map(|op| stats.of(*op)) {
        sums[0] += counts.ios.get();
        sums[1] += counts.bytes.get();
        sums[2] += counts.errors.get();
    }
    QueueStats {
        queue: queue.queue,
        ios: sums[0],
        bytes: sums[1],
        errors: sums[2],
        inflight: stats.arrived.get().saturating_sub(stats.committed.get()),
        held: stats.held.get(),
        delayed: stats.delayed.get(),
        generation: stats.generation.get(),
    }
}
