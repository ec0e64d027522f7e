//! What the driver offers: the `UBLK_F_*` flags, their names and the kernels that brought them.

use bitflags::bitflags;

use crate::error::Error;

bitflags! {
    /// The driver's feature flags, as in `include/uapi/linux/ublk_cmd.h`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Features: u64 {
        /// Requests' pages can be put into an io_uring buffer table by command.
        const SUPPORT_ZERO_COPY = 1 << 0;
        /// Commands complete in the task that issued them; the driver sets it by itself.
        const URING_CMD_COMP_IN_TASK = 1 << 1;
        /// The server gives a source request's memory only after it has seen the request.
        const NEED_GET_DATA = 1 << 2;
        /// The device outlives its server.
        const USER_RECOVERY = 1 << 3;
        /// Requests in flight at the server's death are issued again.
        const USER_RECOVERY_REISSUE = 1 << 4;
        /// An ordinary user may own the device.
        const UNPRIVILEGED_DEV = 1 << 5;
        /// Commands are encoded as ioctls; the driver sets it by itself.
        const CMD_IOCTL_ENCODE = 1 << 6;
        /// Payload moves by pread and pwrite on the character device.
        const USER_COPY = 1 << 7;
        /// Zoned devices.
        const ZONED = 1 << 8;
        /// Requests fail while no server is there.
        const USER_RECOVERY_FAIL_IO = 1 << 9;
        /// The size can change while the device runs.
        const UPDATE_SIZE = 1 << 10;
        /// The driver registers each request's pages before it delivers the request.
        const AUTO_BUF_REG = 1 << 11;
        /// The device can be quiesced for a change of server.
        const QUIESCE = 1 << 12;
        /// Each tag may have a task of its own.
        const PER_IO_DAEMON = 1 << 13;
        /// Buffers can be registered from any task.
        const BUF_REG_OFF_DAEMON = 1 << 14;
        /// One command moves many requests.
        const BATCH_IO = 1 << 15;
        /// Protection information.
        const INTEGRITY = 1 << 16;
        /// A stop that refuses while the device is open.
        const SAFE_STOP_DEV = 1 << 17;
        /// No partition scan at start.
        const NO_AUTO_PART_SCAN = 1 << 18;
        /// Requests in shared memory are not copied.
        const SHMEM_ZC = 1 << 19;
        /// The size of an io descriptor can be asked for.
        const IO_DESC_SIZE = 1 << 20;
    }
}

/// The first kernel with each feature. Read from the kernels' headers where Debian ships them, else
/// from the dates of the commits.
const SINCE: &[(Features, &str)] = &[
    (Features::SUPPORT_ZERO_COPY, "6.15"),
    (Features::URING_CMD_COMP_IN_TASK, "6.0"),
    (Features::NEED_GET_DATA, "6.0"),
    (Features::USER_RECOVERY, "6.1"),
    (Features::USER_RECOVERY_REISSUE, "6.1"),
    (Features::UNPRIVILEGED_DEV, "6.3"),
    (Features::CMD_IOCTL_ENCODE, "6.4"),
    (Features::USER_COPY, "6.5"),
    (Features::ZONED, "6.6"),
    (Features::USER_RECOVERY_FAIL_IO, "6.13"),
    (Features::UPDATE_SIZE, "6.16"),
    (Features::AUTO_BUF_REG, "6.16"),
    (Features::QUIESCE, "6.16"),
    (Features::PER_IO_DAEMON, "6.16"),
    (Features::BUF_REG_OFF_DAEMON, "6.17"),
    (Features::BATCH_IO, "7.0"),
    (Features::INTEGRITY, "7.0"),
    (Features::SAFE_STOP_DEV, "7.0"),
    (Features::NO_AUTO_PART_SCAN, "7.0"),
    (Features::SHMEM_ZC, "7.1"),
    (Features::IO_DESC_SIZE, "7.3"),
];

impl Features {
    /// Asks the driver which features it has (`UBLK_U_CMD_GET_FEATURES`, Linux 6.5); none on kernels that
    /// cannot be asked.
    ///
    /// # Errors
    /// [`Error::NoDriver`] or [`Error::Denied`] where the control device cannot be opened.
    pub fn probe() -> Result<Self, Error> {
        crate::control::check_access()?;
        crate::control::features()
    }

    /// Every flag of this set: its name in the kernel's header, its bit and the kernel it came with.
    pub fn known() -> impl Iterator<Item = (&'static str, u32, &'static str)> {
        SINCE
            .iter()
            .map(|(flag, since)| (flag.kernel_name(), flag.bits().trailing_zeros(), *since))
    }

    /// The kernel's name of a single flag, without `UBLK_F_`.
    #[must_use]
    pub fn kernel_name(self) -> &'static str {
        self.iter_names().next().map_or("unknown", |(name, _)| name)
    }

    /// The first kernel that has every flag of this set; none for the empty set.
    #[must_use]
    pub fn since(self) -> Option<&'static str> {
        let version = |since: &str| -> Option<(u32, u32)> {
            let (major, minor) = since.split_once('.')?;
            Some((major.parse().ok()?, minor.parse().ok()?))
        };
        SINCE
            .iter()
            .filter(|(flag, _)| self.contains(*flag))
            .map(|(_, since)| *since)
            .max_by_key(|since| version(since))
    }

    /// Fails with the first flag of `needed` that is not in `self`.
    ///
    /// # Errors
    /// [`Error::MissingFeature`], naming the flag and the kernel that brought it.
    pub fn require(self, needed: Self) -> Result<(), Error> {
        match SINCE
            .iter()
            .find(|(flag, _)| needed.contains(*flag) && !self.contains(*flag))
        {
            None => Ok(()),
            Some((flag, since)) => Err(Error::MissingFeature {
                feature: flag.kernel_name(),
                since,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_has_a_version_and_a_name() {
        for flag in Features::all().iter() {
            assert!(
                SINCE.iter().any(|(known, _)| *known == flag),
                "{flag:?} lacks its version"
            );
            assert_ne!(flag.kernel_name(), "unknown");
        }
    }

    #[test]
    fn a_missing_feature_is_named_with_its_kernel() {
        let old = Features::USER_COPY | Features::USER_RECOVERY;
        let error = old
            .require(Features::USER_COPY | Features::AUTO_BUF_REG)
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "use AUTO_BUF_REG: this kernel's ublk driver does not offer it (since Linux 6.16)"
        );
        assert!(old.require(Features::USER_COPY).is_ok());
    }

    #[test]
    fn a_set_is_as_young_as_its_youngest_flag() {
        let set = Features::AUTO_BUF_REG | Features::USER_COPY | Features::USER_RECOVERY;
        assert_eq!(set.since(), Some("6.16"));
        assert_eq!(Features::empty().since(), None);
        let both = Features::BATCH_IO | Features::BUF_REG_OFF_DAEMON;
        assert_eq!(both.since(), Some("7.0"));
    }

    #[test]
    fn bits_match_the_binding() {
        assert_eq!(
            u64::from(libublk::sys::UBLK_F_AUTO_BUF_REG),
            Features::AUTO_BUF_REG.bits()
        );
        assert_eq!(
            u64::from(libublk::sys::UBLK_F_USER_COPY),
            Features::USER_COPY.bits()
        );
        assert_eq!(
            u64::from(libublk::sys::UBLK_F_SHMEM_ZC),
            Features::SHMEM_ZC.bits()
        );
    }
}
