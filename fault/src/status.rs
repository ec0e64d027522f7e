//! The errors a request can fail with.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

use crate::error::ValueError;

/// An error status of the block layer, by its `BLK_STS_*` name (include/linux/blk_types.h), the names
/// that in-kernel error injection uses too (block/error-injection.c).
///
/// A ublk server answers with an errno, which the driver turns into a status by the table `blk_errors`
/// (block/blk-core.c, `errno_to_blk_status`). Exactly the errnos of that table survive; any other
/// becomes `IOERR`. So each status here has one errno, and errnos that would be lost are refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, ToSchema)]
#[schema(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// `EIO`: an error that says nothing about its cause.
    #[default]
    Ioerr,
    /// `EOPNOTSUPP`: the device does not know the operation.
    Notsupp,
    /// `ETIMEDOUT`: the device did not answer in time.
    Timeout,
    /// `ENOSPC`: the device has no space left, as thin provisioning says it.
    Nospc,
    /// `ENOLINK`: the path to the device failed.
    Transport,
    /// `EREMOTEIO`: the device failed as a whole.
    Target,
    /// `EBADE`: another host holds a reservation.
    ResvConflict,
    /// `ENODATA`: these sectors cannot be read or written. A direct reader sees `ENODATA`, a buffered
    /// one `EIO`.
    Medium,
    /// `EILSEQ`: protection information does not match.
    Protection,
    /// `ENOMEM`: the kernel lacks a resource.
    Resource,
    /// `EBUSY`: the device lacks a resource.
    DevResource,
    /// `EAGAIN`: the request would have had to wait.
    Again,
    /// `ENODEV`: the device is gone.
    Offline,
    /// `ETOOMANYREFS`: too many open zones.
    ZoneOpenResource,
    /// `EOVERFLOW`: too many active zones.
    ZoneActiveResource,
    /// `ETIME`: the command's duration limit was exceeded.
    DurationLimit,
    /// `EINVAL`: the request is not valid for the device.
    Inval,
}

/// Name of the status, its errno, and the errno's name; the `blk_errors` table of block/blk-core.c.
const TABLE: [(Status, &str, i32, &str); 17] = [
    (Status::Ioerr, "IOERR", libc::EIO, "EIO"),
    (Status::Notsupp, "NOTSUPP", libc::EOPNOTSUPP, "EOPNOTSUPP"),
    (Status::Timeout, "TIMEOUT", libc::ETIMEDOUT, "ETIMEDOUT"),
    (Status::Nospc, "NOSPC", libc::ENOSPC, "ENOSPC"),
    (Status::Transport, "TRANSPORT", libc::ENOLINK, "ENOLINK"),
    (Status::Target, "TARGET", libc::EREMOTEIO, "EREMOTEIO"),
    (Status::ResvConflict, "RESV_CONFLICT", libc::EBADE, "EBADE"),
    (Status::Medium, "MEDIUM", libc::ENODATA, "ENODATA"),
    (Status::Protection, "PROTECTION", libc::EILSEQ, "EILSEQ"),
    (Status::Resource, "RESOURCE", libc::ENOMEM, "ENOMEM"),
    (Status::DevResource, "DEV_RESOURCE", libc::EBUSY, "EBUSY"),
    (Status::Again, "AGAIN", libc::EAGAIN, "EAGAIN"),
    (Status::Offline, "OFFLINE", libc::ENODEV, "ENODEV"),
    (
        Status::ZoneOpenResource,
        "ZONE_OPEN_RESOURCE",
        libc::ETOOMANYREFS,
        "ETOOMANYREFS",
    ),
    (
        Status::ZoneActiveResource,
        "ZONE_ACTIVE_RESOURCE",
        libc::EOVERFLOW,
        "EOVERFLOW",
    ),
    (
        Status::DurationLimit,
        "DURATION_LIMIT",
        libc::ETIME,
        "ETIME",
    ),
    (Status::Inval, "INVAL", libc::EINVAL, "EINVAL"),
];

