use super::*;
use crate::{DeviceFacts, RuleSet};

/// The rules in words, by name.
fn words(format: &str, text: &str) -> (Vec<String>, Vec<(usize, String)>) {
    let done = import(format.parse().unwrap(), "i", text);
    // Whatever comes out is accepted by a device.
    let facts = DeviceFacts::of_size(1 << 40);
    let set = RuleSet::compile(1, 0, done.rules.clone(), None, &facts);
    set.unwrap_or_else(|error| panic!("{error}"));
    let rules = done
        .rules
        .iter()
        .map(|rule| format!("{}: {rule}", rule.name));
    let refused = done
        .refused
        .into_iter()
        .map(|refused| (refused.line, refused.reason));
    (rules.collect(), refused.collect())
}

fn translated(format: &str, text: &str, expected: &[&str]) {
    let (rules, refused) = words(format, text);
    assert_eq!(rules, expected, "{text}");
    assert_eq!(refused, [], "{text}");
}

/// Lines that are refused, each with a word of the reason.
fn refused(format: &str, text: &str, expected: &[(usize, &str)]) {
    let (_, refused) = words(format, text);
    assert_eq!(refused.len(), expected.len(), "{text}: {refused:?}");
    for ((line, reason), (at, word)) in refused.iter().zip(expected) {
        assert_eq!(line, at, "{reason}");
        assert!(reason.contains(word), "{reason}");
    }
}

#[test]
fn lists_of_dm_dust() {
    let listed = ["i: badmap(status=IOERR) where op=read|write,lba=60|67+2"];
    translated("dm-dust", "60\n67\n68\n", &listed);
    translated(
        "dm-dust",
        "addbadblock 60\naddbadblock 67\naddbadblock 0x44\n",
        &listed,
    );
    let script = "
        # bad blocks of the test disk
        sudo dmsetup create dust1 --table '0 33552384 dust /dev/vdb1 0 4096'
        dmsetup message dust1 0 addbadblock 3
        dmsetup message dust1 0 addbadblock 5 2
        dmsetup message dust1 0 addbadblock 9
        dmsetup message dust1 0 removebadblock 9
        dmsetup message dust1 0 disable
    ";
    translated(
        "dm-dust",
        script,
        &[
            "i: badmap(status=IOERR) where op=read|write,lba=24+8 with arm=manual",
            "i-wr2: badmap(wr_fail=2,status=IOERR) where op=read|write,lba=40+8 with arm=manual",
        ],
    );
    refused(
        "dm-dust",
        "12\nx\naddbadblock 3 255\nremovebadblock 4\naddbadblock\n0 8 dust /dev/x 0 100\n",
        &[
            (2, "number of a block"),
            (3, "254"),
            (4, "not bad"),
            (5, "number of a block"),
            (6, "power of two"),
        ],
    );
}

#[test]
fn tables_of_dm_flakey() {
    translated(
        "dm-flakey",
        "0 409600 flakey /dev/sdb 0 5 1",
        &[
            "i-reads: fail(status=IOERR) where op=read,lba=0+409600 when during=5s/1s",
            "i-writes: fail(status=IOERR) where op=write|discard|write_zeroes,lba=0+409600 when during=5s/1s",
            "i-flush: fail(status=IOERR) where op=flush when during=5s/1s",
        ],
    );
    translated(
        "dm-flakey",
        "0 8 flakey 8:16 0 0 60 1 drop_writes",
        &[
            "i-writes: drop where op=write|discard|write_zeroes,lba=0+8",
            "i-flush: ignore_flush where op=flush",
        ],
    );
    translated(
        "dm-flakey",
        "8 8 flakey 8:16 0 3 1 3 error_reads random_write_corrupt 250000000",
        &[
            "i-reads: fail(status=IOERR) where op=read,lba=8+8 when during=3s/1s",
            "i-random-write: corrupt(on=source,kind=random) where op=write,lba=8+8 when during=3s/1s,prob=0.25",
        ],
    );
    refused(
        "dm-flakey",
        "0 8 flakey 8:16 0 0 1 5 corrupt_bio_byte 32 r 1 0\n0 8 linear 8:16 0\n0 8 flakey 8:16 0 1 0\n\
         0 8 flakey 8:16 0 0 1 2 drop_writes\n0 8 flakey 8:16 0 0 1 1 lose_writes\n\
         0 8 flakey 8:16 0 0 1 2 drop_writes error_writes",
        &[
            (1, "counts in each bio"),
            (2, "expected START"),
            (3, "never down"),
            (4, "are announced"),
            (5, "no feature"),
            (6, "exclude"),
        ],
    );
}

