//! Wrong protection information.

use api::DataPath;

use super::bench::{AT, Bench, LEN, OLD};
use super::row::{Made, Row};
use crate::client_io::errno;

/// Only one data path reaches the tags.
const REFUSED: &[(DataPath, &str)] = &[
    (DataPath::Copy, "the device is refused"),
    (DataPath::ZeroCopy, "the device is refused"),
    (DataPath::AutoZeroCopy, "the device is refused"),
    (DataPath::SharedMemory, "the device is refused"),
];

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "pi_read",
        rule: "pi:guard where op=read,lba=8+8",
        direct: "EILSEQ, of the block layer's check",
        cached: "EIO",
        unlike: REFUSED,
        made: Made::Protected,
        check: |bench| {
            // A block that was never written has no tags that could be wrong.
            bench.disk.write(AT, &[OLD; LEN]);
            bench.reads_fail(libc::EILSEQ, libc::EIO);
            bench.heal();
            assert_eq!(bench.read().unwrap(), [OLD; LEN]);
            bench.untouched();
        },
        ..Row::COMMON
    },
    Row {
        name: "pi_write",
        rule: "pi:ref where op=write,lba=8+8",
        direct: "success; reads get EILSEQ, of bvecd's check",
        cached: "success; reads get EIO",
        medium: "the data, with wrong tags",
        unlike: REFUSED,
        made: Made::Protected,
        check: |bench| {
            for write in [Bench::write, |bench: &Bench| {
                bench.cached_write(super::bench::NEW)
            }] {
                write(bench).unwrap();
                bench.only_new_in(0..LEN);
                assert_eq!(errno(bench.read()), libc::EILSEQ);
                assert_eq!(errno(bench.cached_read()), libc::EIO);
            }
        },
    },
];
