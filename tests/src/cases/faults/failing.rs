//! Actions after which a client gets an error.

use super::bench::{AT, LEN, NEW, OLD, Row};
use crate::client_io::errno;

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "fail_read",
        rule: "fail:MEDIUM where op=read,lba=8+8",
        result: "ENODATA to a direct reader, EIO to a cached one",
        check: |bench| {
            bench.reads_fail(libc::ENODATA, libc::EIO);
            assert_eq!(bench.disk.read(0, LEN), [OLD; LEN]);
            bench.untouched();
        },
    },
    Row {
        name: "fail_write",
        rule: "fail:NOSPC where op=write,lba=8+8",
        result: "ENOSPC; the medium is not touched",
        check: |bench| {
            assert_eq!(errno(bench.write()), libc::ENOSPC);
            bench.untouched();
        },
    },
    Row {
        name: "fail_write_that_is_done",
        rule: "fail:status=TIMEOUT,effect=full where op=write,lba=8+8",
        result: "ETIMEDOUT; all of it is on the medium",
        check: |bench| {
            assert_eq!(errno(bench.write()), libc::ETIMEDOUT);
            bench.only_new_in(0..LEN);
        },
    },
    Row {
        name: "fail_read_that_is_done",
        rule: "fail:status=TIMEOUT,effect=full where op=read,lba=8+8",
        result: "ETIMEDOUT; the medium was read",
        check: |bench| {
            bench.reads_fail(libc::ETIMEDOUT, libc::EIO);
            bench.untouched();
        },
    },
    Row {
        name: "fail_write_after_a_prefix",
        rule: "fail:status=MEDIUM,effect=prefix:3 where op=write,lba=8+8",
        result: "ENODATA; the first three sectors are on the medium",
        check: |bench| {
            assert_eq!(errno(bench.write()), libc::ENODATA);
            bench.only_new_in(0..3 * 512);
        },
    },
    Row {
        name: "fail_write_of_exact_sectors",
        rule: "fail:status=MEDIUM,scope=sectors where op=write,lba=10+2",
        result: "ENODATA; all but those two sectors are on the medium",
        check: |bench| {
            assert_eq!(errno(bench.write()), libc::ENODATA);
            bench.only_new_at(&[0..1024, 2048..LEN]);
        },
    },
    Row {
        name: "fail_flush",
        rule: "fail:TIMEOUT where op=flush",
        result: "fsync gives ETIMEDOUT, reads and writes go on",
        check: |bench| {
            bench.write().unwrap();
            assert_eq!(errno(bench.disk.file.sync_all()), libc::ETIMEDOUT);
            bench.only_new_in(0..LEN);
        },
    },
    Row {
        name: "fail_write_zeroes",
        rule: "fail where op=write_zeroes,lba=8+8",
        result: "an error; the medium is not touched",
        check: |bench| {
            // The kernel may write zeroes itself then, which is another operation.
            let zeroed = bench.disk.zero(AT, LEN as u64);
            assert_eq!(errno(zeroed), libc::EIO);
            bench.untouched();
        },
    },
    Row {
        name: "torn_write_acknowledged",
        rule: "torn:parts=4,persist=1+3 where op=write,lba=8+8",
        result: "success; parts 1 and 3 of 4 are on the medium",
        check: |bench| {
            bench.write().unwrap();
            bench.only_new_at(&[0..1024, 2048..3072]);
        },
    },
    Row {
        name: "torn_write_failed",
        rule: "torn:parts=2,persist=2,status=IOERR where op=write,lba=8+8",
        result: "EIO; the second half is on the medium",
        check: |bench| {
            assert_eq!(errno(bench.write()), libc::EIO);
            bench.only_new_in(2048..LEN);
        },
    },
    Row {
        name: "torn_within_a_sector",
        rule: "torn:bytes=100+1000,persist=1+3,unit=byte where op=write,lba=8+8",
        result: "success; bytes 0 to 99 and from 1100 on are on the medium",
        check: |bench| {
            bench.write().unwrap();
            bench.only_new_at(&[0..100, 1100..LEN]);
        },
    },
    Row {
        name: "badmap_heals_when_written",
        rule: "badmap where lba=8+8",
        result: "reads fail with ENODATA until the sectors are written",
        check: |bench| {
            bench.reads_fail(libc::ENODATA, libc::EIO);
            bench.write().unwrap();
            assert_eq!(bench.read().unwrap(), [NEW; LEN]);
            bench.only_new_in(0..LEN);
        },
    },
];
