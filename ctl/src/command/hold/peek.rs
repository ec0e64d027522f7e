//! `bvecctl hold peek`: the data of a held write, once or again and again.

use std::fmt::Write as _;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use api::{HoldData, SCHEMA, call};
use clap::Args;
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::output::{Lines, counted};
use crate::units::{Size, Span};

pub(super) const EXAMPLES: &str = "\
A held write supplies data (direction source). Its pages should not change while it is in flight; if
they do, two looks differ, and the exit code is 1 with --watch. On data path `copy` the driver took the
data when the request came: later changes cannot be seen there, and the answer says so.

Examples:
  bvecctl hold peek 7
  bvecctl hold peek 7 --offset 512 --bytes 64
  bvecctl hold peek 7 --watch 100 --interval 10ms --json";

/// The longest sleep before Ctrl-C is looked for again.
const PATIENCE: Duration = Duration::from_millis(50);

/// Which request, and which part of its data.
#[derive(Debug, Args)]
pub(crate) struct Peek {
    /// The request's number, as `hold list` shows it.
    hold_id: u64,
    /// Where to begin, in bytes.
    #[arg(long, value_name = "N", default_value = "0")]
    offset: Size,
    /// How many bytes to show.
    #[arg(long, value_name = "N", default_value = "256")]
    bytes: Size,
    /// Look so many times, and tell what has changed.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..))]
    watch: Option<u32>,
    /// How much time passes between two looks.
    #[arg(long, value_name = "TIME", default_value = "10ms", requires = "watch")]
    interval: Span,
    /// The N of /dev/ublkbN; may be left out if there is only one.
    #[arg(long, value_name = "N")]
    dev: Option<u32>,
}

/// A line of `hold peek --watch --json`: one look.
#[derive(Debug, Serialize)]
struct Look {
    schema: u32,
    device: u32,
    hold_id: u64,
    sample: u32,
    digest: String,
    sees_later_changes: bool,
    /// What differs from the look before, in bytes of the payload.
    changed: Vec<Changed>,
}

/// Bytes that are not as they were.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Changed {
    offset_bytes: usize,
    length_bytes: usize,
}

/// Looks. Ends with 1 if the data changed while it was watched.
///
/// # Errors
/// The daemon cannot be reached; nothing is held by this number, or it is no write.
pub(super) fn run(peek: &Peek, context: &Context) -> Result<Exit> {
    let device = context.device(peek.dev)?;
    let number = |Size(bytes): Size| u32::try_from(bytes).unwrap_or(u32::MAX);
    let Some(looks) = peek.watch else {
        let (offset, length) = (number(peek.offset), number(peek.bytes));
        let data = context.ask("look", call::peek(device, peek.hold_id, offset, length))?;
        context.output.answer(&data, text)?;
        return Ok(Exit::Done);
    };
    let interrupt = Interrupt::watch()?;
    let client = context.client()?;
    let mut lines = Lines::new();
    let mut before: Option<HoldData> = None;
    let mut is_stable = true;
    for sample in 1..=looks {
        if sample > 1 && !pause(peek.interval.0, &interrupt) {
            break;
        }
        let call = call::peek(device, peek.hold_id, 0, u32::MAX);
        let data = client
            .send(call)
            .map_err(|error| crate::context::refused("look", error))?;
        let changed = before
            .as_ref()
            .map_or_else(Vec::new, |before| changes(&before.data.0, &data.data.0));
        is_stable &= changed.is_empty();
        let look = Look {
            schema: SCHEMA,
            device,
            hold_id: peek.hold_id,
            sample,
            digest: data.digest.clone(),
            sees_later_changes: data.sees_later_changes,
            changed,
        };
        // People want the first look and what is new; programs want all.
        if context.output.is_json() {
            lines.line(serde_json::to_string(&look)?)?;
        } else if sample == 1 || !look.changed.is_empty() {
            lines.line(look_text(&look))?;
        }
        lines.flush()?;
        before = Some(data);
    }
    if !context.output.is_json() {
        lines.line(match is_stable {
            true => "nothing has changed",
            false => "the data is not stable",
        })?;
        lines.flush()?;
    }
    Ok(if is_stable { Exit::Done } else { Exit::Bad })
}

