//! `/v1/features`

mod table;

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
    let data_paths: Vec<_> = DataPath::ALL
        .into_iter()
        .map(|path| data_path(path, offered))
        .collect();
    let transports: Vec<_> = Transport::ALL
        .into_iter()
        .map(|kind| transport(kind, offered))
        .collect();
    Ok(Json(Features {
        table: table::rows(offered, &data_paths, &transports),
        schema: SCHEMA,
        kernel: kernel_release(),
        mask: offered.bits(),
        flags: flags(offered),
        data_paths,
        transports,
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

/// What a data path needs.
fn path_needs(name: DataPath) -> ublk::Features {
    let kind = match name {
        DataPath::Copy | DataPath::Auto => DataPathKind::Copy,
        DataPath::UserCopy => DataPathKind::UserCopy,
        DataPath::ZeroCopy => DataPathKind::ZeroCopy,
        DataPath::AutoZeroCopy => DataPathKind::AutoZeroCopy,
        DataPath::SharedMemory => DataPathKind::SharedMemory,
    };
    kind.features()
}

fn data_path(name: DataPath, offered: ublk::Features) -> DataPathSupport {
    let lacks = offered.require(path_needs(name)).err();
    let why = lacks.map(|error| error.to_string());
    DataPathSupport {
        name,
        usable: why.is_none(),
        why,
    }
}

fn transport_needs(name: Transport) -> ublk::Features {
    let kind = match name {
        Transport::PerIo => TransportKind::PerIo,
        Transport::Batch => TransportKind::Batch,
    };
    kind.features()
}

fn transport(name: Transport, offered: ublk::Features) -> TransportSupport {
    let why = offered.require(transport_needs(name)).err();
    TransportSupport {
        name,
        usable: why.is_none(),
        why: why.map(|error| error.to_string()),
    }
}
