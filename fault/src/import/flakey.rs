//! Table lines of dm-flakey (drivers/md/dm-flakey.c): a device that is up and down by turns.

use super::{Import, c_number, lines};

/// `random_*_corrupt` count in parts of this (`PROBABILITY_BASE`).
const PROBABILITY_BASE: u64 = 1_000_000_000;

pub(super) fn import(text: &str, into: &mut Import<'_>) {
    let table: Vec<(usize, &str)> = lines(text).collect();
    for (number, line) in &table {
        let suffix = if table.len() > 1 {
            number.to_string()
        } else {
            String::new()
        };
        if let Err(reason) = line_of(*number, line, &suffix, into) {
            into.refuse(*number, line, reason);
        }
    }
    if !into.done.rules.is_empty() {
        into.note(
            "dm-flakey counts its intervals from when the table was loaded; here they count from when the rule \
             is armed",
        );
    }
}

/// What a device does while it is down.
#[derive(Default)]
struct Features {
    error_reads: bool,
    error_writes: bool,
    drop_writes: bool,
    random_read: Option<u64>,
    random_write: Option<u64>,
}

fn line_of(number: usize, line: &str, suffix: &str, into: &mut Import<'_>) -> Result<(), String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [
        start,
        length,
        "flakey",
        _device,
        _offset,
        up,
        down,
        rest @ ..,
    ] = words.as_slice()
    else {
        return Err(
            "expected START LENGTH flakey DEVICE OFFSET UP DOWN [COUNT FEATURES]".to_owned(),
        );
    };
    let numbers = [*start, *length, *up, *down].map(c_number);
    let [Some(start), Some(length), Some(up), Some(down)] = numbers else {
        return Err("START, LENGTH, UP and DOWN are whole numbers".to_owned());
    };
    if length == 0 || start.checked_add(length).is_none() {
        return Err("the length is no length of a device".to_owned());
    }
    let during = match (up, down) {
        (_, 0) => return Err("it is never down, so nothing happens".to_owned()),
        (0, _) => None,
        (up, down) => Some(format!("during={up}s/{down}s")),
    };
    let lba = format!("lba={start}+{length}");
    for (what, words, prob) in features(rest)?.rules(&lba) {
        let name = match suffix {
            "" => what.to_owned(),
            suffix => format!("{suffix}-{what}"),
        };
        let when: Vec<String> = during.iter().cloned().chain(prob).collect();
        let words = match when.is_empty() {
            true => words,
            false => format!("{words} when {}", when.join(",")),
        };
        into.add(number, &name, &words);
    }
    Ok(())
}

impl Features {
    /// The rules of these features: what each is about, its words, and its chance.
    fn rules(&self, lba: &str) -> Vec<(&'static str, String, Option<String>)> {
        let none = !self.error_reads
            && !self.error_writes
            && !self.drop_writes
            && self.random_read.is_none()
            && self.random_write.is_none();
        let mut rules = Vec::new();
        if self.error_reads || none {
            rules.push((
                "reads",
                format!("fail(status=IOERR) where op=read,{lba}"),
                None,
            ));
        }
        // A flush has no sectors, and is a write for dm-flakey.
        if self.error_writes || none {
            rules.push((
                "writes",
                format!("fail(status=IOERR) where op=writes,{lba}"),
                None,
            ));
            rules.push((
                "flush",
                "fail(status=IOERR) where op=flush".to_owned(),
                None,
            ));
        }
        if self.drop_writes {
            rules.push(("writes", format!("drop where op=writes,{lba}"), None));
            rules.push(("flush", "ignore_flush where op=flush".to_owned(), None));
        }
        let prob = |count: u64| format!("prob={}", count as f64 / PROBABILITY_BASE as f64);
        let sides = [
            ("random-read", "destination", "read", self.random_read),
            ("random-write", "source", "write", self.random_write),
        ];
        for (what, side, op, count) in sides {
            if let Some(count) = count {
                let words = format!("corrupt(on={side},kind=random) where op={op},{lba}");
                rules.push((what, words, (count < PROBABILITY_BASE).then(|| prob(count))));
            }
        }
        rules
    }
}

fn features(words: &[&str]) -> Result<Features, String> {
    let mut features = Features::default();
    let Some((count, mut rest)) = words.split_first() else {
        return Ok(features);
    };
    if c_number(count) != u64::try_from(rest.len()).ok() {
        return Err(format!(
            "{count} feature words are announced, and there are {}",
            rest.len()
        ));
    }
    let share = |word: &str| {
        c_number(word)
            .filter(|count| *count <= PROBABILITY_BASE)
            .ok_or(format!("`{word}` is no share of 1000000000"))
    };
    while !rest.is_empty() {
        rest = match rest {
            ["error_reads", rest @ ..] => {
                features.error_reads = true;
                rest
            }
            ["error_writes", rest @ ..] => {
                features.error_writes = true;
                rest
            }
            ["drop_writes", rest @ ..] => {
                features.drop_writes = true;
                rest
            }
            ["random_read_corrupt", count, rest @ ..] => {
                features.random_read = Some(share(count)?).filter(|count| *count > 0);
                rest
            }
            ["random_write_corrupt", count, rest @ ..] => {
                features.random_write = Some(share(count)?).filter(|count| *count > 0);
                rest
            }
            ["corrupt_bio_byte", ..] => {
                return Err(
                    "corrupt_bio_byte counts in each bio, which depends on how the kernel merges; here places \
                     are on the device: corrupt(kind=set:HH,at=BYTE) where lba=..."
                        .to_owned(),
                );
            }
            [other, ..] => return Err(format!("dm-flakey has no feature `{other}`")),
            [] => break,
        };
    }
    if features.drop_writes && features.error_writes {
        return Err("drop_writes and error_writes exclude each other".to_owned());
    }
    Ok(features)
}
