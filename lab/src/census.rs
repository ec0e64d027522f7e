//! The census: pins that each way of reaching a block device from userspace takes, gives back, and
//! leaves.
//!
//! Every row does [`IOS`] transfers of [`PAGES`] pages in one way and direction and reads the kernel's
//! counters of pins around it ([`pages::vmstat`]), which are of the whole machine: nothing else should
//! do direct I/O meanwhile. Beside what was measured stands what the rule of 2022 says ([`rule`]):
//! the destination of a user's iovec needs a pin, a source does not, a bvec must come locked, a pipe
//! has only its own pages, discard has none.
//!
//! | file | what it knows |
//! |---|---|
//! | `client` | how each flavour is driven |
//! | `place` | the device itself, and what can be stacked on it |
//! | `rule` | what the rule says of a flavour |

mod client;
pub(crate) mod place;
mod rule;

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use pages::{PinCounters, Roots, VmStat};
use serde::Serialize;

use crate::error::io_error;
use crate::huge_pages::HugePages;
use crate::sys::buffer::Memory;
use crate::sys::vectors::VectorRing;
use crate::{Direction, Result, sys};

pub use client::Flavour;
pub use place::Kind as PlaceKind;

use client::Client;
use place::Place;

/// Transfers of a row.
pub const IOS: u64 = 16;
/// Pages of a transfer.
pub const PAGES: u64 = 4;

/// How long pins may outlive their transfers: a completion can be seen before its pins are given back
/// (`blkdev_bio_end_io_async`), and a ring with registered buffers is torn down by a worker.
pub(crate) const SETTLE: Duration = Duration::from_secs(5);
const SETTLE_POLL: Duration = Duration::from_millis(2);

/// One way of reaching the device, and what it did to pins.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The system calls.
    pub flavour: Flavour,
    /// Which way the data went.
    pub direction: Direction,
    /// Where the memory came from.
    pub memory: Memory,
    /// What the transfer was done on.
    pub place: PlaceKind,
    /// Transfers.
    pub ios: u64,
    /// Pages of all of them.
    pub pages: u64,
    /// What was counted; none for a row that this kernel or machine lacks.
    pub pins: Option<Pins>,
    /// Why there is nothing.
    pub skipped: Option<String>,
    /// Pins a page that the rule of 2022 asks for.
    pub rule_pins_per_page: u64,
    /// Its reason.
    pub rule: &'static str,
    /// Whether this kernel does something else.
    pub differs: bool,
}

/// What was counted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Pins {
    /// Taken by the transfers.
    pub acquired: u64,
    /// Given back from the start to the end.
    pub released: u64,
    /// Taken beforehand, by registering memory.
    pub once: u64,
    /// Taken and not given back at quiescence: anything but 0 is a leak.
    pub outstanding: i64,
    /// `acquired` a transfer.
    pub per_io: f64,
    /// `acquired` a page.
    pub per_page: f64,
}

/// What is counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Only rows whose flavour, memory or place contains this; empty for all.
    pub only: String,
    /// Forgets a registered page in the middle of the first row, to show that it is found.
    pub plant: bool,
}

