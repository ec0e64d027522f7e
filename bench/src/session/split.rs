//! Which of fio's requests a rule fired on, by the daemon's account.
//!
//! The daemon tells of each such request when it commits it: when, and where on the device. fio writes
//! down when a request was complete, and where. The same place is the same request if fio had it in flight at that
//! time, or else if it is close in time; a large request of fio's may be several of the device's.
//!
//! When a job's time is over, fio waits for all that is in flight at once (`io_u_queued_complete` with the whole
//! depth, `backend.c`), and sees each of these complete when the slowest is: clean ones then have the latency of a
//! faulted one. They count on neither side.

use std::collections::{BTreeMap, BTreeSet};

use crate::Job;
use crate::fio::Bound;
use crate::fio_log::Request;
use crate::record::{Part, Split};
use crate::statistics::Histogram;

/// How far apart the two accounts of a request may be: fio sees it later, and under emulation much.
const APART_MS: u64 = 1000;
/// Both accounts are rounded to a millisecond, and fio's begins when its system call has returned
/// (`fio_ioring_queued` in `engines/io_uring.c`).
const ROUNDED_MS: u64 = 2;

/// A request on which a rule fired, as the daemon saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Faulted {
    /// When it was committed, in ms since 1970.
    pub(super) at_ms: u64,
    /// Whether its pages supplied the data.
    pub(super) is_source: bool,
    /// Where it began on the device.
    pub(super) offset_bytes: u64,
    /// Its length.
    pub(super) bytes: u64,
    /// Whether it was committed with an error.
    pub(super) failed: bool,
}

/// What the daemon says of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Account {
    /// The requests on which a rule fired, as far as their events are there.
    pub(super) faulted: Vec<Faulted>,
    /// Events that are not.
    pub(super) events_lost: u64,
    /// Requests that failed, and not because of what is behind the device; from its counters, which lose none.
    pub(super) failed: u64,
}

impl Account {
    /// Requests of fio's that rules failed, of so many bytes each. One of the device's may be several of fio's, which
    /// the block layer has merged, or a part of one.
    fn failed_of(&self, block_size_bytes: u64) -> u64 {
        let failed = self.faulted.iter().filter(|fault| fault.failed);
        let told: u64 = failed
            .map(|fault| (fault.bytes / block_size_bytes.max(1)).max(1))
            .sum();
        told.max(self.failed)
    }
}

/// What must be known of a job and of its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ran {
    /// Its time in ms, where that bounds it.
    time_ms: Option<u64>,
    /// Requests in flight at most, of one client.
    depth: usize,
    /// How much each asks for.
    block_size_bytes: u64,
    /// Whether it goes on after a request that failed: one that verifies ends, and is no good answer.
    goes_on: bool,
}

impl Ran {
    /// Of a job with this bound.
    pub(super) fn of(bound: Bound, job: &Job) -> Self {
        let time_ms = match bound {
            Bound::Time(time) => u64::try_from(time.as_millis()).ok(),
            Bound::Ios(_) | Bound::SizeBytes(_) => None,
        };
        Self {
            time_ms,
            depth: usize::try_from(job.depth).unwrap_or(usize::MAX),
            block_size_bytes: job.block_size_bytes,
            goes_on: !job.verifies,
        }
    }

    /// The requests that were waited for at the end: those of each client that were complete after its time, or,
    /// where a client has none such, its last ones.
    fn drained(self, requests: &[Request]) -> BTreeSet<usize> {
        let mut clients: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for (index, request) in requests.iter().enumerate() {
            clients.entry(request.client).or_default().push(index);
        }
        let of_client = clients.into_values().flat_map(|mut own| {
            own.sort_by_key(|index| requests[*index].done_ms);
            let began_ms = own.iter().map(|index| requests[*index].began_ms()).min();
            let over = began_ms
                .zip(self.time_ms)
                .map(|(began, time)| began.saturating_add(time));
            let in_time = |index: &usize| over.is_none_or(|over| requests[*index].done_ms < over);
            let first = own.partition_point(in_time);
            let last_ones = own.len().saturating_sub(self.depth);
            own.split_off(if first == own.len() { last_ones } else { first })
        });
        of_client.collect()
    }
}

