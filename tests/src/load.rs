//! Clients that write and read all the time, and know what they must find.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::client_io::Disk;
use crate::deadline::wait_for;

const BLOCK: u64 = 4096;
const BLOCK_LEN: usize = 4096;

/// What a worker remembers: of each of its blocks the last write that was acknowledged, and the one after
/// it, which may or may not have happened.
struct Memory {
    acknowledged: Vec<u64>,
    attempted: Vec<u64>,
}

/// Workers that each write blocks of their own and read them back.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    threads: Vec<JoinHandle<(Memory, io::Result<()>)>>,
    workers: u64,
}

impl Load {
    /// Starts them on the first `size` bytes of a device.
    pub(crate) fn on(path: &str, workers: u64, size: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let done = Arc::new(AtomicU64::new(0));
        let threads = (0..workers).map(|worker| {
            let (disk, stop, done) = (Disk::open(path), Arc::clone(&stop), Arc::clone(&done));
            let blocks = usize::try_from(size / BLOCK / workers).unwrap();
            std::thread::spawn(move || {
                let mut memory = Memory {
                    acknowledged: vec![0; blocks],
                    attempted: vec![0; blocks],
                };
                let place = |block: usize| (block as u64 * workers + worker) * BLOCK;
                let result = work(&disk, &mut memory, place, &stop, &done);
                (memory, result)
            })
        });
        let threads = threads.collect();
        Self {
            stop,
            done,
            threads,
            workers,
        }
    }

    /// Waits until they have done more than they had.
    pub(crate) fn runs_on(&self) {
        let before = self.done.load(Ordering::Relaxed);
        wait_for("the load to go on", || {
            assert!(
                !self.threads.iter().all(JoinHandle::is_finished),
                "every client has ended"
            );
            (self.done.load(Ordering::Relaxed) > before + 20).then_some(())
        });
    }

    /// Sees that nothing is done any more: a request may have been answered just before.
    pub(crate) fn stands_still(&self) {
        let mut before = self.done.load(Ordering::Relaxed);
        wait_for("the load to stand still", || {
            std::thread::sleep(Duration::from_millis(50));
            let now = self.done.load(Ordering::Relaxed);
            (std::mem::replace(&mut before, now) == now).then_some(())
        });
    }

    /// Ends the load, in which nothing may have failed, and checks that every block of the device holds what
    /// was written last.
    pub(crate) fn ends_well(self, path: &str) {
        if let Some(difference) = self.end(path).first() {
            panic!("{difference}");
        }
    }

    /// Tells the workers to end with what they are doing.
    pub(crate) fn tell_to_end(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Ends the load, in which nothing may have failed, and tells of every block that did not hold what was
    /// acknowledged last.
    pub(crate) fn end(self, path: &str) -> Vec<String> {
        self.tell_to_end();
        wait_for("every client to end", || {
            self.threads
                .iter()
                .all(JoinHandle::is_finished)
                .then_some(())
        });
        let disk = Disk::open(path);
        let mut differences = Vec::new();
        for (worker, thread) in (0_u64..).zip(self.threads) {
            let (memory, result) = thread.join().unwrap();
            match result {
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    differences.push(error.to_string());
                }
                other => other.unwrap_or_else(|error| panic!("worker {worker}: {error}")),
            }
            for block in 0..memory.acknowledged.len() {
                let place = (block as u64 * self.workers + worker) * BLOCK;
                let found = disk.read(place, BLOCK_LEN);
                let allowed = [memory.acknowledged[block], memory.attempted[block]];
                if !allowed
                    .iter()
                    .any(|number| found == content(place, *number))
                {
                    let number = memory.acknowledged[block];
                    let shown = &found[..16];
                    differences.push(format!(
                        "block at {place} lost write {number}: it begins with {shown:?}"
                    ));
                }
            }
        }
        differences
    }
}

fn work(
    disk: &Disk,
    memory: &mut Memory,
    place: impl Fn(usize) -> u64,
    stop: &AtomicBool,
    done: &AtomicU64,
) -> io::Result<()> {
    let blocks = memory.acknowledged.len();
    for number in 1_u64.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        // A walk that visits every block, and the one before it again.
        let block = usize::try_from(number).unwrap() * 7 % blocks;
        memory.attempted[block] = number;
        disk.try_write(place(block), &content(place(block), number))?;
        memory.acknowledged[block] = number;
        done.fetch_add(1, Ordering::Relaxed);
        let other = usize::try_from(number / 2).unwrap() * 7 % blocks;
        let found = disk.try_read(place(other), BLOCK_LEN)?;
        if found != content(place(other), memory.acknowledged[other]) {
            let (place, number) = (place(other), memory.acknowledged[other]);
            let text =
                format!("block at {place} did not hold write {number} when it was read back");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        done.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// What write `number` puts at `place`; write 0 is the zeroes of a fresh device.
fn content(place: u64, number: u64) -> Vec<u8> {
    if number == 0 {
        return vec![0; BLOCK_LEN];
    }
    let word = place.rotate_left(32) ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    word.to_le_bytes().repeat(BLOCK_LEN / 8)
}
