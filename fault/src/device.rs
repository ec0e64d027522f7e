//! What a device has been through, whatever its rules.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::draw::fnv1a;
use crate::label::Label;

/// The state of a device that has entered none.
pub const START: &str = "start";

/// How many different marks a device has at most.
pub const MAX_MARKS: usize = 64;

/// No mark has been set here.
const NONE: u64 = 0;

/// What a device has been through: one for each device, kept over the generations of its rules.
///
/// Numbers are atomics of their own; relaxed order is enough, as nothing else is read through them.
#[derive(Debug)]
pub struct DeviceHistory {
    ordinal: AtomicU64,
    epoch: AtomicU64,
    /// The number of a label.
    state: AtomicU64,
    /// Numbers of labels, without gaps, then `NONE`.
    marks: [AtomicU64; MAX_MARKS],
    /// What the numbers stand for. Never asked about in a decision.
    names: Mutex<BTreeMap<u64, Label>>,
}

/// What a device has been through, as it goes on file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceSnapshot {
    /// How many requests there were.
    pub ordinal: u64,
    /// How many flushes have completed.
    pub epoch: u64,
    /// The state it is in, if it has entered one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Label>,
    /// The marks that were set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub marks: Vec<Label>,
}

impl Default for DeviceHistory {
    fn default() -> Self {
        Self::new()
    }
}

impl DeviceHistory {
    /// A device that has just been made.
    #[must_use]
    pub fn new() -> Self {
        Self {
            ordinal: AtomicU64::new(0),
            epoch: AtomicU64::new(0),
            state: AtomicU64::new(fnv1a(START.as_bytes())),
            marks: [const { AtomicU64::new(NONE) }; MAX_MARKS],
            names: Mutex::new(BTreeMap::new()),
        }
    }

    /// A device as it went on file.
    #[must_use]
    pub fn restore(snapshot: &DeviceSnapshot) -> Self {
        let device = Self::new();
        device.ordinal.store(snapshot.ordinal, Relaxed);
        device.epoch.store(snapshot.epoch, Relaxed);
        if let Some(state) = &snapshot.state {
            device.set_state(state);
        }
        for mark in &snapshot.marks {
            device.set_mark(mark);
        }
        device
    }

    /// As it goes on file.
    #[must_use]
    pub fn snapshot(&self) -> DeviceSnapshot {
        DeviceSnapshot {
            ordinal: self.ordinal(),
            epoch: self.epoch(),
            state: self.state(),
            marks: self.marks(),
        }
    }

    /// Takes the number of a request that has arrived, from 0.
    pub fn next_ordinal(&self) -> u64 {
        self.ordinal.fetch_add(1, Relaxed)
    }

    /// How many requests have arrived.
    #[must_use]
    pub fn ordinal(&self) -> u64 {
        self.ordinal.load(Relaxed)
    }

    /// Counts a flush that has completed.
    pub fn flush_completed(&self) {
        self.epoch.fetch_add(1, Relaxed);
    }

    /// How many flushes have completed.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Relaxed)
    }

    /// Enters a state.
    pub fn set_state(&self, state: &Label) {
        self.know(state);
        self.enter(state.id());
    }

    /// Goes back to the state in which it began.
    pub fn clear_state(&self) {
        self.enter(fnv1a(START.as_bytes()));
    }

    /// The state it is in, if it is another than that in which it began, [`START`].
    #[must_use]
    pub fn state(&self) -> Option<Label> {
        let state = self.state.load(Relaxed);
        let known = self.names().get(&state).cloned();
        known.filter(|state| state.as_str() != START)
    }

    /// Sets a mark; says whether there was room for it, or it was set already.
    pub fn set_mark(&self, label: &Label) -> bool {
        self.know(label);
        self.mark(label.id())
    }

    /// The marks that were set, in the order in which they were.
    #[must_use]
    pub fn marks(&self) -> Vec<Label> {
        let names = self.names();
        let set = self.marks.iter().map(|mark| mark.load(Relaxed));
        set.filter_map(|id| names.get(&id).cloned()).collect()
    }

    /// Forgets all marks.
    pub fn clear_marks(&self) {
        for mark in &self.marks {
            mark.store(NONE, Relaxed);
        }
    }

    /// Remembers what a label's number stands for, so that decisions need not.
    pub(crate) fn know(&self, label: &Label) {
        self.names()
            .entry(label.id())
            .or_insert_with(|| label.clone());
    }

    pub(crate) fn enter(&self, state: u64) {
        self.state.store(state, Relaxed);
    }

    pub(crate) fn is_in(&self, state: u64) -> bool {
        self.state.load(Relaxed) == state
    }

    /// Sets a mark by its number, in the first free place.
    pub(crate) fn mark(&self, id: u64) -> bool {
        self.marks.iter().any(|mark| {
            let before = mark.compare_exchange(NONE, id, Relaxed, Relaxed);
            before.is_ok() || before == Err(id)
        })
    }

    pub(crate) fn is_marked(&self, id: u64) -> bool {
        let set = self.marks.iter().map(|mark| mark.load(Relaxed));
        set.take_while(|mark| *mark != NONE).any(|mark| mark == id)
    }

    fn names(&self) -> MutexGuard<'_, BTreeMap<u64, Label>> {
        // It is whole after every statement, so a panic elsewhere does not spoil it.
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(text: &str) -> Label {
        text.parse().unwrap()
    }

    #[test]
    fn what_goes_on_file_comes_back() {
        let device = DeviceHistory::new();
        assert_eq!(device.snapshot(), DeviceSnapshot::default());
        assert_eq!((device.next_ordinal(), device.next_ordinal()), (0, 1));
        device.flush_completed();
        device.set_state(&label("broken"));
        assert!(device.set_mark(&label("b")) && device.set_mark(&label("a")));
        assert!(device.set_mark(&label("b")));
        let snapshot = device.snapshot();
        assert_eq!(snapshot.marks, [label("b"), label("a")]);
        assert_eq!((snapshot.ordinal, snapshot.epoch), (2, 1));
        let json = serde_json::to_string(&snapshot).unwrap();
        let again = DeviceHistory::restore(&serde_json::from_str(&json).unwrap());
        assert_eq!(again.snapshot(), snapshot);
        again.clear_marks();
        again.clear_state();
        assert_eq!((again.marks(), again.state()), (vec![], None));
    }

    #[test]
    fn marks_are_bounded() {
        let device = DeviceHistory::new();
        let set = |n| device.set_mark(&label(&format!("m{n}")));
        assert!((0..MAX_MARKS).all(set));
        assert!(!set(MAX_MARKS) && set(0));
    }
}