/// Puts each request on its side.
pub(super) fn split(requests: &[Request], account: &Account, ran: Ran) -> Split {
    let mut by_place: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (index, request) in requests.iter().enumerate() {
        by_place
            .entry(request.offset_bytes)
            .or_default()
            .push(index);
    }
    let mut hit: BTreeSet<usize> = BTreeSet::new();
    let mut unmatched = 0;
    // fio logs no request that failed.
    for fault in account.faulted.iter().filter(|fault| !fault.failed) {
        let place = by_place.range(..=fault.offset_bytes).next_back();
        let covers = |index: &&usize| {
            let request = &requests[**index];
            fault.offset_bytes < request.offset_bytes + request.bytes
                && fault.is_source == request.is_source
                && request.done_ms.abs_diff(fault.at_ms) <= APART_MS
        };
        let candidates = place.into_iter().flat_map(|(_, all)| all).filter(covers);
        let distance = |index: &&usize| {
            let request = &requests[**index];
            let in_flight = request.began_ms() <= fault.at_ms + ROUNDED_MS
                && fault.at_ms <= request.done_ms + ROUNDED_MS;
            (!in_flight, request.done_ms.abs_diff(fault.at_ms))
        };
        match candidates.min_by_key(distance) {
            Some(index) => {
                hit.insert(*index);
            }
            None => unmatched += 1,
        }
    }
    let failed = account.failed_of(ran.block_size_bytes);
    let (failed, ended_it) = if ran.goes_on {
        (failed, 0)
    } else {
        (0, failed)
    };
    let drained = ran.drained(requests);
    let counted = requests
        .iter()
        .enumerate()
        .filter(|(index, _)| !drained.contains(index));
    let (mut clean, mut late) = (Histogram::default(), Histogram::default());
    for (index, request) in counted {
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
        drained: u64::try_from(drained.len()).unwrap_or(u64::MAX),
        failed,
        unmatched: unmatched + ended_it,
        events_lost: account.events_lost,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn request(done_ms: u64, offset_bytes: u64, latency_ns: u64) -> Request {
        Request {
            client: 1,
            is_source: false,
            done_ms,
            latency_ns,
            bytes: 8192,
            offset_bytes,
        }
    }

    const fn fault(at_ms: u64, offset_bytes: u64) -> Faulted {
        Faulted {
            at_ms,
            is_source: false,
            offset_bytes,
            bytes: 8192,
            failed: false,
        }
    }

    /// Of a job that drains nothing.
    const NONE: Ran = Ran {
        time_ms: None,
        depth: 0,
        block_size_bytes: 8192,
        goes_on: true,
    };

    /// The whole account.
    fn of(faulted: &[Faulted]) -> Account {
        Account {
            faulted: faulted.to_vec(),
            ..Account::default()
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
        // The second half of a request that was split counts for it, once.
        let faulted = [
            fault(1058, 8192),
            fault(1059, 12_288),
            fault(9000, 0),
            fault(1000, 99_999_999),
        ];
        let account = Account {
            events_lost: 3,
            ..of(&faulted)
        };
        let split = split(&requests, &account, NONE);
        assert_eq!((split.clean.ios, split.faulted.ios), (3, 1));
        assert_eq!((split.unmatched, split.events_lost), (2, 3));
        assert!(split.faulted.percentiles_ns.p50 > 49_000_000);
        assert!(split.clean.percentiles_ns.p99_99 < 13_000);
    }

    /// fio hears late of the late one, and has been at its place again meanwhile.
    #[test]
    fn the_one_that_was_in_flight_is_it() {
        let requests = [
            request(1062, 0, 10_000),
            request(1075, 0, 70_000_000),
            request(1040, 0, 10_000),
        ];
        let split = split(&requests, &of(&[fault(1056, 0)]), NONE);
        assert_eq!((split.clean.ios, split.faulted.ios), (2, 1));
        assert!(split.faulted.percentiles_ns.p50 > 69_000_000, "{split:?}");
    }

    #[test]
    fn a_write_is_no_read_at_its_place() {
        let write = Request {
            is_source: true,
            ..request(1002, 0, 50_000_000)
        };
        let fault = Faulted {
            is_source: true,
            ..fault(1000, 0)
        };
        let split = split(&[request(1000, 0, 10_000), write], &of(&[fault]), NONE);
        assert!(split.faulted.percentiles_ns.p50 > 49_000_000, "{split:?}");
    }

    #[test]
    fn what_failed_has_no_line_of_fios() {
        let failed = Faulted {
            failed: true,
            ..fault(1000, 0)
        };
        let requests = [request(1000, 0, 10_000)];
        let one = split(&requests, &of(&[failed]), NONE);
        assert_eq!((one.clean.ios, one.faulted.ios), (1, 0));
        assert_eq!((one.failed, one.unmatched), (1, 0));
        // Four of fio's that were merged, and events that were lost: the counters have lost none.
        let merged = Faulted {
            bytes: 4 * 8192,
            ..failed
        };
        assert_eq!(split(&requests, &of(&[merged]), NONE).failed, 4);
        let lost = Account {
            failed: 9,
            ..of(&[merged])
        };
        assert_eq!(split(&requests, &lost, NONE).failed, 9);
        // It ends a job that verifies, and excuses nothing.
        let verifies = Ran {
            goes_on: false,
            ..NONE
        };
        let ended = split(&requests, &of(&[failed]), verifies);
        assert_eq!((ended.failed, ended.unmatched), (0, 1));
    }

    #[test]
    fn without_faults_all_are_clean() {
        let split = split(&[request(1, 0, 5)], &of(&[]), NONE);
        assert_eq!(
            (split.clean.ios, split.faulted.ios, split.unmatched),
            (1, 0, 0)
        );
    }

    /// Half a second at depth 16, of which the last request is late: fio reaps all 16 with it.
    #[test]
    fn what_waits_for_a_late_one_at_the_end_is_not_clean() {
        let mut requests: Vec<Request> = (0..900)
            .map(|index| request(1001 + index / 2, index * 8192, 1_000_000))
            .collect();
        requests.extend((900..916).map(|index| request(1551, index * 8192, 53_000_000)));
        let faulted = [fault(1550, 900 * 8192)];
        let ran = |bound| {
            let job = Job::load("rand-destination-4k-qd16").unwrap();
            split(&requests, &of(&faulted), Ran::of(bound, &job))
        };
        let timed = ran(Bound::Time(Duration::from_millis(500)));
        assert_eq!((timed.clean.ios, timed.faulted.ios), (900, 0));
        assert_eq!((timed.drained, timed.unmatched), (16, 0));
        assert!(timed.clean.percentiles_ns.p99_99 < 1_100_000, "{timed:?}");
        assert_eq!(ran(Bound::Ios(916)), timed, "its last sixteen");
        // A job whose own time was shorter.
        assert_eq!(ran(Bound::Time(Duration::from_secs(3))), timed);
    }

    #[test]
    fn each_client_has_its_own_end() {
        let mut requests = vec![request(1001, 0, 1_000_000), request(1100, 0, 9_000_000)];
        requests.push(Request {
            client: 2,
            ..request(1060, 0, 1_000_000)
        });
        requests.push(Request {
            client: 2,
            ..request(1150, 0, 2_000_000)
        });
        let job = Job::load("rand-destination-4k-qd1").unwrap();
        let end = Ran::of(Bound::Time(Duration::from_millis(95)), &job);
        assert_eq!(
            end.drained(&requests),
            BTreeSet::from([1, 3]),
            "the second began later and ends by its last request"
        );
    }
}