/// Errnos that people reach for and that the kernel would turn into `EIO`.
const LOST: [&str; 36] = [
    "EPERM",
    "ENOENT",
    "EINTR",
    "ENXIO",
    "E2BIG",
    "EBADF",
    "EACCES",
    "EFAULT",
    "ENOTBLK",
    "EEXIST",
    "EXDEV",
    "EISDIR",
    "ENFILE",
    "EMFILE",
    "ENOTTY",
    "EFBIG",
    "ESPIPE",
    "EROFS",
    "EPIPE",
    "ERANGE",
    "EDEADLK",
    "ENOSYS",
    "ECOMM",
    "EPROTO",
    "EBADMSG",
    "EREMCHG",
    "ENOTCONN",
    "ECONNRESET",
    "ECONNABORTED",
    "EHOSTDOWN",
    "ESTALE",
    "EUCLEAN",
    "EDQUOT",
    "ENOMEDIUM",
    "EMEDIUMTYPE",
    "ECANCELED",
];

impl Status {
    /// Every status, in the order of listings.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.into_iter().map(|(status, ..)| status)
    }

    /// The errno, positive, that a ublk server negates and answers with to give this status.
    #[must_use]
    pub fn errno(self) -> i32 {
        self.row().2
    }

    /// The errno's name, such as `ENODATA`.
    #[must_use]
    pub fn errno_name(self) -> &'static str {
        self.row().3
    }

    /// The name without `BLK_STS_`, such as `MEDIUM`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().1
    }

    fn row(self) -> (Self, &'static str, i32, &'static str) {
        // The table is in the order of the variants, which a test holds.
        TABLE[self as usize]
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Status {
    type Err = ValueError;

    /// Reads a status name, with or without `BLK_STS_`, or an errno name that survives; case does not
    /// matter.
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let upper = text.to_ascii_uppercase();
        let word = upper.strip_prefix("BLK_STS_").unwrap_or(&upper);
        let found = TABLE
            .into_iter()
            .find(|(_, name, _, errno)| *name == word || *errno == word);
        if let Some((status, ..)) = found {
            return Ok(status);
        }
        let names = TABLE.map(|(_, name, ..)| name).join(", ");
        let expected = if LOST.contains(&word) {
            format!(
                "an error that reaches the caller: the kernel turns {word} into EIO, so say IOERR, \
                 or one of {names}"
            )
        } else {
            format!("a status, one of {names}, or its errno, such as ENODATA for MEDIUM")
        };
        Err(ValueError::new(0, text, expected))
    }
}

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Status {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_variants() {
        for (position, (status, name, ..)) in TABLE.into_iter().enumerate() {
            assert_eq!(status as usize, position);
            assert_eq!(status.name(), name);
        }
    }

    #[test]
    fn the_schema_lists_the_names_that_are_written() {
        let schema = serde_json::to_value(<Status as utoipa::PartialSchema>::schema()).unwrap();
        let names: Vec<&str> = Status::all().map(Status::name).collect();
        assert_eq!(schema["enum"], serde_json::json!(names));
    }

    #[test]
    fn every_spelling_of_a_status_is_read() {
        for status in Status::all() {
            for word in [status.name().to_owned(), format!("BLK_STS_{status}")] {
                assert_eq!(word.parse(), Ok(status));
                assert_eq!(word.to_lowercase().parse(), Ok(status));
            }
            assert_eq!(status.errno_name().parse(), Ok(status));
        }
        assert_eq!(Status::Medium.errno(), libc::ENODATA);
    }

    #[test]
    fn an_errno_that_would_be_lost_is_refused_with_the_reason() {
        for word in LOST {
            let error = word.parse::<Status>().unwrap_err();
            assert!(error.expected.contains("into EIO"), "{error}");
        }
        let typo = "MEDUIM".parse::<Status>().unwrap_err();
        assert!(
            typo.expected.contains("MEDIUM") && !typo.expected.contains("into EIO"),
            "{typo}"
        );
    }
}
