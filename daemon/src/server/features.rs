//! `/v1/features`

use api::{
    DataPath, DataPathSupport, FeatureFlag, Features, Problem, SCHEMA, Transport, TransportSupport,
};
use axum::Json;
use ublk::{DataPathKind, TransportKind};

use super::reply::Reply;
use crate::device::DeviceError;

/// What the kernel and this daemon can do.
#[utoipa::path(get, path = api::paths::FEATURES, responses(
    (status = 200, body = Features), (status = 501, body = Problem),
))]
pub(super) async fn show() -> Reply<Features> {
    let offered = tokio::task::spawn_blocking(ublk::Features::probe)
        .await
        .map_err(|error| super::reply::malformed(error.to_string()))?
        .map_err(DeviceError::from)?;
    Ok(Json(Features {
        schema: SCHEMA,
        kernel: kernel_release(),
        mask: offered.bits(),
        flags: flags(offered),
        data_paths: DataPath::ALL
            .into_iter()
            .map(|path| data_path(path, offered))
            .collect(),
        transports: Transport::ALL
            .into_iter()
            .map(|name| transport(name, offered))
            .collect(),
    }))
}

fn kernel_release() -> String {
    let name = nix::sys::utsname::uname();
    name.map(|name| name.release().to_string_lossy().into_owned())
        .unwrap_or_default()
}

fn flags(offered: ublk::Features) -> Vec<FeatureFlag> {
    let known = ublk::Features::known().map(|(name, bit, since)| (bit, name, Some(since)));
    let later = (0..u64::BITS)
        .filter(|bit| ublk::Features::all().bits() & (1 << bit) == 0)
        .filter(|bit| offered.bits() & (1 << bit) != 0)
        .map(|bit| (bit, "unknown", None));
    let mut flags: Vec<_> = known
        .chain(later)
        .filter_map(|(bit, name, since)| {
            Some(FeatureFlag {
                name: name.to_owned(),
                bit: u8::try_from(bit).ok()?,
                since: since.map(str::to_owned),
                offered: offered.bits() & (1 << bit) != 0,
            })
        })
        .collect();
    flags.sort_by_key(|flag| flag.bit);
    flags
}

fn data_path(name: DataPath, offered: ublk::Features) -> DataPathSupport {
    let kind = match name {
        DataPath::Copy | DataPath::Auto => DataPathKind::Copy,
        DataPath::UserCopy => DataPathKind::UserCopy,
        DataPath::ZeroCopy => DataPathKind::ZeroCopy,
        DataPath::AutoZeroCopy => DataPathKind::AutoZeroCopy,
        DataPath::SharedMemory => DataPathKind::SharedMemory,
    };
    let lacks = offered.require(kind.features()).err();
    let why = lacks.map(|error| error.to_string());
    DataPathSupport {
        name,
        usable: why.is_none(),
        why,
    }
}

fn transport(name: Transport, offered: ublk::Features) -> TransportSupport {
    let kind = match name {
        Transport::PerIo => TransportKind::PerIo,
        Transport::Batch => TransportKind::Batch,
    };
    let why = offered.require(kind.features()).err();
    TransportSupport {
        name,
        usable: why.is_none(),
        why: why.map(|error| error.to_string()),
    }
}
