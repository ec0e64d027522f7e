//! Bad blocks in the words of null_blk (`nullb_device_badblocks_store`, drivers/block/null_blk/main.c).

use super::{Import, c_number, lines};

pub(super) fn import(text: &str, into: &mut Import<'_>) {
    // Sectors from the first up to, not including, the second.
    let mut bad: Vec<(u64, u64)> = Vec::new();
    let mut once = false;
    for (number, line) in lines(text) {
        for word in line.split([' ', '\t', ',']).filter(|word| !word.is_empty()) {
            match read(word) {
                Ok(Said::Bad(range)) => bad.push(range),
                Ok(Said::Good(range)) => bad = without(&bad, range),
                Ok(Said::Once(on)) => once = on,
                Err(reason) => into.refuse(number, word, reason),
            }
        }
    }
    if once {
        into.add_ranges("", &bad, |lba| {
            format!("badmap(heal=after:1,wr_fail=1,status=IOERR) where op=read|writes,lba={lba}")
        });
        into.note(
            "with badblocks_once null_blk forgets all bad blocks that a request touches; here each sector is bad \
             once, and a discard does not find it",
        );
    } else {
        into.add_ranges("", &bad, |lba| {
            format!("fail(status=IOERR) where op=read|writes,lba={lba}")
        });
    }
}

enum Said {
    Bad((u64, u64)),
    Good((u64, u64)),
    Once(bool),
}

fn read(word: &str) -> Result<Said, String> {
    match word.split_once('=') {
        Some(("badblocks", value)) => return read(value),
        Some(("badblocks_once", "1" | "y")) => return Ok(Said::Once(true)),
        Some(("badblocks_once", "0" | "n")) => return Ok(Said::Once(false)),
        Some(("badblocks_partial_io", "0" | "n")) => return Ok(Said::Once(false)),
        Some(("badblocks_partial_io", _)) => {
            return Err(
                "that the sectors before the first bad one are moved depends on the request; \
                 fail(scope=sectors) keeps exactly the bad ones from the medium"
                    .to_owned(),
            );
        }
        _ => {}
    }
    let expected = "expected +FIRST-LAST (bad) or -FIRST-LAST (good again), in sectors";
    let sign = word.chars().next().filter(|sign| "+-".contains(*sign));
    let numbers = sign.and_then(|_| word[1..].split_once('-'));
    let numbers = numbers.and_then(|(first, last)| c_number(first).zip(c_number(last)));
    let (first, last) = numbers.ok_or(expected.to_owned())?;
    let end = last.checked_add(1).filter(|end| first < *end);
    let range = (
        first,
        end.ok_or("the last sector comes before the first".to_owned())?,
    );
    Ok(match sign {
        Some('+') => Said::Bad(range),
        _ => Said::Good(range),
    })
}

/// What is left of the ranges without this one.
fn without(ranges: &[(u64, u64)], (from, to): (u64, u64)) -> Vec<(u64, u64)> {
    let left = |(start, end): &(u64, u64)| {
        let before = (*start, (*end).min(from));
        let after = ((*start).max(to), *end);
        [before, after]
            .into_iter()
            .filter(|(start, end)| start < end)
    };
    ranges.iter().flat_map(left).collect()
}