/// Counts every row on the block device at `device`, which is stored over, and tells each as soon as it
/// is known. `wanted` is asked before each whether to go on.
///
/// # Errors
/// Pins cannot be counted here, or a transfer failed that must not.
pub fn run(device: &str, settings: &Settings, mut tell: impl FnMut(&Row) -> bool) -> Result<()> {
    let counter = Counter::new()?;
    let _pool = HugePages::fill();
    let mut plant = settings.plant;
    for kind in PlaceKind::ALL {
        let rows: Vec<Row> = rows_at(kind)
            .into_iter()
            .filter(|row| row.is_named(&settings.only))
            .collect();
        if rows.is_empty() {
            continue;
        }
        let place = Place::make(kind, device);
        for mut row in rows {
            match &place {
                Ok(place) => row.count(place, &counter, std::mem::take(&mut plant))?,
                Err(why) => row.skipped = Some(why.clone()),
            }
            if !tell(&row) {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// The rows of one place: every flavour and every memory on the device itself, one of each direction
/// elsewhere.
fn rows_at(place: PlaceKind) -> Vec<Row> {
    let mut combinations = Vec::new();
    if place == PlaceKind::Raw {
        combinations.extend(Flavour::ALL.map(|flavour| (flavour, Memory::Malloc)));
        combinations.extend(
            [
                Memory::SharedAnonymous,
                Memory::Thp,
                Memory::Hugetlb,
                Memory::Memfd,
                Memory::FileShared,
                Memory::FilePrivate,
            ]
            .map(|memory| (Flavour::Pread, memory)),
        );
    } else {
        combinations.push((Flavour::Pread, Memory::Malloc));
    }
    let both = combinations.into_iter().flat_map(|(flavour, memory)| {
        Direction::BOTH.map(|direction| Row::new(flavour, direction, memory, place))
    });
    both.filter(|row| row.flavour.has(row.direction)).collect()
}

impl Row {
    fn new(flavour: Flavour, direction: Direction, memory: Memory, place: PlaceKind) -> Self {
        let (rule_pins_per_page, rule) = rule::of(flavour, direction);
        Self {
            flavour,
            direction,
            memory,
            place,
            ios: IOS,
            pages: IOS * PAGES,
            pins: None,
            skipped: None,
            rule_pins_per_page,
            rule,
            differs: false,
        }
    }

    fn is_named(&self, only: &str) -> bool {
        let names = [word(&self.flavour), word(&self.memory), word(&self.place)];
        only.is_empty() || names.iter().any(|name| name.contains(only))
    }

    /// Whether no pin was left.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        self.pins.is_none_or(|pins| pins.outstanding == 0)
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "counts of a row are far below 2^52"
    )]
    fn count(&mut self, place: &Place, counter: &Counter, plant: bool) -> Result<()> {
        let before = counter.now()?;
        let mut client = match Client::prepare(self.flavour, self.direction, self.memory, place) {
            Ok(client) => client,
            Err(error) => {
                self.skipped = Some(why_not(self.memory, &error));
                return Ok(());
            }
        };
        let prepared = counter.now()?;
        for number in 0..self.ios {
            client
                .transfer(number)
                .map_err(|source| client::failed(self.flavour, self.direction, place, source))?;
            if plant && number == self.ios / 2 {
                forget_a_page().map_err(io_error("plant a leak"))?;
            }
        }
        let done = counter.settled(prepared.outstanding(), SETTLE)?;
        drop(client);
        let end = counter.settled(before.outstanding(), SETTLE)?;
        let acquired = done.since(prepared).acquired;
        self.pins = Some(Pins {
            acquired,
            released: end.since(before).released,
            once: prepared.since(before).acquired,
            outstanding: end.since(before).outstanding(),
            per_io: acquired as f64 / self.ios as f64,
            per_page: acquired as f64 / self.pages as f64,
        });
        self.differs = acquired != self.rule_pins_per_page * self.pages;
        Ok(())
    }
}

fn why_not(memory: Memory, error: &io::Error) -> String {
    match memory {
        Memory::Hugetlb => format!("the pool of huge pages has none: {error}"),
        _ => error.to_string(),
    }
}

/// A registered buffer that nobody unregisters.
fn forget_a_page() -> io::Result<()> {
    let buffer = sys::buffer::Buffer::new(Memory::Malloc, sys::PAGE_BYTES, None)?;
    let ring = VectorRing::new()?;
    ring.register(&[buffer.segment(0, sys::PAGE_BYTES)])?;
    std::mem::forget(ring);
    Ok(())
}

/// The kebab-case word of a unit variant.
pub(crate) fn word<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

/// The kernel's counters of pins.
#[derive(Debug)]
pub(crate) struct Counter(VmStat);

impl Counter {
    pub(crate) fn new() -> Result<Self> {
        let vmstat = VmStat::new(&Roots::default());
        vmstat.pins()?;
        Ok(Self(vmstat))
    }

    pub(crate) fn now(&self) -> Result<PinCounters> {
        Ok(self.0.pins()?)
    }

    /// The counters once so many pins are outstanding, or when time is up.
    pub(crate) fn settled(&self, outstanding: i64, limit: Duration) -> Result<PinCounters> {
        let start = Instant::now();
        loop {
            let pins = self.now()?;
            if pins.outstanding() == outstanding || start.elapsed() > limit {
                return Ok(pins);
            }
            thread::sleep(SETTLE_POLL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flavour_memory_and_place_has_a_row() {
        let rows: Vec<Row> = PlaceKind::ALL.into_iter().flat_map(rows_at).collect();
        for flavour in Flavour::ALL {
            for direction in Direction::BOTH {
                let has = rows
                    .iter()
                    .any(|row| row.flavour == flavour && row.direction == direction);
                assert_eq!(has, flavour.has(direction), "{flavour:?} {direction}");
            }
        }
        for place in PlaceKind::ALL {
            assert!(rows.iter().any(|row| row.place == place), "{place:?}");
        }
        assert!(rows.iter().any(|row| row.memory == Memory::Hugetlb));
    }

    #[test]
    fn rows_are_chosen_by_their_words() {
        let row = Row::new(
            Flavour::IoUringFixed,
            Direction::Source,
            Memory::Thp,
            PlaceKind::DmCrypt,
        );
        for only in ["", "fixed", "thp", "dm-crypt"] {
            assert!(row.is_named(only), "{only}");
        }
        assert!(!row.is_named("ext4"));
        assert!(row.is_balanced());
    }
}
