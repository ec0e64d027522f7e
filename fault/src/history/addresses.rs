//! How often each address was met: for rules that count by address.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use serde::{Deserialize, Serialize};

use crate::draw::mix;
use crate::request::Request;

/// How many different addresses a rule keeps apart.
pub(crate) const MAX_ADDRESSES: usize = 1 << 16;

/// How far from its own place an address is looked for.
const REACH: usize = 256;

/// A place that is not in use.
const FREE: u64 = 0;

/// A table of a fixed size that is filled without locks: places are taken and never given back.
#[derive(Debug)]
pub(crate) struct Addresses {
    places: Box<[Place]>,
}

/// One address: an operation, a sector and a length.
#[derive(Debug, Default)]
pub(crate) struct Place {
    key: AtomicU64,
    met: AtomicU32,
    fired: AtomicU32,
}

/// An address as it goes on file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddressCount {
    /// A number that stands for operation, sector and length.
    pub key: u64,
    /// How often it was met.
    pub met: u32,
    /// How often the rule has fired on it.
    pub fired: u32,
}

/// What stands for an address; never `FREE`. Two addresses share one with a chance of 1 in 2^64.
pub(crate) fn key(request: &Request) -> u64 {
    let op = request.op as u64;
    mix(&[op, request.sector.0, u64::from(request.sectors)]).max(1)
}

impl Addresses {
    pub(crate) fn new() -> Self {
        Self {
            places: (0..MAX_ADDRESSES).map(|_| Place::default()).collect(),
        }
    }

    /// The place of an address; none if the table has no room near where it belongs.
    pub(crate) fn place(&self, key: u64) -> Option<&Place> {
        let home = usize::try_from(key % MAX_ADDRESSES as u64).unwrap_or(0);
        let reach = self.places.iter().cycle().skip(home).take(REACH);
        for place in reach {
            let mut found = place.key.load(Relaxed);
            if found == FREE {
                let taken = place.key.compare_exchange(FREE, key, Relaxed, Relaxed);
                found = taken.map_or_else(|other| other, |_| key);
            }
            if found == key {
                return Some(place);
            }
        }
        None
    }

    /// The place of an address that was met already.
    pub(crate) fn find(&self, key: u64) -> Option<&Place> {
        let home = usize::try_from(key % MAX_ADDRESSES as u64).unwrap_or(0);
        let reach = self.places.iter().cycle().skip(home).take(REACH);
        let keys = reach.map(|place| (place, place.key.load(Relaxed)));
        let mut used = keys.take_while(|(_, found)| *found != FREE);
        used.find(|(_, found)| *found == key)
            .map(|(place, _)| place)
    }

    /// As it goes on file.
    pub(crate) fn counts(&self) -> Vec<AddressCount> {
        let count = |place: &Place| AddressCount {
            key: place.key.load(Relaxed),
            met: place.met.load(Relaxed),
            fired: place.fired.load(Relaxed),
        };
        let all = self.places.iter().map(count);
        all.filter(|count| count.key != FREE).collect()
    }

    /// Takes over what is on file.
    pub(crate) fn restore(&self, counts: &[AddressCount]) {
        for count in counts.iter().filter(|count| count.key != FREE) {
            if let Some(place) = self.place(count.key) {
                place.met.store(count.met, Relaxed);
                place.fired.store(count.fired, Relaxed);
            }
        }
    }
}

impl Place {
    /// Takes the number of this meeting, from 0.
    pub(crate) fn meet(&self) -> u64 {
        u64::from(self.met.fetch_add(1, Relaxed))
    }

    /// How often it was met.
    pub(crate) fn met(&self) -> u64 {
        u64::from(self.met.load(Relaxed))
    }

    /// How often the rule has fired here.
    pub(crate) fn fired(&self) -> u64 {
        u64::from(self.fired.load(Relaxed))
    }

    /// Takes one of `count` firings, or says that none is left.
    pub(crate) fn take(&self, count: u64) -> bool {
        let take = |fired: u32| (u64::from(fired) < count).then(|| fired.saturating_add(1));
        self.fired.fetch_update(Relaxed, Relaxed, take).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Op, Sector};

    fn at(op: Op, sector: u64, sectors: u32) -> u64 {
        key(&Request::new(op, Sector(sector), sectors))
    }

    #[test]
    fn each_address_counts_by_itself() {
        let table = Addresses::new();
        let keys = [
            at(Op::Read, 8, 8),
            at(Op::Write, 8, 8),
            at(Op::Read, 8, 16),
            at(Op::Read, 16, 8),
        ];
        for round in 0..3 {
            for key in keys {
                assert_eq!(table.place(key).unwrap().meet(), round);
            }
        }
        let place = table.place(keys[0]).unwrap();
        assert!(place.take(2) && place.take(2) && !place.take(2));
        assert!(table.find(at(Op::Flush, 0, 0)).is_none());
        let again = Addresses::new();
        again.restore(&table.counts());
        let found = again.find(keys[0]).unwrap();
        assert_eq!((found.met(), found.fired()), (3, 2));
        assert_eq!(again.counts(), table.counts());
    }

    #[test]
    fn a_full_table_says_so() {
        let table = Addresses::new();
        let placed = (0..2 * MAX_ADDRESSES as u64)
            .filter(|n| table.place(at(Op::Read, n * 8, 8)).is_some())
            .count();
        assert!(
            placed > MAX_ADDRESSES / 2 && placed <= MAX_ADDRESSES,
            "{placed}"
        );
        // Whoever is in stays in.
        assert!(table.place(at(Op::Read, 0, 8)).is_some());
    }
}
