//! Rules are armed and enabled while they are in force.

use super::{Compiled, RuleSet};
use crate::history::ArmedAt;

impl RuleSet {
    /// Tells that the set is in force from now on: rules that are armed by being added are armed at this
    /// moment. Without it they are armed when a request first comes to them.
    pub fn start(&self, now_ns: u64) {
        let now = self.moment(now_ns);
        for rule in self.rules.iter().filter(|rule| rule.has_window) {
            let gate = &rule.history.gate;
            if gate.is_armed() {
                gate.since(now);
            }
        }
    }

    /// Arms a rule, at this moment unless it is armed already; says whether there is one of this name.
    pub fn arm(&self, name: &str, now_ns: u64) -> bool {
        let now = self.moment(now_ns);
        self.with(name, |rule| rule.history.gate.arm(now))
    }

    /// Disarms a rule; says whether there is one of this name. One that a mark has armed is armed by it again
    /// with the next request.
    pub fn disarm(&self, name: &str) -> bool {
        self.with(name, |rule| rule.history.gate.disarm())
    }

    /// Enables or disables a rule; says whether there is one of this name.
    pub fn enable(&self, name: &str, on: bool) -> bool {
        self.with(name, |rule| rule.history.gate.enable(on))
    }

    fn with(&self, name: &str, change: impl FnOnce(&Compiled)) -> bool {
        let found = self.rules.iter().find(|rule| rule.rule.name == name);
        found.map(change).is_some()
    }

    fn moment(&self, now_ns: u64) -> ArmedAt {
        ArmedAt {
            ns: now_ns,
            op: self.device.ordinal(),
            epoch: self.device.epoch(),
        }
    }
}
