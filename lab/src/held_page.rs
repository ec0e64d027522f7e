//! What does the kernel do to the page of a direct read while the read is in flight?
//!
//! **Method.** A page is mapped, written, and given to a direct read that a rule holds. With the
//! read held the page is looked at; then the process forks, and both sides are looked at; then a
//! second held read has its page unmapped, which is looked at by the frame it had.
//!
//! **Prediction** (kernel 6.5 and later; `pin_user_pages_fast`, `block/bio.c`):
//!
//! | moment | pins | mapped | why |
//! |---|---|---|---|
//! | before | 0 | 1 | an ordinary anonymous page |
//! | in flight | 1 | 1 | the bio pinned it |
//! | after fork, parent | 1 | 1 | the parent keeps the page that the device will write to |
//! | after fork, child | 0 | 1 | a pinned page is copied at once (`copy_present_page`), not shared |
//! | after munmap | 1 | 0 | the pin alone keeps the frame from being used again |
//! | after release | 0 | 1 | `bio_release_pages` |

use std::time::{Duration, Instant};

use pages::PageScope;
use serde::{Deserialize, Serialize};

use crate::error::io_error;
use crate::held_read::{HeldRead, SECTORS};
use crate::sys::{Fork, Page};
use crate::{LabError, PageCounts, Result, Subject};

const NAME: &str = "held-page";
/// First sectors of the two reads, 1 MiB apart: beyond what a partition scan reads.
const FIRST_SECTOR: u64 = 2048;
const SECOND_SECTOR: u64 = 4096;
/// How long a pin may outlive the read. A synchronous read gives it back before it returns
/// (`__blkdev_direct_IO_simple`), so that this is for other kernels.
const SETTLE: Duration = Duration::from_secs(1);

/// The page at each moment: `hold` of `report.json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldPage {
    /// Mapped and written, not yet read into.
    pub before: PageCounts,
    /// The read is held.
    pub in_flight: PageCounts,
    /// The read is held and the process has forked.
    pub after_fork: AfterFork,
    /// The frame of a second held read whose page was unmapped.
    pub after_munmap: PageCounts,
    /// The first page again, after its read came back.
    pub after_release: PageCounts,
}

/// The page at the same address in both processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AfterFork {
    /// In the process that reads.
    pub parent: PageCounts,
    /// In its child.
    pub child: PageCounts,
}

/// Does the experiment; nothing is left held when it returns.
///
/// # Errors
/// The daemon, the device or the pages cannot be used as [`LabError`] says, or a hold ended early.
pub fn run(subject: &Subject<'_>, scope: &PageScope) -> Result<HeldPage> {
    subject.require_sectors(SECOND_SECTOR + SECTORS)?;
    let look = Look {
        scope,
        pid: std::process::id(),
    };
    let page = new_page()?;
    let address = page.address();
    let before = look.at(address)?;
    let mut read = HeldRead::begin(*subject, NAME, FIRST_SECTOR, page)?;
    let in_flight = look.at(address)?;
    let after_fork = fork(&look, address)?;
    let after_munmap = unmap_in_flight(subject, &look)?;
    // A release tells that the read was held up to now, so that all of the above was in flight.
    read.release()?;
    let after_release = look.settled(address)?;
    Ok(HeldPage {
        before,
        in_flight,
        after_fork,
        after_munmap,
        after_release,
    })
}

/// How this experiment looks at pages.
struct Look<'a> {
    scope: &'a PageScope,
    pid: u32,
}

impl Look<'_> {
    /// The page at an address of this process, which must be there.
    fn at(&self, address: u64) -> Result<PageCounts> {
        match self.scope.of(self.pid, address)? {
            Some(state) => Ok(PageCounts::from(&state)),
            None => Err(LabError::NoPage { address }),
        }
    }

    /// The same once its pins are gone, or after [`SETTLE`].
    fn settled(&self, address: u64) -> Result<PageCounts> {
        let start = Instant::now();
        loop {
            let counts = self.at(address)?;
            if counts.pin_count == 0 || start.elapsed() > SETTLE {
                return Ok(counts);
            }
        }
    }

    /// A frame, mapped or not.
    fn frame(&self, pfn: u64) -> Result<PageCounts> {
        Ok(PageCounts::from(&self.scope.page_state(pfn)?))
    }
}

fn new_page() -> Result<Page> {
    Page::filled_with(0xaa).map_err(io_error("map a page"))
}

/// Forks and looks at `address` on both sides; the child is gone afterwards.
fn fork(look: &Look<'_>, address: u64) -> Result<AfterFork> {
    let child = Fork::new().map_err(io_error("fork"))?;
    let state = look.scope.of(child.pid(), address)?;
    Ok(AfterFork {
        parent: look.at(address)?,
        child: state.as_ref().map(PageCounts::from).unwrap_or_default(),
    })
}

/// A second held read, whose page is unmapped; it is released before this returns.
fn unmap_in_flight(subject: &Subject<'_>, look: &Look<'_>) -> Result<PageCounts> {
    let page = new_page()?;
    let address = page.address();
    let mut read = HeldRead::begin(*subject, NAME, SECOND_SECTOR, page)?;
    let pfn = look.at(address)?.pfn;
    read.unmap()?;
    let counts = look.frame(pfn)?;
    read.release()?;
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_the_report() {
        let counts = PageCounts::default();
        let page = HeldPage {
            before: counts,
            in_flight: counts,
            after_fork: AfterFork {
                parent: counts,
                child: counts,
            },
            after_munmap: counts,
            after_release: counts,
        };
        let zero = r#"{"pfn":0,"pin_count":0,"ref_count":0,"map_count":0}"#;
        let expected = format!(
            r#"{{"before":{zero},"in_flight":{zero},"after_fork":{{"parent":{zero},"child":{zero}}},"after_munmap":{zero},"after_release":{zero}}}"#
        );
        assert_eq!(serde_json::to_string(&page).unwrap(), expected);
    }
}
