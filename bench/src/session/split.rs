//! Which of fio's requests a rule fired on, by the daemon's account.
//!
//! The daemon tells of each such request when it commits it: when, and where on the device. fio writes
//! down when a request was complete, and where. The same place close in time is the same request; a large
//! request of fio's may be several of the device's.

use std::collections::{BTreeMap, BTreeSet};

use crate::fio_log::Request;
use crate::record::{Part, Split};
use crate::statistics::Histogram;

/// How far apart the two accounts of a request may be: fio sees it later, and under emulation much.
const APART_MS: u64 = 1000;

/// A request on which a rule fired, as the daemon saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Faulted {
    /// When it was committed, in ms since 1970.
    pub(super) at_ms: u64,
    /// Where it began on the device.
    pub(super) offset_bytes: u64,
}

/// Puts each request on its side.
pub(super) fn split(requests: &[Request], faulted: &[Faulted], events_lost: u64) -> Split {
    let mut by_place: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (index, request) in requests.iter().enumerate() {
        by_place
            .entry(request.offset_bytes)
            .or_default()
            .push(index);
    }
    let mut hit: BTreeSet<usize> = BTreeSet::new();
    let mut unmatched = 0;
    for fault in faulted {
        let place = by_place.range(..=fault.offset_bytes).next_back();
        let covers = |index: &&usize| {
            let request = &requests[**index];
            fault.offset_bytes < request.offset_bytes + request.bytes
                && request.done_ms.abs_diff(fault.at_ms) <= APART_MS
        };
        let candidates = place.into_iter().flat_map(|(_, all)| all).filter(covers);
        match candidates.min_by_key(|index| requests[**index].done_ms.abs_diff(fault.at_ms)) {
            Some(index) => {
                hit.insert(*index);
            }
            None => unmatched += 1,
        }
    }
    let (mut clean, mut late) = (Histogram::default(), Histogram::default());
    for (index, request) in requests.iter().enumerate() {
        let side = if hit.contains(&index) {
            &mut late
        } else {
            &mut clean
        };
        side.record(request.latency_ns);
    }
    Split {
        clean: Part::of(clean),
        faulted: Part::of(late),
        unmatched,
        events_lost,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(done_ms: u64, offset_bytes: u64, latency_ns: u64) -> Request {
        Request {
            done_ms,
            latency_ns,
            bytes: 8192,
            offset_bytes,
        }
    }

    #[test]
    fn the_same_place_close_in_time_is_the_same_request() {
        let requests = [
            request(1000, 0, 10_000),
            request(1060, 8192, 50_000_000),
            request(5000, 8192, 11_000),
            request(1060, 16_384, 12_000),
        ];
        let fault = |at_ms, offset_bytes| Faulted {
            at_ms,
            offset_bytes,
        };
        // The second half of a request that was split counts for it, once.
        let faulted = [
            fault(1058, 8192),
            fault(1059, 12_288),
            fault(9000, 0),
            fault(1000, 99_999_999),
        ];
        let split = split(&requests, &faulted, 3);
        assert_eq!((split.clean.ios, split.faulted.ios), (3, 1));
        assert_eq!((split.unmatched, split.events_lost), (2, 3));
        assert!(split.faulted.percentiles_ns.p50 > 49_000_000);
        assert!(split.clean.percentiles_ns.p99_99 < 13_000);
    }

    #[test]
    fn without_faults_all_are_clean() {
        let split = split(&[request(1, 0, 5)], &[], 0);
        assert_eq!(
            (split.clean.ios, split.faulted.ios, split.unmatched),
            (1, 0, 0)
        );
    }
}
