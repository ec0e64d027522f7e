//! What the kernel says about a page: where it is, who refers to it, who pinned it.
//!
//! # Words
//!
//! * **pfn**: page frame number, the physical address divided by [`PAGE_SIZE_BYTES`].
//! * **refcount**: references of any kind. A pin of a small page is [`PIN_BIAS`] references at once.
//! * **mapcount**: page table entries that map the page.
//! * **pin count**: pins taken with `pin_user_pages*` and not yet released. Exact for a large
//!   folio (`folio._pincount`), and for a small page as long as nobody holds 1024 plain references
//!   to it; the kernel itself knows no better (`folio_maybe_dma_pinned` in `include/linux/mm.h`).
//!
//! # Sources
//!
//! | module | source | needs |
//! |---|---|---|
//! | [`oracle`] | soft-dirty bits, fork: may a page be pinned | nothing but the process's own rights |
//! | [`page_cache`] | a tracepoint: which frames buffered I/O takes | root, tracefs, no confidentiality lockdown |
//! | [`vmstat`] | `/proc/vmstat`, counters of all pins of the machine | root for exact values |
//! | [`pagemap`] | `/proc/PID/pagemap` | `CAP_SYS_ADMIN` for the pfn |
//! | [`kpage`] | `/proc/kpageflags`, `/proc/kpagecount` | `CAP_SYS_ADMIN` |
//! | [`kcore`] | `/proc/kcore`, kernel memory | `CAP_SYS_RAWIO`, no confidentiality lockdown |
//! | [`kallsyms`] | `/proc/kallsyms`, addresses of symbols | `CAP_SYSLOG` or `kptr_restrict` 0 |
//! | [`layout`] | `/sys/kernel/btf/vmlinux`, where fields of `struct page` lie | `CONFIG_DEBUG_INFO_BTF` |
//!
//! [`PageScope`] joins them: `PageScope::open()?.of(pid, address)` is the state of one page.
//! [`Viewer`] goes on with what there is where some of them are missing, and [`sources()`] says what
//! each would take.
//! Every reader takes its paths from [`Roots`], so that tests can offer files of their own.
//!
//! # Limits
//!
//! x86-64 only: page size and the symbol `vmemmap_base` are that architecture's. The reads race
//! with the kernel; a page whose request is held does not move, which is what this crate is for.

mod error;
pub mod kallsyms;
pub mod kcore;
pub mod kpage;
pub mod layout;
mod memory_map;
mod need;
pub mod oracle;
pub mod page_cache;
pub mod pagemap;
mod roots;
mod scope;
mod snapshot;
mod sources;
mod state;
mod viewer;
pub mod vmstat;

#[cfg(test)]
mod synthetic;

pub use error::{PagesError, Result};
pub use oracle::Pinned;
pub use page_cache::{Added, PageCacheTrace};
pub use pagemap::PagemapEntry;
pub use roots::Roots;
pub use scope::PageScope;
pub use snapshot::{KpageView, MAX_SNAPSHOT_BYTES, PageView};
pub use sources::{Source, sources};
pub use state::{PIN_BIAS, PageState};
pub use viewer::{Missing, Pins, Viewer};
pub use vmstat::{PinCounters, VmStat};

/// Size of a base page in bytes (`PAGE_SIZE` of x86-64).
pub const PAGE_SIZE_BYTES: u64 = 4096;
