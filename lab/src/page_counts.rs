//! What a report shows of a page.

use pages::PageState;
use serde::{Deserialize, Serialize};

/// Who refers to a page at one moment; all zero where there is no page.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageCounts {
    /// The frame; 0 where there is no page.
    pub pfn: u64,
    /// Pins, see [`PageState::pin_count`].
    pub pin_count: u32,
    /// References that are not pins, see [`PageState::ref_count`].
    pub ref_count: u32,
    /// Page table entries, see [`PageState::map_count`].
    pub map_count: u32,
}

impl From<&PageState> for PageCounts {
    fn from(state: &PageState) -> Self {
        Self {
            pfn: state.pfn,
            pin_count: state.pin_count,
            ref_count: state.ref_count,
            map_count: state.map_count,
        }
    }
}