#[test]
fn maps_of_ddrescue() {
    let map = "# Mapfile. Created by GNU ddrescue version 1.27
# current_pos  current_status  current_pass
0x00120000     +               1
#      pos        size  status
0x00000000  0x00117000  +
0x00117000  0x00000200  -
0x00117200  0x00001000  /
0x00118200  0x00000100  *
0x00118300  0x00007D00  +
";
    translated(
        "ddrescue",
        map,
        &["i: badmap where op=read|write,lba=2232+10"],
    );
    refused(
        "ddrescue",
        "0 ?\n0 512 ?\n512 512 x\n1024 -\n1024 y -\n18446744073709551615 512 -\n",
        &[
            (2, "never tried"),
            (3, "no status"),
            (4, "POSITION SIZE"),
            (5, "whole numbers"),
            (6, "past"),
        ],
    );
    refused("ddrescue", "0 512 -\n", &[(1, "first")]);
    refused("ddrescue", "", &[(1, "empty")]);
}

#[test]
fn bad_blocks_of_null_blk() {
    translated(
        "null_blk",
        "+0-7\n+100-100\n-2-3",
        &["i: fail(status=IOERR) where op=read|write|discard|write_zeroes,lba=0+2|4+4|100"],
    );
    translated(
        "null_blk",
        "badblocks_once=1\nbadblocks=+8-15",
        &[
            "i: badmap(heal=after:1,wr_fail=1,status=IOERR) where op=read|write|discard|write_zeroes,lba=8+8",
        ],
    );
    refused(
        "null_blk",
        "8-15\n+15-8\n+8\n+x-9\nbadblocks_partial_io=1\n",
        &[
            (1, "expected"),
            (2, "before"),
            (3, "expected"),
            (4, "expected"),
            (5, "scope=sectors"),
        ],
    );
}

#[test]
fn configurations_of_blkdebug() {
    let config = r#"
# Fail the second flush, then sector 2048 once.
[set-state]
event = "flush_to_disk"
state = "1"
new_state = "2"

[inject-error "late"]
event = "flush_to_disk"
state = "2"
errno = "28"
once = "on"
immediately = "off"

[inject-error]
event = "read_aio"
sector = "2048"

[inject-error]
event = "none"
iotype = "discard"
errno = "95"
"#;
    translated(
        "blkdebug",
        config,
        &[
            "i-1: set_state(state=s2) where op=flush when state=start",
            "i-2: fail(status=NOSPC) where op=flush when state=s2,count=1",
            "i-3: fail(status=IOERR) where op=read,lba=2048",
            "i-4: fail(status=NOTSUPP) where op=discard",
        ],
    );
    refused(
        "blkdebug",
        "x = \"1\"\n[inject-error]\nevent = \"l1_update\"\n[inject-error]\nevent = \"read_aio\"\nerrno = \"1\"\n\
         [set-state]\nevent = \"none\"\n[break]\n[inject-error]\nevent=\"none\"\nonce=\"often\"\n\
         [inject-error]\nevent=\"none\"\niotype=\"block-status\"\nnonsense\n",
        &[
            (1, "before the first"),
            (16, "expected ["),
            (3, "inside the image format"),
            (6, "into EIO"),
            (7, "no new_state"),
            (9, "no rule"),
            (12, "neither"),
            (15, "gets no"),
        ],
    );
}

#[test]
fn many_ranges_make_many_rules() {
    let text: String = (0..10_000).map(|n| format!("{}\n", n * 2)).collect();
    let done = import(Foreign::Dust, "d", &text);
    let names: Vec<&str> = done.rules.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(names, ["d-0", "d-1", "d-2"]);
}