fn pause(interval: Duration, interrupt: &Interrupt) -> bool {
    let mut left = interval;
    while !left.is_zero() && !interrupt.is_raised() {
        let step = left.min(PATIENCE);
        thread::sleep(step);
        left -= step;
    }
    !interrupt.is_raised()
}

/// The ranges in which two texts of bytes differ.
fn changes(before: &[u8], now: &[u8]) -> Vec<Changed> {
    let mut changed: Vec<Changed> = Vec::new();
    for (at, (old, new)) in before.iter().zip(now).enumerate() {
        if old == new {
            continue;
        }
        match changed.last_mut() {
            Some(last) if last.offset_bytes + last.length_bytes == at => last.length_bytes += 1,
            _ => changed.push(Changed {
                offset_bytes: at,
                length_bytes: 1,
            }),
        }
    }
    changed
}

fn note(sees_later_changes: bool) -> &'static str {
    match sees_later_changes {
        true => "",
        false => ", as the driver copied it at fetch",
    }
}

fn text(data: &HoldData) -> String {
    let mut text = format!(
        "hold {}: {} of data, {}{}\n",
        data.hold_id,
        counted(data.length_bytes, "byte"),
        data.digest,
        note(data.sees_later_changes)
    );
    for (row, bytes) in data.data.0.chunks(16).enumerate() {
        let offset = u64::from(data.offset_bytes) + row as u64 * 16;
        // Writing to a string cannot fail.
        let _ = write!(text, "\n{offset:08x} ");
        for byte in bytes {
            let _ = write!(text, " {byte:02x}");
        }
        let blanks = 3 * (16 - bytes.len()) + 2;
        let _ = write!(text, "{:blanks$}", "");
        text.extend(bytes.iter().map(|byte| match byte {
            b' '..=b'~' => char::from(*byte),
            _ => '.',
        }));
    }
    text
}

fn look_text(look: &Look) -> String {
    let mut text = format!(
        "look {}: {}{}",
        look.sample,
        look.digest,
        note(look.sees_later_changes)
    );
    for changed in look.changed.iter().take(4) {
        let _ = write!(
            text,
            ", {}+{} changed",
            changed.offset_bytes, changed.length_bytes
        );
    }
    if look.changed.len() > 4 {
        let _ = write!(text, " and {} more ranges", look.changed.len() - 4);
    }
    text
}

#[cfg(test)]
mod tests {
    use api::{DataPath, Hex};

    use super::*;

    #[test]
    fn differences_are_ranges() {
        let range = |offset_bytes, length_bytes| Changed {
            offset_bytes,
            length_bytes,
        };
        assert_eq!(changes(b"abcdef", b"abcdef"), []);
        assert_eq!(changes(b"abcdef", b"aXYdeZ"), [range(1, 2), range(5, 1)]);
    }

    #[test]
    fn data_is_shown_in_rows() {
        let data = HoldData {
            schema: SCHEMA,
            device: 0,
            hold_id: 7,
            data_path: DataPath::Copy,
            sees_later_changes: false,
            length_bytes: 4096,
            digest: "crc32c:98f94189".to_owned(),
            offset_bytes: 512,
            data: Hex(b"0123456789abcdefgh\0".to_vec()),
        };
        insta::assert_snapshot!(text(&data), @r"
        hold 7: 4096 bytes of data, crc32c:98f94189, as the driver copied it at fetch

        00000200  30 31 32 33 34 35 36 37 38 39 61 62 63 64 65 66  0123456789abcdef
        00000210  67 68 00                                         gh.
        ");
    }
}
