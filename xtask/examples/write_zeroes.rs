//! Asks a block device to write zeroes, one request at a time, and reports like fio, which has no such operation.
//!
//!     write_zeroes DEVICE SPAN_BYTES BLOCK_BYTES REQUESTS >report.json
//!
//! A hole punched into a block device is a request to write zeroes that the kernel does not replace by writes
//! (`blkdev_fallocate` in block/fops.c, `BLKDEV_ZERO_NOFALLBACK`). Offsets are drawn evenly, the same in each run.

use std::env;
use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde_json::json;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = env::args().skip(1).collect();
    let [device, span, block, requests] = words.as_slice() else {
        return Err("usage: write_zeroes DEVICE SPAN_BYTES BLOCK_BYTES REQUESTS".into());
    };
    let (span, block, requests): (u64, u64, u64) =
        (span.parse()?, block.parse()?, requests.parse()?);
    let file = File::options().read(true).write(true).open(device)?;
    let hole = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    let length = i64::try_from(block)?;
    let (usage, begin) = (getrusage(UsageWho::RUSAGE_THREAD)?, Instant::now());
    let mut random = ChaCha8Rng::seed_from_u64(1);
    for _ in 0..requests {
        let offset = random.next_u64() % (span / block) * block;
        fallocate(&file, hole, i64::try_from(offset)?, length)?;
    }
    let (took, used) = (begin.elapsed(), getrusage(UsageWho::RUSAGE_THREAD)?);
    let percent = |after: TimeVal, before: TimeVal| {
        let us =
            (after.tv_sec() - before.tv_sec()) * 1_000_000 + after.tv_usec() - before.tv_usec();
        let spent = Duration::from_micros(u64::try_from(us).unwrap_or(0));
        100.0 * spent.as_secs_f64() / took.as_secs_f64()
    };
    let runtime_ms = u64::try_from(took.as_millis())?;
    let nothing = json!({"total_ios": 0, "runtime": 0});
    let report = json!({"jobs": [{
        "error": 0,
        "usr_cpu": percent(used.user_time(), usage.user_time()),
        "sys_cpu": percent(used.system_time(), usage.system_time()),
        "job_runtime": runtime_ms,
        "read": nothing,
        "write": nothing,
        "trim": {"total_ios": requests, "runtime": runtime_ms},
    }]});
    writeln!(std::io::stdout(), "{report}")?;
    Ok(())
}
