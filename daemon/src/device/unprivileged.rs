//! Devices of ordinary users: what the driver takes from them is refused here, with what there is.

use api::{DataPath, DeviceConfig};
use ublk::{Features, control};

use super::DeviceError;

/// The features that are left for this configuration.
///
/// # Errors
/// [`DeviceError::Config`] if the daemon has the wrong rights for such a device, or if the configuration
/// asks for what the driver gives only to the privileged (`ublk_ctrl_add_dev`, drivers/block/ublk_drv.c).
pub(super) fn features_left(
    config: &DeviceConfig,
    offered: Features,
) -> Result<Features, DeviceError> {
    judge(config, offered, control::is_privileged())
}

fn judge(
    config: &DeviceConfig,
    offered: Features,
    privileged: bool,
) -> Result<Features, DeviceError> {
    let refuse = |field, reason: &str| {
        let reason = reason.to_owned();
        Err(DeviceError::Config { field, reason })
    };
    match (config.unprivileged, privileged) {
        (false, true) => return Ok(offered),
        (true, true) => {
            return refuse(
                "/unprivileged",
                "this bvecd has CAP_SYS_ADMIN, whose devices are never unprivileged; run bvecd as the \
                 user who is to own the device, or leave it out",
            );
        }
        (false, false) => {
            return refuse(
                "/unprivileged",
                "this bvecd has no CAP_SYS_ADMIN and makes unprivileged devices only; add \
                 --unprivileged, or run bvecd as root",
            );
        }
        (true, false) => {}
    }
    offered.require(Features::UNPRIVILEGED_DEV)?;
    if ![DataPath::Auto, DataPath::Copy].contains(&config.data_path) {
        return refuse(
            "/data_path",
            "the driver gives unprivileged devices no data path but copy",
        );
    }
    Ok(offered
        & !(Features::USER_COPY
            | Features::SUPPORT_ZERO_COPY
            | Features::AUTO_BUF_REG
            | Features::USER_RECOVERY
            | Features::USER_RECOVERY_REISSUE
            | Features::USER_RECOVERY_FAIL_IO
            | Features::QUIESCE
            | Features::SHMEM_ZC))
}

#[cfg(test)]
mod tests {
    use api::TargetConfig;

    use super::*;

    fn pointer(unprivileged: bool, data_path: DataPath, privileged: bool) -> Option<&'static str> {
        let config = DeviceConfig {
            unprivileged,
            data_path,
            ..DeviceConfig::new(TargetConfig::Null { size_bytes: 4096 })
        };
        match judge(&config, Features::all(), privileged) {
            Ok(_) => None,
            Err(DeviceError::Config { field, .. }) => Some(field),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn rights_and_paths_must_fit() {
        assert_eq!(pointer(false, DataPath::UserCopy, true), None);
        assert_eq!(pointer(true, DataPath::Copy, true), Some("/unprivileged"));
        assert_eq!(pointer(false, DataPath::Copy, false), Some("/unprivileged"));
        assert_eq!(pointer(true, DataPath::Copy, false), None);
        assert_eq!(pointer(true, DataPath::Auto, false), None);
        for path in [
            DataPath::UserCopy,
            DataPath::ZeroCopy,
            DataPath::AutoZeroCopy,
        ] {
            assert_eq!(pointer(true, path, false), Some("/data_path"));
        }
    }
}
