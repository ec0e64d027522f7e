//! `/v1/features`

mod table;

use api::{
    DataPath, DataPathSupport, Driver, DriverSupport, FeatureFlag, Features, Problem, SCHEMA,
    Transport, TransportSupport,
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
    let probed = tokio::task::spawn_blocking(ublk::Features::probe)
        .await
        .map_err(|error| super::reply::malformed(error.to_string()))?;
    let offered = match probed {
        Ok(offered) => Some(offered),
        // Then there is NBD, or the daemon would not run.
        Err(ublk::Error::NoDriver) => None,
        Err(error) => return Err(DeviceError::from(error).into()),
    };
    let data_paths: Vec<_> = DataPath::ALL
        .into_iter()
        .map(|path| data_path(path, offered))
        .collect();
    let transports: Vec<_> = Transport::ALL
        .into_iter()
        .map(|kind| transport(kind, offered))
        .collect();
    let drivers = drivers(offered.is_some());
    let table = table::rows(offered, &drivers, &data_paths, &transports);
    let offered = offered.unwrap_or(ublk::Features::empty());
    Ok(Json(Features {
        table,
        drivers,
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

/// Why a kernel without the ublk driver has none of what comes with it.
const NO_UBLK: &str =
    "kernel without ublk; a device with --driver nbd copies payload over a socket";

/// Why a thing of the ublk driver cannot be used; none if it can.
fn lacks(needs: ublk::Features, offered: Option<ublk::Features>) -> Option<String> {
    match offered {
        None => Some(NO_UBLK.to_owned()),
        Some(offered) => offered.require(needs).err().map(|error| error.to_string()),
    }
}

fn drivers(has_ublk: bool) -> Vec<DriverSupport> {
    let support = |name, why: Option<ublk::Error>| DriverSupport {
        name,
        usable: why.is_none(),
        why: why.map(|error| error.to_string()),
    };
    let nbd = (!ublk::nbd::is_there()).then_some(ublk::Error::NoNbd);
    let ublk = (!has_ublk).then_some(ublk::Error::NoDriver);
    vec![support(Driver::Ublk, ublk), support(Driver::Nbd, nbd)]
}

fn data_path(name: DataPath, offered: Option<ublk::Features>) -> DataPathSupport {
    let why = lacks(path_needs(name), offered);
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

fn transport(name: Transport, offered: Option<ublk::Features>) -> TransportSupport {
    let why = lacks(transport_needs(name), offered);
    TransportSupport {
        name,
        usable: why.is_none(),
        why,
    }
}
