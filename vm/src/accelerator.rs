//! Whether KVM really works on this host.
//!
//! A /dev/kvm that can be opened, and even a QEMU that starts with it, prove nothing: some nested
//! hosts abort later, or hang. So a guest is booted with it, once per boot of the host and version
//! of QEMU.

use std::fs::{self, OpenOptions};
use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::attempt::{Attempt, Sinks};
use crate::cache::{Cache, write_whole};
use crate::death::Cause;
use crate::error::Error;
use crate::machine::{Accelerator, Machine};
use crate::monitor::{Limits, Signals};
use crate::prepared::Prepared;
use crate::progress::Progress;

/// A working KVM boots our guest in well under a second.
const PROBE_LIMIT: Duration = Duration::from_secs(6);

/// The result of a probe and what it is good for.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Probe {
    boot_id: String,
    qemu: (u32, u32),
    kvm: bool,
}

/// Chooses what executes the guest.
pub(crate) fn choose(
    prepared: &Prepared,
    cache: &Cache,
    signals: &Signals,
    progress: &Progress,
) -> Result<Accelerator, Error> {
    if OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/kvm")
        .is_err()
    {
        return Ok(Accelerator::Tcg);
    }
    let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let boot_id = boot_id.trim().to_owned();
    let place = cache.path("accelerator.json");
    let known = fs::read(&place)
        .ok()
        .and_then(|json| serde_json::from_slice::<Probe>(&json).ok());
    let kvm = match known {
        Some(probe) if probe.boot_id == boot_id && probe.qemu == prepared.qemu.version => probe.kvm,
        _ => {
            progress.say("trying whether KVM works");
            let kvm = probe(prepared, signals)?;
            let result = Probe {
                boot_id,
                qemu: prepared.qemu.version,
                kvm,
            };
            let json = serde_json::to_vec(&result).unwrap_or_default();
            // A cache that cannot be written only costs another probe.
            let _ = write_whole(&place, &json);
            if !kvm {
                progress.say("KVM does not work here; using emulation (TCG)");
            }
            kvm
        }
    };
    Ok(if kvm {
        Accelerator::Kvm
    } else {
        Accelerator::Tcg
    })
}

/// Boots the guest with KVM until its init speaks.
fn probe(prepared: &Prepared, signals: &Signals) -> Result<bool, Error> {
    let attempt = Attempt {
        machine: &Machine::default(),
        accelerator: Accelerator::Kvm,
        prepared,
        copy_out: &[],
        interactive: false,
        limits: Limits {
            boot: PROBE_LIMIT,
            total: None,
            until_ready: true,
            listens: false,
            sends: false,
        },
        talkative: false,
    };
    match attempt.run(
        &Sinks::new(io::sink(), io::sink()),
        signals,
        &Progress::new(true),
    ) {
        Ok(_) => Ok(true),
        Err(Error::Death(death)) if matches!(death.cause, Cause::Interrupted { .. }) => {
            Err(Error::Death(death))
        }
        Err(_) => Ok(false),
    }
}
