//! Actions after which a client gets an error.

use super::bench::{AT, LEN, NEW, OLD};
use super::row::Row;
use crate::client_io::errno;

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "fail_read",
        rule: "fail:MEDIUM where op=read,lba=8+8",
        direct: "ENODATA",
        cached: "EIO",
        check: |bench| {
            bench.reads_fail(libc::ENODATA, libc::EIO);
            assert_eq!(bench.disk.read(0, LEN), [OLD; LEN]);
            bench.untouched();
        },
        ..Row::COMMON
    },
    Row {
        name: "fail_write",
        rule: "fail:NOSPC where op=write,lba=8+8",
        direct: "ENOSPC",
        cached: "fsync: EIO",
        check: |bench| {
            bench.writes_fail(libc::ENOSPC);
            bench.untouched();
        },
        ..Row::COMMON
    },
    Row {
        name: "fail_write_that_is_done",
        rule: "fail:status=TIMEOUT,effect=full where op=write,lba=8+8",
        direct: "ETIMEDOUT",
        cached: "fsync: EIO",
        medium: "the data",
        check: |bench| {
            assert_eq!(errno(bench.write()), libc::ETIMEDOUT);
            bench.only_new_in(0..LEN);
            bench.disk.write(0, &[OLD; LEN]);
            assert_eq!(errno(bench.cached_write(OLD)), libc::EIO);
            bench.untouched();
        },
        ..Row::COMMON
    },
    Row {
        name: "fail_read_that_is_done",
        rule: "fail:status=TIMEOUT,effect=full where op=read,lba=8+8",
        direct: "ETIMEDOUT; the medium was read",
        cached: "EIO",
        check: |bench| {
            bench.reads_fail(libc::ETIMEDOUT, libc::EIO);
            bench.untouched();
        },
        ..Row::COMMON
    },
    Row {
        name: "fail_write_after_a_prefix",
        rule: "fail:status=MEDIUM,effect=prefix:3 where op=write,lba=8+8",
        direct: "ENODATA",
        cached: "fsync: EIO",
        medium: "the first three sectors of the data",
        check: |bench| {
            bench.writes_fail(libc::ENODATA);
            bench.only_new_in(0..3 * 512);
        },
        ..Row::COMMON
    },
    Row {
        name: "fail_write_of_exact_sectors",
        rule: "fail:status=MEDIUM,scope=sectors where op=write,lba=10+2",
        direct: "ENODATA",
        cached: "fsync: EIO",
        medium: "the data but for those two sectors",
        check: |bench| {
            bench.writes_fail(libc::ENODATA);
            bench.only_new_at(&[0..1024, 2048..LEN]);
        },
        ..Row::COMMON
    },
    Row {
        name: "fail_flush",
        rule: "fail:TIMEOUT where op=flush",
        direct: "fsync: ETIMEDOUT; reads and writes go on",
        cached: "fsync: ETIMEDOUT",
        medium: "the data",
        check: |bench| {
            bench.write().unwrap();
            assert_eq!(errno(bench.disk.file.sync_all()), libc::ETIMEDOUT);
            assert_eq!(errno(bench.cached_write(NEW)), libc::ETIMEDOUT);
            assert_eq!(bench.read().unwrap(), [NEW; LEN]);
            bench.only_new_in(0..LEN);
        },
        ..Row::COMMON
    },
    Row {
        name: "fail_write_zeroes",
        rule: "fail where op=write_zeroes,lba=8+8",
        direct: "EIO",
        check: |bench| {
            // The kernel may write zeroes itself then, which is another operation.
            let zeroed = bench.disk.zero(AT, LEN as u64);
            assert_eq!(errno(zeroed), libc::EIO);
            bench.untouched();
        },
        ..Row::COMMON
    },
    Row {
        name: "fail_discard",
        rule: "fail where op=discard,lba=8+8",
        direct: "EIO",
        check: |bench| {
            let discarded = crate::sys::discard(&bench.disk.file, AT, LEN as u64);
            assert_eq!(errno(discarded), libc::EIO);
            bench.untouched();
        },
        ..Row::COMMON
    },
    Row {
        name: "torn_write_acknowledged",
        rule: "torn:parts=4,persist=1+3 where op=write,lba=8+8",
        direct: "success",
        cached: "success",
        medium: "parts 1 and 3 of the data",
        check: |bench| {
            bench.write().unwrap();
            bench.only_new_at(&[0..1024, 2048..3072]);
            bench.cached_write(NEW).unwrap();
            bench.only_new_at(&[0..1024, 2048..3072]);
        },
        ..Row::COMMON
    },
    Row {
        name: "torn_write_failed",
        rule: "torn:parts=2,persist=2,status=IOERR where op=write,lba=8+8",
        direct: "EIO",
        cached: "fsync: EIO",
        medium: "the second half of the data",
        check: |bench| {
            bench.writes_fail(libc::EIO);
            bench.only_new_in(2048..LEN);
        },
        ..Row::COMMON
    },
    Row {
        name: "torn_within_a_sector",
        rule: "torn:bytes=100+1000,persist=1+3,unit=byte where op=write,lba=8+8",
        direct: "success",
        cached: "success",
        medium: "bytes 0 to 99 and from 1100 on of the data",
        check: |bench| {
            bench.write().unwrap();
            bench.only_new_at(&[0..100, 1100..LEN]);
            bench.cached_write(NEW).unwrap();
            bench.only_new_at(&[0..100, 1100..LEN]);
        },
        ..Row::COMMON
    },
    Row {
        name: "badmap_heals_when_written",
        rule: "badmap where lba=8+8",
        direct: "ENODATA until written, then the data",
        cached: "EIO until written",
        medium: "the data",
        check: |bench| {
            bench.reads_fail(libc::ENODATA, libc::EIO);
            bench.write().unwrap();
            assert_eq!(bench.read().unwrap(), [NEW; LEN]);
            bench.only_new_in(0..LEN);
        },
        ..Row::COMMON
    },
    Row {
        name: "badmap_heals_when_discarded",
        rule: "badmap(heal=discard) where lba=8+8",
        direct: "ENODATA until discarded, then zeroes",
        cached: "EIO until discarded",
        medium: "zeroes",
        check: |bench| {
            bench.reads_fail(libc::ENODATA, libc::EIO);
            bench.write().unwrap();
            bench.reads_fail(libc::ENODATA, libc::EIO);
            crate::sys::discard(&bench.disk.file, AT, LEN as u64).unwrap();
            assert_eq!(bench.read().unwrap(), [0; LEN]);
            assert_eq!(bench.medium(AT, LEN), [0; LEN]);
        },
        ..Row::COMMON
    },
];
