//! Bad block lists of dm-dust (drivers/md/dm-dust.c).

use std::collections::BTreeMap;

use super::{Import, c_number, lines};

/// Blocks are of 512 bytes unless a table line says otherwise.
const DEFAULT_BLOCK_BYTES: u64 = 512;

/// What a line says.
enum Said {
    /// A block is bad; so many writes to it fail.
    Add(u64, u64),
    Remove(u64),
    Clear,
    Enabled(bool),
    /// Blocks have so many bytes.
    Block(u64),
    /// Nothing that matters here.
    Nothing,
}

pub(super) fn import(text: &str, into: &mut Import<'_>) {
    let mut blocks: BTreeMap<u64, u64> = BTreeMap::new();
    let mut block_bytes = DEFAULT_BLOCK_BYTES;
    let mut enabled = true;
    for (number, line) in lines(text) {
        match read(line) {
            Ok(Said::Add(block, failures)) => {
                blocks.insert(block, failures);
            }
            Ok(Said::Remove(block)) => {
                if blocks.remove(&block).is_none() {
                    into.refuse(number, line, "this block is not bad");
                }
            }
            Ok(Said::Clear) => blocks.clear(),
            Ok(Said::Enabled(on)) => enabled = on,
            Ok(Said::Block(bytes)) => block_bytes = bytes,
            Ok(Said::Nothing) => {}
            Err(reason) => into.refuse(number, line, reason),
        }
    }
    let sectors = block_bytes / crate::SECTOR_BYTES;
    let mut by_failures: BTreeMap<u64, Vec<(u64, u64)>> = BTreeMap::new();
    for (block, failures) in blocks {
        let start = block.checked_mul(sectors);
        match start.and_then(|start| Some((start, start.checked_add(sectors)?))) {
            Some(range) => by_failures.entry(failures).or_default().push(range),
            None => into.refuse(
                0,
                &block.to_string(),
                "the block is past the end of any device",
            ),
        }
    }
    let arm = if enabled { "" } else { " with arm=manual" };
    for (failures, ranges) in &by_failures {
        let (suffix, parameter) = match failures {
            0 => (String::new(), String::new()),
            failures => (format!("wr{failures}"), format!("wr_fail={failures},")),
        };
        into.add_ranges(&suffix, ranges, |lba| {
            format!("badmap({parameter}status=IOERR) where op=read|write,lba={lba}{arm}")
        });
    }
    if !by_failures.is_empty() {
        into.note(
            "dm-dust fails and heals whole blocks; here each sector is bad by itself. Its block numbers are \
             of the device under it: add that table's offset to them if it has one",
        );
    }
}

fn read(line: &str) -> Result<Said, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let words: Vec<&str> = match words.as_slice() {
        ["sudo", rest @ ..] => rest.to_vec(),
        words => words.to_vec(),
    };
    let message = match words.as_slice() {
        ["dmsetup", "message", _device, _sector, message @ ..] => message,
        ["dmsetup", "create", ..] => return table(line),
        ["dmsetup", ..] => return Ok(Said::Nothing),
        message => message,
    };
    let block = |text: &str| c_number(text).ok_or("the number of a block was expected".to_owned());
    match message {
        [_, _, "dust", ..] => table(line),
        ["addbadblock", number] => Ok(Said::Add(block(number)?, 0)),
        ["addbadblock", number, failures] => match block(failures)? {
            failures @ 0..=254 => Ok(Said::Add(block(number)?, failures)),
            _ => Err("at most 254 failing writes can be counted here".to_owned()),
        },
        ["removebadblock", number] => Ok(Said::Remove(block(number)?)),
        ["clearbadblocks"] => Ok(Said::Clear),
        ["enable"] => Ok(Said::Enabled(true)),
        ["disable"] => Ok(Said::Enabled(false)),
        ["countbadblocks" | "listbadblocks" | "quiet" | "queryblock", ..] => Ok(Said::Nothing),
        ["No", "blocks", "in", "badblocklist"] => Ok(Said::Nothing),
        [number] if c_number(number).is_some() => Ok(Said::Add(block(number)?, 0)),
        _ => Err(
            "expected the number of a block, a message of dm-dust such as `addbadblock 60`, or a table line"
                .to_owned(),
        ),
    }
}

/// `START LENGTH dust DEVICE OFFSET BLOCK_BYTES`, with quotes around it or something before it.
fn table(line: &str) -> Result<Said, String> {
    let words: Vec<&str> = line
        .split(|c: char| c.is_whitespace() || c == '\'' || c == '"')
        .filter(|word| !word.is_empty())
        .collect();
    let place = words.iter().position(|word| *word == "dust");
    let block = place
        .filter(|place| *place >= 2)
        .and_then(|place| words.get(place + 3));
    let expected = "expected a table line of dm-dust: START LENGTH dust DEVICE OFFSET BLOCK_BYTES";
    match c_number(block.ok_or(expected.to_owned())?) {
        Some(bytes @ 512..) if bytes.is_power_of_two() => Ok(Said::Block(bytes)),
        _ => Err("the block must be a power of two from 512 bytes on".to_owned()),
    }
}
