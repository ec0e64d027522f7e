//! What looking at a page costs, in nanoseconds and in system calls of the smallest kind.
//!
//! With counts (kcore and BTF) where they can be had, and without (pagemap, kpageflags, kpagecount), as far as each
//! is there. Prints one line a batch size. Under emulation only the ratio to the small call means something.

use std::io::{Write, stdout};
use std::time::{Duration, Instant};

use pages::{PAGE_SIZE_BYTES, PageScope, Pins, Roots, Viewer, pagemap::Pagemap};

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

/// Looks at a range of this process: start and length in bytes.
type Look<'a> = &'a dyn Fn(u64, u64) -> pages::Result<()>;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pid = std::process::id();
    let memory = vec![7_u8; 4097 * 4096];
    let start = (memory.as_ptr().addr() as u64).next_multiple_of(PAGE_SIZE_BYTES);
    let map = Pagemap::open(&Roots::default(), pid)?;
    let call = mean(|| map.entry(start).map(drop))?;
    let mut out = stdout().lock();
    writeln!(out, "one pread of 8 bytes of pagemap: {call:.0} ns")?;
    let mut show = |name: &str, look: Look<'_>| -> Result<(), Box<dyn std::error::Error>> {
        for pages in [1_u32, 16, 256, 4096] {
            let bytes = u64::from(pages) * PAGE_SIZE_BYTES;
            let page = mean(|| look(start, bytes))? / f64::from(pages);
            let calls = page / call;
            writeln!(
                out,
                "{name}, {pages:>4} pages at once: {page:>6.0} ns a page = {calls:.1} such calls"
            )?;
        }
        Ok(())
    };
    let plain = Viewer::open(Roots::default(), Pins::None)?;
    show("without counts", &|start, bytes| {
        plain.snapshot(pid, start, bytes).map(drop)
    })?;
    match PageScope::open() {
        Ok(scope) => show("with counts", &|start, bytes| {
            scope.snapshot(pid, start, bytes).map(drop)
        })?,
        Err(error) => writeln!(stdout(), "with counts: failed to {error}")?,
    }
    drop(memory);
    Ok(())
}
