//! The table of features: one row for whatever a kernel may have, with what it is for. A new data path,
//! transport or flag needs a row or a text here; the tests find what was forgotten.

use api::{
    DataPath, DataPathSupport, Driver, DriverSupport, FeatureKind, FeatureRow, Transport,
    TransportSupport,
};
use ublk::Features;

/// What a thing that is no flag needs: its name, the flags, the first kernel where no flag tells, its use.
struct Row {
    name: &'static str,
    needs: Features,
    since: Option<&'static str>,
    used_for: &'static str,
}

const fn row(name: &'static str, needs: Features, used_for: &'static str) -> Row {
    Row {
        name,
        needs,
        since: None,
        used_for,
    }
}

/// The kinds of recovery.
const RECOVERY: &[Row] = &[
    row("fail", Features::empty(), "the device goes with its daemon"),
    row(
        "queue",
        Features::USER_RECOVERY,
        "requests in flight fail, new ones wait for the next daemon",
    ),
    row(
        "reissue",
        Features::USER_RECOVERY.union(Features::USER_RECOVERY_REISSUE),
        "requests in flight are sent again to the next daemon",
    ),
    row(
        "fail-io",
        Features::USER_RECOVERY.union(Features::USER_RECOVERY_FAIL_IO),
        "requests fail until the next daemon",
    ),
];

/// The driver's commands that not every kernel has.
const COMMANDS: &[Row] = &[
    Row {
        name: "GET_FEATURES",
        // Whoever cannot be asked has told of no flag.
        needs: Features::CMD_IOCTL_ENCODE,
        since: Some("6.5"),
        used_for: "this table",
    },
    row(
        "START_USER_RECOVERY",
        Features::USER_RECOVERY,
        "recover, adopt, resume after quiesce",
    ),
    row(
        "UPDATE_SIZE",
        Features::UPDATE_SIZE,
        "a new size while it runs",
    ),
    row(
        "QUIESCE_DEV",
        Features::QUIESCE,
        "quiesce and hand-over: a change of daemon with nothing lost; not on batch",
    ),
    row(
        "TRY_STOP_DEV",
        Features::SAFE_STOP_DEV,
        "a stop that refuses while it is open",
    ),
    // Which kernels serve a stopped device again no flag tells; this one came with it.
    row(
        "START_DEV again",
        Features::IO_DESC_SIZE,
        "resume of a stopped device",
    ),
    row("REG_BUF", Features::SHMEM_ZC, "memory that clients share"),
];

/// What each flag of the driver is for; none where bvecd makes no use of it.
const FLAGS: &[(Features, Option<&str>)] = &[
    (
        Features::SUPPORT_ZERO_COPY,
        Some("zero-copy; auto-zero-copy where registering failed"),
    ),
    (Features::URING_CMD_COMP_IN_TASK, Some("set by the driver")),
    (Features::NEED_GET_DATA, None),
    (
        Features::USER_RECOVERY,
        Some("recovery queue, reissue, fail-io"),
    ),
    (Features::USER_RECOVERY_REISSUE, Some("recovery reissue")),
    (
        Features::UNPRIVILEGED_DEV,
        Some("bvecd as an ordinary user; copy only, no recovery"),
    ),
    (
        Features::CMD_IOCTL_ENCODE,
        Some("every command; bvecd needs it"),
    ),
    (
        Features::USER_COPY,
        Some("user-copy; shared-memory where a request lies elsewhere"),
    ),
    (Features::ZONED, None),
    (Features::USER_RECOVERY_FAIL_IO, Some("recovery fail-io")),
    (Features::UPDATE_SIZE, Some("resize")),
    (Features::AUTO_BUF_REG, Some("auto-zero-copy")),
    (Features::QUIESCE, Some("quiesce, hand-over; not on batch")),
    (Features::PER_IO_DAEMON, Some("set by the driver")),
    (Features::BUF_REG_OFF_DAEMON, Some("set by the driver")),
    (Features::BATCH_IO, Some("transport batch")),
    (
        Features::INTEGRITY,
        Some("protection information, on user-copy"),
    ),
    (Features::SAFE_STOP_DEV, Some("safe stop")),
    (
        Features::NO_AUTO_PART_SCAN,
        Some("a start that no rule sees"),
    ),
    (Features::SHMEM_ZC, Some("shared-memory")),
    (
        Features::IO_DESC_SIZE,
        Some("telling that a stopped device starts again"),
    ),
];

