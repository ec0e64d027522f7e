//! The table of `bvecctl features` is true: what it says can be used here can be used, and the rest is
//! refused as missing.

use api::fault::Op;
use api::{
    Call, DataPath, Device, DeviceConfig, FeatureKind, Integrity, ProblemCode, QuiesceRequest,
    Recovery, ResizeRequest, StopRequest, TargetConfig, Transport, call,
};
use serde::de::DeserializeOwned;

use crate::client_io::Disk;
use crate::daemon::{Daemon, config};
use crate::outcome::{Case, Outcome};

pub(crate) const CASES: &[Case] = &[
    Case::new("features::devices_are_what_the_table_says", devices),
    Case::new("features::verbs_are_what_the_table_says", verbs),
];

const SIZE: u64 = 4 << 20;

fn usable(daemon: &Daemon, kind: FeatureKind, name: &str) -> bool {
    let table = daemon.features().table;
    let row = table
        .iter()
        .find(|row| row.kind == kind && row.name == name)
        .unwrap_or_else(|| panic!("no row {kind:?} {name}"));
    assert!(row.used_for.is_some(), "{row:?}");
    row.usable
}

/// Sends a call, and holds whether it works against the table.
fn holds<T: DeserializeOwned>(
    daemon: &Daemon,
    call: Call<T>,
    (kind, name): (FeatureKind, &str),
) -> Option<T> {
    let usable = usable(daemon, kind, name);
    match daemon.client.send(call) {
        Ok(answer) => {
            assert!(
                usable,
                "{kind:?} {name} works, and the table says it cannot"
            );
            Some(answer)
        }
        Err(api::ClientError::Problem(problem)) => {
            assert!(!usable, "{kind:?} {name}: {problem}");
            assert_eq!(problem.code, ProblemCode::Unsupported, "{name}: {problem}");
            None
        }
        Err(error) => panic!("{kind:?} {name}: {error}"),
    }
}

fn ram(path: DataPath) -> DeviceConfig {
    config(TargetConfig::Ram { size_bytes: SIZE }, path)
}

/// Adds a device of each kind that has a row, and uses it.
fn devices() -> Outcome {
    let daemon = Daemon::start();
    let use_it = |config: &DeviceConfig, row| {
        if let Some(device) = holds(&daemon, call::add_device(config), row) {
            Disk::open(&device.path).write(0, &[1; 4096]);
            let stats = daemon.ask(call::stats(device.id));
            let writes = stats.ops.iter().find(|stats| stats.op == Op::Write);
            assert!(writes.is_some_and(|writes| writes.ios > 0), "{row:?}");
            daemon.ask(call::delete_device(device.id));
        }
    };
    for path in DataPath::ALL
        .into_iter()
        .filter(|path| *path != DataPath::Auto)
    {
        use_it(&ram(path), (FeatureKind::DataPath, path.name()));
    }
    for transport in Transport::ALL {
        let config = DeviceConfig {
            transport,
            ..ram(DataPath::Copy)
        };
        use_it(&config, (FeatureKind::Transport, transport.name()));
    }
    for (recovery, name) in [
        (Recovery::Fail, "fail"),
        (Recovery::Queue, "queue"),
        (Recovery::Reissue, "reissue"),
        (Recovery::FailIo, "fail-io"),
    ] {
        let config = DeviceConfig {
            recovery,
            ..ram(DataPath::Copy)
        };
        use_it(&config, (FeatureKind::Recovery, name));
    }
    let protected = DeviceConfig {
        integrity: Integrity::T10Crc,
        ..ram(DataPath::Auto)
    };
    use_it(&protected, (FeatureKind::Flag, "INTEGRITY"));
    daemon.stop();
    Outcome::Passed
}

/// Does what each command that has a row is for, on a device that is in use.
fn verbs() -> Outcome {
    let daemon = Daemon::start();
    let command = |name| (FeatureKind::Command, name);
    let device: Device = daemon.add(&DeviceConfig {
        recovery: Recovery::Reissue,
        ..ram(DataPath::Copy)
    });
    let larger = ResizeRequest {
        size_bytes: 2 * SIZE,
    };
    holds(
        &daemon,
        call::resize(device.id, &larger),
        command("UPDATE_SIZE"),
    );
    let wait = QuiesceRequest {
        wait_ns: 10_000_000_000,
    };
    let quiesced = holds(
        &daemon,
        call::quiesce(device.id, &wait),
        command("QUIESCE_DEV"),
    );
    if quiesced.is_some() {
        // The way back is what recovery and adopting use.
        let resumed = call::resume(device.id);
        holds(&daemon, resumed, command("START_USER_RECOVERY"));
    }
    Disk::open(&device.path).write(0, &[2; 4096]);
    let safely = StopRequest { safe: true };
    let stopped = holds(
        &daemon,
        call::stop(device.id, &safely),
        command("TRY_STOP_DEV"),
    );
    if stopped.is_none() {
        daemon.ask(call::stop(device.id, &StopRequest { safe: false }));
    }
    holds(&daemon, call::resume(device.id), command("START_DEV again"));
    daemon.stop();
    Outcome::Passed
}
