//! What can go wrong between us and the driver.

use std::io;

/// An error of the ublk interface. Each message says what is missing or wrong, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel has no ublk driver, or its module is not loaded.
    #[error(
        "open /dev/ublk-control: it is not there; load the driver with `modprobe ublk_drv` \
         (kernel 6.4 or later with CONFIG_BLK_DEV_UBLK), use `bvecctl vm run`, or, on a kernel without it, load \
         `nbd` and add devices with --driver nbd"
    )]
    NoDriver,
    /// The caller may not use the control device.
    #[error(
        "open /dev/ublk-control: permission denied; run as root, or let udev open it with the rules in \
         bvecd's daemon/udev and use --unprivileged"
    )]
    Denied,
    /// The kernel has no NBD client, or its module is not loaded.
    #[error(
        "open /dev/nbd0: there is no NBD client; load it with `modprobe nbd` (CONFIG_BLK_DEV_NBD)"
    )]
    NoNbd,
    /// A control command was refused.
    #[error("{command} on ublk device {device}: {source}{}", hint_text(*.hint))]
    Command {
        /// The kernel's name of the command, such as `ADD_DEV`.
        command: &'static str,
        /// The device's number, or "(new)".
        device: String,
        /// What the driver answered.
        source: io::Error,
        /// What would be right, where the answer has one likely cause.
        hint: Option<&'static str>,
    },
    /// The driver allows no more devices.
    #[error(
        "add a device: the driver has as many as it allows, {} (ublks_max); remove one, or raise \
         /sys/module/ublk_drv/parameters/ublks_max", most.map_or_else(|| "a number it does not tell".into(), |most: u32| most.to_string())
    )]
    TooMany {
        /// The driver's limit, if it can be read.
        most: Option<u32>,
    },
    /// The kernel lacks a feature that the device needs.
    #[error("use {feature}: this kernel's ublk driver does not offer it (since Linux {since})")]
    MissingFeature {
        /// The feature's name as in `ublk_cmd.h`, without its prefix.
        feature: &'static str,
        /// The first kernel version that has it.
        since: &'static str,
    },
    /// A system call failed.
    #[error("{what}: {source}")]
    System {
        /// What was attempted.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
}

fn hint_text(hint: Option<&'static str>) -> String {
    hint.map(|text| format!(" ({text})")).unwrap_or_default()
}

impl Error {
    /// Wraps a failed system call with what it was for.
    pub(crate) fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::System { what, source }
    }

    /// The errno behind the error, where there is one.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Command { source, .. } | Self::System { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }
}