/// Every row, kind by kind.
pub(super) fn rows(
    offered: Option<Features>,
    drivers: &[DriverSupport],
    data_paths: &[DataPathSupport],
    transports: &[TransportSupport],
) -> Vec<FeatureRow> {
    let make = |kind, name: &str, since: Option<&str>, usable, used_for: Option<&str>| FeatureRow {
        kind,
        name: name.to_owned(),
        since: since.map(str::to_owned),
        usable,
        used_for: used_for.map(str::to_owned),
    };
    let of = |kind| {
        move |row: &Row| {
            let since = row.since.or_else(|| row.needs.since());
            let usable = offered.is_some_and(|offered| offered.contains(row.needs));
            make(kind, row.name, since, usable, Some(row.used_for))
        }
    };
    let path = |path: &DataPathSupport| {
        let (since, used_for) = (super::path_needs(path.name).since(), path_use(path.name));
        make(
            FeatureKind::DataPath,
            path.name.name(),
            since,
            path.usable,
            Some(used_for),
        )
    };
    let transport = |kind: &TransportSupport| {
        let (since, used_for) = (
            super::transport_needs(kind.name).since(),
            transport_use(kind.name),
        );
        make(
            FeatureKind::Transport,
            kind.name.name(),
            since,
            kind.usable,
            Some(used_for),
        )
    };
    let flag = |(flag, used_for): &(Features, Option<&str>)| {
        let usable = offered.is_some_and(|offered| offered.contains(*flag));
        make(
            FeatureKind::Flag,
            flag.kernel_name(),
            flag.since(),
            usable,
            *used_for,
        )
    };
    let known = data_paths.iter().filter(|path| path.name != DataPath::Auto);
    drivers
        .iter()
        .map(driver_row)
        .chain(known.map(path))
        .chain(transports.iter().map(transport))
        .chain(RECOVERY.iter().map(of(FeatureKind::Recovery)))
        .chain(COMMANDS.iter().map(of(FeatureKind::Command)))
        .chain(FLAGS.iter().map(flag))
        .collect()
}

fn driver_row(driver: &DriverSupport) -> FeatureRow {
    let (since, used_for) = match driver.name {
        // By the commands that bvecd needs; the driver itself is of 6.0.
        Driver::Ublk => (Some("6.4"), "every device, unless told"),
        Driver::Nbd => (None, "dev add --driver nbd: for kernels without ublk"),
    };
    FeatureRow {
        kind: FeatureKind::Driver,
        name: driver.name.name().to_owned(),
        since: since.map(str::to_owned),
        usable: driver.usable,
        used_for: Some(used_for.to_owned()),
    }
}

fn path_use(path: DataPath) -> &'static str {
    match path {
        DataPath::Copy => "the driver copies; every kernel",
        DataPath::UserCopy => "bvecd copies, only what it wants to see",
        DataPath::ZeroCopy => "nothing is copied; pages are registered by hand",
        DataPath::AutoZeroCopy => "nothing is copied; what `auto` picks first",
        DataPath::SharedMemory => "nothing is copied; clients use memory of bvecd",
        DataPath::Auto => "the best of these",
    }
}

fn transport_use(transport: Transport) -> &'static str {
    match transport {
        Transport::PerIo => "a command a request; every kernel",
        Transport::Batch => "a command for many requests",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_has_a_row() {
        for flag in Features::all().iter() {
            let found = FLAGS.iter().filter(|(known, _)| *known == flag).count();
            assert_eq!(found, 1, "{}", flag.kernel_name());
        }
    }

    #[test]
    fn an_old_kernel_lacks_what_came_later() {
        let offered = Features::USER_RECOVERY | Features::CMD_IOCTL_ENCODE;
        let rows = rows(Some(offered), &[], &[], &[]);
        let of = |kind, name: &str| {
            let found = rows.iter().find(|row| row.kind == kind && row.name == name);
            found.unwrap()
        };
        assert!(of(FeatureKind::Recovery, "queue").usable);
        let later = of(FeatureKind::Recovery, "fail-io");
        assert_eq!(
            (later.usable, later.since.as_deref()),
            (false, Some("6.13"))
        );
        assert!(!of(FeatureKind::Command, "QUIESCE_DEV").usable);
        assert_eq!(of(FeatureKind::Flag, "ZONED").used_for, None);
    }
}
