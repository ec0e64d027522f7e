//! Several queues on several CPUs.

use api::{DataPath, DeviceConfig, TargetConfig, call};

use crate::client_io::Disk;
use crate::daemon::{Daemon, config};
use crate::model::pattern;
use crate::outcome::{Case, Outcome, need_data_path};

pub(crate) const CASES: &[Case] = &[
    Case::new("queues::four_on_four_cpus_copy", || four(DataPath::Copy)),
    Case::new("queues::four_on_four_cpus_user_copy", || {
        four(DataPath::UserCopy)
    }),
    Case::new("queues::four_on_four_cpus_auto_zero_copy", || {
        four(DataPath::AutoZeroCopy)
    }),
    Case::new("queues::more_than_cpus_are_lowered_and_told", lowered),
    Case::new("queues::the_longest_request_and_the_deepest_queue", limits),
];

fn cpus() -> usize {
    std::thread::available_parallelism().unwrap().get()
}

fn four(path: DataPath) -> Outcome {
    if cpus() < 4 {
        return Outcome::Skipped(format!("4 CPUs are needed, there are {}", cpus()));
    }
    let daemon = Daemon::start();
    need_data_path!(daemon, path);
    let target = TargetConfig::Loop {
        file: daemon.file(16 << 20),
        direct: false,
    };
    let device = daemon.add(&DeviceConfig {
        queues: 4,
        ..config(target, path)
    });
    assert_eq!(device.queues, 4, "the driver gave fewer queues");
    // One writer a CPU, each in its own quarter: every queue must get some of the requests.
    let writers: Vec<_> = (0..4_usize)
        .map(|cpu| {
            let path = device.path.clone();
            std::thread::spawn(move || {
                let mut set = nix::sched::CpuSet::new();
                set.set(cpu).unwrap();
                nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &set).unwrap();
                let disk = Disk::open(path);
                for number in 0..64_u64 {
                    let offset = ((cpu as u64) * 64 + number) * 65536;
                    disk.write(offset, &pattern(offset, 65536));
                }
            })
        })
        .collect();
    for writer in writers {
        writer.join().unwrap();
    }
    let disk = Disk::open(&device.path);
    for number in 0..256_u64 {
        assert_eq!(
            disk.read(number * 65536, 65536),
            pattern(number * 65536, 65536)
        );
    }
    let stats = daemon.ask(call::stats(device.id));
    assert_eq!(stats.queues.len(), 4);
    for queue in &stats.queues {
        assert!(
            queue.ios >= 32,
            "queue {} got {} requests",
            queue.queue,
            queue.ios
        );
    }
    assert_eq!(stats.inflight, 0);
    daemon.stop();
    Outcome::Passed
}

/// The driver lowers the number without a word (`ublk_ctrl_add_dev`): the answer must say what it is.
fn lowered() -> Outcome {
    let daemon = Daemon::start();
    let target = TargetConfig::Ram {
        size_bytes: 1 << 20,
    };
    let device = daemon.add(&DeviceConfig {
        queues: 64,
        depth: 4,
        ..config(target, DataPath::Copy)
    });
    assert!(
        usize::from(device.queues) < 64,
        "64 CPUs are possible here?"
    );
    let directory = format!("/sys/block/ublkb{}/mq", device.id);
    assert_eq!(
        std::fs::read_dir(directory).unwrap().count(),
        usize::from(device.queues)
    );
    assert_eq!(Disk::open(&device.path).read(0, 4096), [0; 4096]);
    daemon.stop();
    Outcome::Passed
}

fn limits() -> Outcome {
    let daemon = Daemon::start();
    let target = TargetConfig::Ram {
        size_bytes: 64 << 20,
    };
    let wide = DeviceConfig {
        max_io_bytes: 4 << 20,
        depth: 16,
        ..config(target, DataPath::Copy)
    };
    let device = daemon.add(&wide);
    let disk = Disk::open(&device.path);
    disk.write(0, &pattern(3, 32 << 20));
    assert_eq!(disk.read(0, 32 << 20), pattern(3, 32 << 20));
    let target = TargetConfig::Null {
        size_bytes: 64 << 20,
    };
    let deep = DeviceConfig {
        depth: 4096,
        ..config(target, DataPath::Copy)
    };
    let device = daemon.add(&deep);
    assert_eq!(device.depth, 4096);
    assert_eq!(Disk::open(&device.path).read(0, 1 << 20).len(), 1 << 20);
    daemon.stop();
    Outcome::Passed
}
