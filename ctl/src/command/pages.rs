//! `bvecctl pages`: the pages behind a range of a process's memory.

use std::str::FromStr;

use ::pages::{PageScope, PageView};
use anyhow::Result;
use api::SCHEMA;
use clap::Args;
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::output::table;
use crate::units::Size;

/// Which memory to look at.
#[derive(Debug, Args)]
#[command(
    after_help = "Pins, references and mappings of a page in a large folio are those of the folio.
Needs root, and a kernel with BTF.

Examples:
  bvecctl pages 4711 0x7f0012345000
  bvecctl pages 4711 0x7f0012345000+64K --json"
)]
pub(crate) struct Arguments {
    /// The process.
    pid: u32,
    /// The address, decimal or 0x hexadecimal, and perhaps a length.
    #[arg(value_name = "ADDR[+LEN]")]
    range: Range,
}

/// A range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    address: u64,
    length_bytes: u64,
}

impl FromStr for Range {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, length) = match text.split_once('+') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let number = match address.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16),
            None => address.parse(),
        };
        let address = number.map_err(|_| {
            format!("column 1: found `{address}`, expected an address such as 0x7f0012345000")
        })?;
        let length_bytes = match length {
            Some(length) => {
                let Size(bytes) = length
                    .parse()
                    .map_err(|error| format!("after `+`: {error}"))?;
                bytes
            }
            None => 1,
        };
        Ok(Self {
            address,
            length_bytes,
        })
    }
}

/// The answer with `--json`.
#[derive(Debug, Serialize)]
struct Pages {
    schema: u32,
    pid: u32,
    pages: Vec<PageView>,
}

/// Shows them.
///
/// # Errors
/// A right or a part of the kernel is missing, or there is no such process.
pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<Exit> {
    let Range {
        address,
        length_bytes,
    } = arguments.range;
    let scope = PageScope::open()?;
    let pages = scope.snapshot(arguments.pid, address, length_bytes)?;
    let answer = Pages {
        schema: SCHEMA,
        pid: arguments.pid,
        pages,
    };
    context
        .output
        .answer(&answer, |answer| text(&answer.pages))?;
    Ok(Exit::Done)
}

fn text(pages: &[PageView]) -> String {
    let rows = pages.iter().map(|page| {
        let address = format!("{:#x}", page.address);
        match &page.state {
            Some(state) => [
                address,
                format!("{:#x}", state.pfn),
                state.pin_count.to_string(),
                state.ref_count.to_string(),
                state.map_count.to_string(),
                state.order.to_string(),
                state.flags.join(" "),
            ],
            None => {
                let why = if page.pagemap.swapped {
                    "swapped out"
                } else {
                    "not present"
                };
                let none = || "-".to_owned();
                [
                    address,
                    none(),
                    none(),
                    none(),
                    none(),
                    none(),
                    why.to_owned(),
                ]
            }
        }
    });
    let heads = [
        "address",
        "frame",
        "pins",
        "references",
        "mapped",
        "order",
        "flags",
    ];
    table(
        &heads,
        &["frame", "pins", "references", "mapped", "order"],
        rows,
    )
}

#[cfg(test)]
mod tests {
    use ::pages::{PageState, PagemapEntry};

    use super::*;

    #[test]
    fn ranges_are_read() {
        let range = |address, length_bytes| {
            Ok(Range {
                address,
                length_bytes,
            })
        };
        assert_eq!("4096".parse(), range(4096, 1));
        assert_eq!("0x1f000+64K".parse(), range(0x1f000, 64 << 10));
        for (bad, needle) in [
            ("", "column 1: found ``"),
            ("7f00", "found `7f00`, expected an address"),
            ("0x", "expected an address"),
            ("0x1000+", "after `+`: column 1: found nothing"),
            ("0x1000+4X", "after `+`: column 2: found `X`"),
            ("-1", "found `-1`"),
        ] {
            let error = bad.parse::<Range>().unwrap_err();
            assert!(error.contains(needle), "{bad}: {error}");
        }
    }

    #[test]
    fn absent_pages_are_told_apart() {
        let state = PageState {
            pfn: 0x1234,
            head_pfn: 0x1234,
            order: 0,
            pin_count: 1,
            ref_count: 1,
            map_count: 1,
            flags: vec!["uptodate".to_owned(), "anon".to_owned()],
        };
        let view = |address, bits, state| PageView {
            address,
            pagemap: PagemapEntry::from_bits(bits),
            state,
        };
        let pages = [
            view(0x7f00_0000_0000, 1 << 63 | 0x1234, Some(state)),
            view(0x7f00_0000_1000, 1 << 62, None),
            view(0x7f00_0000_2000, 0, None),
        ];
        insta::assert_snapshot!(text(&pages));
    }
}
