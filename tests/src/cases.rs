//! Every test, in the order in which they run.

mod answers;
mod api_fuzz;
mod backing;
mod bad_input;
mod bench_marks;
mod bench_robust;
mod bench_sessions;
mod census;
pub(crate) mod conformance;
pub(crate) mod deferral;
mod determinism;
mod direction;
mod durability;
mod fault_counts;
mod fault_import;
mod fault_switches;
mod fault_verbs;
mod fault_waits;
pub(crate) mod faults;
mod features;
mod files;
mod filesystems;
mod geometry;
mod hold_data;
mod holds;
mod in_flight;
mod integrity;
mod kill_storm;
mod lab_bites;
mod lab_denied;
mod latency;
mod life_verbs;
mod lifecycle;
mod limits;
mod metrics;
mod nbd;
mod operations;
mod pages;
mod protection;
mod queues;
mod recovery;
mod registration;
mod remote;
mod resize;
mod rule_storm;
mod safety;
mod scenarios;
mod schemas;
mod selectors;
mod shared_memory;
mod socket;
mod staging;
mod state;
mod surroundings;
mod top;
mod trace;
mod triggers;
mod unprivileged;
mod vector_fuzz;

use crate::outcome::Case;

pub(crate) fn all() -> Vec<Case> {
    let listed = [
        integrity::CASES,
        bench_sessions::CASES,
        bench_robust::CASES,
        bench_marks::CASES,
        answers::CASES,
        direction::CASES,
        deferral::CASES,
        limits::CASES,
        durability::CASES,
        operations::CASES,
        pages::CASES,
        protection::CASES,
        queues::CASES,
        registration::CASES,
        staging::CASES,
        faults::CASES,
        features::CASES,
        fault_counts::CASES,
        fault_import::CASES,
        determinism::CASES,
        selectors::CASES,
        triggers::CASES,
        in_flight::CASES,
        fault_switches::CASES,
        fault_verbs::CASES,
        fault_waits::CASES,
        files::CASES,
        top::CASES,
        metrics::CASES,
        geometry::CASES,
        hold_data::CASES,
        holds::CASES,
        latency::CASES,
        lifecycle::CASES,
        life_verbs::CASES,
        remote::CASES,
        resize::CASES,
        recovery::CASES,
        state::CASES,
        kill_storm::CASES,
        lab_bites::CASES,
        lab_denied::CASES,
        backing::CASES,
        bad_input::CASES,
        socket::CASES,
        surroundings::CASES,
        trace::CASES,
        unprivileged::CASES,
        census::CASES,
        vector_fuzz::CASES,
        safety::CASES,
        scenarios::CASES,
        schemas::CASES,
    ]
    .into_iter()
    .flatten()
    .copied();
    conformance::cases()
        .into_iter()
        .chain(listed)
        .chain(api_fuzz::cases())
        .chain(rule_storm::cases())
        .chain(shared_memory::cases())
        .chain(faults::cells())
        .chain(filesystems::cases())
        .chain(nbd::cases())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    /// A filter, a shard and a report know a case by its name.
    #[test]
    fn no_two_have_one_name() {
        let mut names = BTreeSet::new();
        let twice: Vec<_> = super::all()
            .into_iter()
            .map(|case| case.name)
            .filter(|name| !names.insert(*name))
            .collect();
        assert!(twice.is_empty(), "{twice:?}");
    }
}
