//! What looking at a page costs, in nanoseconds and in system calls of the smallest kind.
//!
//! Needs what [`pages::PageScope`] needs. Prints one line a batch size.

use std::io::{Write, stdout};
use std::time::{Duration, Instant};

use pages::{PAGE_SIZE_BYTES, PageScope, Roots, pagemap::Pagemap};

/// How long each measurement goes on.
const TIME: Duration = Duration::from_millis(500);

/// The mean time of one call.
fn mean(mut call: impl FnMut() -> pages::Result<()>) -> pages::Result<f64> {
    let start = Instant::now();
    let mut calls = 0_u32;
    while start.elapsed() < TIME {
        call()?;
        calls += 1;
    }
    Ok(start.elapsed().as_secs_f64() * 1e9 / f64::from(calls))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let scope = PageScope::open()?;
    let pid = std::process::id();
    let memory = vec![7_u8; 4097 * 4096];
    let start = (memory.as_ptr().addr() as u64).next_multiple_of(PAGE_SIZE_BYTES);
    let map = Pagemap::open(&Roots::default(), pid)?;
    let call = mean(|| map.entry(start).map(drop))?;
    let mut out = stdout().lock();
    writeln!(out, "one pread of 8 bytes of pagemap: {call:.0} ns")?;
    for pages in [1_u32, 16, 256, 4096] {
        let bytes = u64::from(pages) * PAGE_SIZE_BYTES;
        let batch = mean(|| scope.snapshot(pid, start, bytes).map(drop))?;
        let page = batch / f64::from(pages);
        writeln!(
            out,
            "{pages:>5} pages at once: {page:.0} ns a page = {:.1} such calls",
            page / call
        )?;
    }
    drop(memory);
    Ok(())
}
