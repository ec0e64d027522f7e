//! `bvecctl hold poke`: stores into the pages of a held read.

use anyhow::Result;
use api::{Content, Hex, PokeRequest, call};
use clap::Args;

use crate::context::Context;
use crate::exit::Failure;
use crate::output::counted;
use crate::units::Size;

pub(super) const EXAMPLES: &str = "\
A held read receives data (direction destination). What is stored is what its client gets: when it is
released it completes as it is, and the medium is not read. What was not stored reads as zeroes. On
data path `copy` the driver brings it to the pages when the request completes; on the others it is
there at once.

Examples:
  bvecctl hold poke 7 --data deadbeef
  bvecctl hold poke 7 --data 'de ad be ef' --offset 512
  bvecctl hold poke 7 --fill 0xff
  bvecctl hold poke 7 --fill 0 --offset 4K --bytes 512";

/// Which request, and what to store.
#[derive(Debug, Args)]
pub(crate) struct Poke {
    /// The request's number, as `hold list` shows it.
    hold_id: u64,
    /// Bytes in hexadecimal.
    #[arg(long, value_name = "HEX", required_unless_present = "fill")]
    data: Option<Hex>,
    /// One byte over and over: decimal, or 0x and hexadecimal.
    #[arg(long, value_name = "BYTE", conflicts_with = "data", value_parser = byte)]
    fill: Option<u8>,
    /// Where, in bytes of the request's data.
    #[arg(long, value_name = "N", default_value = "0")]
    offset: Size,
    /// How often the byte of --fill [default: to the end]
    #[arg(long, value_name = "N", requires = "fill")]
    bytes: Option<Size>,
    /// The N of /dev/ublkbN; may be left out if there is only one.
    #[arg(long, value_name = "N")]
    dev: Option<u32>,
}

/// Stores.
///
/// # Errors
/// The daemon cannot be reached; nothing is held by this number, or it is no read.
pub(super) fn run(poke: &Poke, context: &Context) -> Result<()> {
    let request = poke.request()?;
    let device = context.device(poke.dev)?;
    let poked = context.ask("store", call::poke(device, poke.hold_id, &request))?;
    context.output.answer(&poked, |poked| {
        format!(
            "stored {} at {} of hold {}; it completes with this when it is released",
            counted(poked.length_bytes, "byte"),
            poked.offset_bytes,
            poked.hold_id
        )
    })
}

impl Poke {
    fn request(&self) -> Result<PokeRequest, Failure> {
        let number = |Size(bytes): Size| {
            u32::try_from(bytes).map_err(|_| {
                Failure::Input(format!("store: {bytes} bytes are more than any request"))
            })
        };
        let content = match (&self.data, self.fill) {
            (Some(data), _) => Content::Data(data.clone()),
            (None, fill) => Content::Fill {
                byte: fill.unwrap_or(0),
                length_bytes: self.bytes.map(number).transpose()?,
            },
        };
        Ok(PokeRequest {
            offset_bytes: number(self.offset)?,
            content,
        })
    }
}

fn byte(text: &str) -> Result<u8, String> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u8::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number.map_err(|_| format!("found `{text}`, expected a byte: 0 to 255, or 0x00 to 0xff"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_decimal_or_hexadecimal() {
        assert_eq!(
            (byte("255"), byte("0xff"), byte("0")),
            (Ok(255), Ok(255), Ok(0))
        );
        for bad in ["", "256", "0x", "ff", "-1"] {
            assert!(byte(bad).is_err(), "{bad}");
        }
    }
}
