//! Protection information.

use std::fmt;
use std::str::FromStr;

use fault::Sector;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::data_path::UnknownWord;

/// Which protection information a device has, for each of its logical blocks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Integrity {
    /// None.
    #[default]
    None,
    /// T10 type 1: eight bytes, a CRC of the block, an application tag of the client's own, and the low
    /// half of the block's number (`UBLK_F_INTEGRITY`, Linux 7.0).
    T10Crc,
}

impl Integrity {
    /// Every choice, in the order of listings.
    pub const ALL: [Self; 2] = [Self::None, Self::T10Crc];

    /// The name on the command line and in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::T10Crc => "t10-crc",
        }
    }
}

impl fmt::Display for Integrity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Integrity {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| UnknownWord::among(text, &Self::ALL))
    }
}

/// A tag of a block's protection information that is not what it must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Mismatch {
    /// The first sector of the block.
    pub sector: Sector,
    /// Which tag.
    pub tag: ProtectionTag,
    /// What it must be for this block and its content.
    pub expected: u32,
    /// What it is.
    pub found: u32,
}

/// The tags of a block that are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProtectionTag {
    /// The checksum of the block.
    Guard,
    /// The low half of the block's number.
    Reference,
}
