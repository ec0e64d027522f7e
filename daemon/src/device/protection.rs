//! Where the protection information of a device is kept.

use std::path::Path;
use std::sync::Arc;

use api::{DataPath, DeviceConfig, Integrity, TargetConfig};
use ublk::{DataPathKind, Features, Params};

use super::DeviceError;
use crate::integrity::TagStore;

/// The data path that is to be chosen: protection information is reached by user copy only
/// (`ublk_ctrl_add_dev`).
///
/// # Errors
/// [`DeviceError::Config`] if another was asked for.
pub(super) fn data_path(config: &DeviceConfig) -> Result<DataPath, DeviceError> {
    match (config.integrity, config.data_path) {
        (Integrity::None, path) => Ok(path),
        (Integrity::T10Crc, DataPath::Auto | DataPath::UserCopy) => Ok(DataPath::UserCopy),
        (Integrity::T10Crc, other) => Err(DeviceError::Config {
            field: "/data_path",
            reason: format!("{other} has no protection information; user-copy is needed"),
        }),
    }
}

/// The features that it needs.
pub(super) fn features(config: &DeviceConfig) -> Features {
    match config.integrity {
        Integrity::None => Features::empty(),
        Integrity::T10Crc => Features::INTEGRITY | DataPathKind::UserCopy.features(),
    }
}

/// Opens the place for the tags; none on devices without.
///
/// # Errors
/// [`DeviceError`]: the backing is no file, or the tags' own file cannot be opened.
pub(super) fn open(
    config: &DeviceConfig,
    params: &Params,
) -> Result<Option<Arc<TagStore>>, DeviceError> {
    if config.integrity == Integrity::None {
        return Ok(None);
    }
    let blocks = params.device_sectors / u64::from(params.logical_block.bytes() >> 9);
    let store = match &config.target {
        TargetConfig::Null { .. } => TagStore::Nowhere,
        TargetConfig::Ram { .. } => {
            TagStore::in_memory(blocks).map_err(|source| DeviceError::System {
                what: "allocate memory for the tags",
                source,
            })?
        }
        TargetConfig::Loop { file, .. } => beside(file, blocks, config.read_only)?,
    };
    Ok(Some(Arc::new(store)))
}

fn beside(backing: &Path, blocks: u64, read_only: bool) -> Result<TagStore, DeviceError> {
    if !backing.is_file() {
        return Err(DeviceError::Config {
            field: "/integrity",
            reason: format!(
                "the tags are kept beside a regular file, and {} is none",
                backing.display()
            ),
        });
    }
    let path = TagStore::beside(backing);
    TagStore::open(&path, blocks, read_only).map_err(|error| DeviceError::Config {
        field: "/integrity",
        reason: format!("open {} for the tags: {error}", path.display()),
    })
}
