//! The experiments. Each file asks one question, or one question in several ways.
//!
//! # How one is written
//!
//! 1. A file `experiments/NAME.rs` with an [`Experiment`] (or several that share a function) and a `run`.
//!    The texts are for `bvecctl lab explain`; `source` names the kernel's file and function.
//! 2. `run` gets a [`Bench`](crate::Bench): `bench.disk()`, `bench.puppet()`, `disk.arm("read", sector, sectors)`,
//!    `puppet.submit(...)`, `bench.held(&armed, &puppet, operation)`, then looks (`bench.look`, `held.peek`),
//!    perturbs (`puppet.fork()`, `puppet.run(Job::...)`), `held.release()`, `puppet.finish(...)`.
//! 3. What must hold on **every** kernel: `bench.must("in words", truth)`; if not, the verdict is `violated`.
//!    What may differ between kernels: `bench.see("key", value)`, and an [`Expected`](crate::Expected) with the
//!    version; if it differs, the verdict is `changed`. A value without an `Expected` is shown and not judged.
//! 4. Not checked by itself, because it is always checked: pins acquired and released balance, the kernel's
//!    log is clean, no process, mount or device is left.
//! 5. Declare the disk before the puppets that use it: values are dropped in reverse order.
//! 6. The controller must not touch memory or files that are backed by a held request, and waits only for the
//!    request it means: a release may send the next one.
//! 7. The name goes into [`ALL`], where `bvecctl lab list` shows it.

mod address_space;
mod buffered_lock;
mod cache;
mod death;
mod early_data;
mod ends;
mod files;
mod fork;
mod handed_down;
mod mirror;
mod oracles;
mod pin_delta;
mod pin_more;
mod pipes;
mod placement;
mod planted;
mod protection;
mod reclaim;
mod refused;
mod registered;
mod shared_memory;
mod stability;
mod stable_writes;
mod stacked;
mod swap_device;
mod time_out;
mod unstable;

use crate::Experiment;

/// Every experiment, in the order in which they are run.
pub const ALL: &[&[Experiment]] = &[
    buffered_lock::ALL,
    pin_delta::ALL,
    pin_more::ALL,
    refused::ALL,
    registered::ALL,
    early_data::ALL,
    unstable::ALL,
    protection::ALL,
    stability::ALL,
    stable_writes::ALL,
    cache::ALL,
    fork::ALL,
    address_space::ALL,
    files::ALL,
    placement::ALL,
    reclaim::ALL,
    swap_device::ALL,
    shared_memory::ALL,
    stacked::ALL,
    mirror::ALL,
    handed_down::ALL,
    pipes::ALL,
    oracles::ALL,
    ends::ALL,
    death::ALL,
    time_out::ALL,
];

/// Those that plant a defect which the lab must find.
pub fn planted() -> impl Iterator<Item = &'static Experiment> {
    planted::ALL.iter()
}

/// Every experiment.
pub fn all() -> impl Iterator<Item = &'static Experiment> {
    ALL.iter().copied().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_has_a_name_of_its_own_and_says_everything() {
        let mut names = BTreeSet::new();
        for experiment in all().chain(planted()) {
            let name = experiment.name;
            assert!(names.insert(name), "{name} is there twice");
            let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            assert!(!name.is_empty() && name.chars().all(fits), "{name}");
            assert!(experiment.question.ends_with('?'), "{name}");
            for text in [
                experiment.prediction,
                experiment.source,
                experiment.refuted_by,
            ] {
                assert!(text.len() > 10, "{name}: {text}");
            }
            assert!(!experiment.expected.is_empty(), "{name} knows nothing");
        }
    }
}
