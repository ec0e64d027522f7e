//! `report.json`. Its keys are those of the interfaces that stay; keys may be added.

use api::Device;
use bench::{Backing, JobResult};
use lab::{Fault, HeldPage};
use serde::{Deserialize, Serialize};

use bench::Machine;

/// What the demo found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Version of this object; 1.
    pub(crate) schema: u32,
    /// What `uname -r` says.
    pub(crate) kernel: String,
    /// The machine.
    pub(crate) machine: Machine,
    /// Seed of fio's random offsets.
    pub(crate) seed: u64,
    /// The revision of bvecd.
    pub(crate) revision: String,
    /// The devices, one after the other.
    pub(crate) devices: Vec<MeasuredDevice>,
    /// The jobs; `device` is the `path` of one of the devices.
    pub(crate) jobs: Vec<JobResult>,
    /// The page of a held read.
    pub(crate) hold: HeldPage,
    /// The injected error.
    pub(crate) fault: Fault,
}

/// A device that was measured on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MeasuredDevice {
    /// The block device.
    pub(crate) path: String,
    /// `loop`, `ram` or `null`.
    pub(crate) target: String,
    /// How payload moved.
    pub(crate) data_path: String,
    /// How requests moved.
    pub(crate) transport: String,
    /// Hardware queues that the driver gave.
    pub(crate) queues: u16,
    /// Whether the daemon opened the backing with `O_DIRECT`.
    pub(crate) backing: Backing,
    /// The longest request that it takes unsplit.
    pub(crate) max_io_bytes: u32,
}

/// Devices and jobs.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Measured {
    /// `devices` of the report.
    pub(crate) devices: Vec<MeasuredDevice>,
    /// `jobs` of the report.
    pub(crate) jobs: Vec<JobResult>,
}

/// The device of a job.
pub(crate) fn device_of<'a>(
    devices: &'a [MeasuredDevice],
    job: &JobResult,
) -> Option<&'a MeasuredDevice> {
    devices.iter().find(|device| device.path == job.device)
}

/// The jobs on one kind of backing.
pub(crate) fn jobs_on(
    backing: Backing,
    devices: &[MeasuredDevice],
    jobs: &[JobResult],
) -> Vec<JobResult> {
    let on =
        |job: &&JobResult| device_of(devices, job).is_some_and(|device| device.backing == backing);
    jobs.iter().filter(on).cloned().collect()
}

impl From<&Device> for MeasuredDevice {
    fn from(device: &Device) -> Self {
        Self {
            path: device.path.clone(),
            target: device.target.name().to_owned(),
            data_path: device.data_path.to_string(),
            transport: device.transport.to_string(),
            queues: device.queues,
            backing: Backing::of(&device.target),
            max_io_bytes: device.max_io_bytes,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use lab::PageCounts;
    use lab::held_page::AfterFork;

    use super::*;
    use crate::command::bench::tests::result;

    const fn page(pfn: u64, pin_count: u32, map_count: u32) -> PageCounts {
        PageCounts {
            pfn,
            pin_count,
            ref_count: 1,
            map_count,
        }
    }

    /// A report in which everything is as it must be: three data paths, buffered and direct.
    pub(crate) fn good() -> Report {
        let mut measured = Measured::default();
        for backing in [Backing::Buffered, Backing::Direct] {
            for data_path in ["copy", "user-copy", "auto-zero-copy"] {
                let direct = backing == Backing::Direct;
                let path = format!("/dev/ublkb{}", measured.devices.len());
                measured.devices.push(MeasuredDevice {
                    path: path.clone(),
                    target: "loop".to_owned(),
                    data_path: data_path.to_owned(),
                    transport: "per-io".to_owned(),
                    queues: 1,
                    backing,
                    max_io_bytes: 512 << 10,
                });
                for job in bench::catalogue::core().unwrap() {
                    if direct && job.name != super::super::measure::DIRECT_JOB {
                        continue;
                    }
                    let pins = bench::pins::rule_per_io(&job, 512 << 10);
                    measured.jobs.push(JobResult {
                        device: path.clone(),
                        data_path: data_path.to_owned(),
                        direction: job.direction,
                        block_size_bytes: job.block_size_bytes,
                        depth: job.depth,
                        pins_acquired_per_io: f64::from(u32::try_from(pins).unwrap()),
                        daemon_pins_per_io: if direct { 1.0 } else { 0.0 },
                        ..result(&job.name)
                    });
                }
            }
        }
        Report {
            schema: 1,
            kernel: "7.3.4+deb13-cloud-amd64".to_owned(),
            machine: Machine {
                cpus: 2,
                accel: "tcg".to_owned(),
            },
            seed: 1,
            revision: "0123456789ab".to_owned(),
            devices: measured.devices,
            jobs: measured.jobs,
            hold: HeldPage {
                before: page(0x1a2b3, 0, 1),
                in_flight: page(0x1a2b3, 1, 1),
                after_fork: AfterFork {
                    parent: page(0x1a2b3, 1, 1),
                    child: page(0x2b3c4, 0, 1),
                },
                after_munmap: page(0x3c4d5, 1, 0),
                after_release: page(0x1a2b3, 0, 1),
            },
            fault: Fault {
                rule: "fail(status=MEDIUM) where op=read,lba=6144+8 when count=1".to_owned(),
                sector: 6144,
                errno: 61,
                seen: 1,
                neighbours_ok: true,
                again_ok: true,
            },
        }
    }

    #[test]
    fn keys_are_those_that_stay() {
        let value = serde_json::to_value(good()).unwrap();
        for (place, keys) in [
            (
                "",
                "schema kernel machine seed revision devices jobs hold fault",
            ),
            ("/machine", "cpus accel"),
            ("/devices/0", "path target data_path transport queues"),
            (
                "/jobs/0",
                "name device data_path direction block_size_bytes depth ios iops \
                 bandwidth_bytes_per_s latency_ns pins_acquired_per_io pins_outstanding \
                 daemon_pins_per_io cpu_ns_per_io verify_errors errors",
            ),
            ("/jobs/0/latency_ns", "p50 p99 p99_9"),
            (
                "/hold",
                "before in_flight after_fork after_munmap after_release",
            ),
            ("/hold/after_fork", "parent child"),
            ("/hold/before", "pfn pin_count ref_count map_count"),
            ("/fault", "rule sector errno seen"),
        ] {
            let found = value.pointer(place).unwrap();
            for key in keys.split_whitespace() {
                assert!(found.get(key).is_some(), "{place}: {key}");
            }
        }
        let text = serde_json::to_string(&good()).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), good());
    }

    #[test]
    fn jobs_are_told_apart_by_their_backing() {
        let report = good();
        let count = |backing| jobs_on(backing, &report.devices, &report.jobs).len();
        assert_eq!(count(Backing::Direct), 3);
        assert_eq!(count(Backing::Buffered) + 3, report.jobs.len());
    }
}
