//! The device that experiments are done on, and rules that do not outlive them.

use std::sync::atomic::{AtomicU32, Ordering};

use api::fault::{Rule, SECTOR_BYTES};
use api::{BlockingClient, Device, call};

use crate::{LabError, Result};

/// Rules of one process differ by a number, those of two by their process ids.
static NEXT_RULE: AtomicU32 = AtomicU32::new(0);

/// A device of a running daemon.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The daemon.
    pub client: &'a BlockingClient,
    /// The device. An experiment reads from it and never writes to it.
    pub device: &'a Device,
}

impl<'a> Subject<'a> {
    /// Refuses a device of fewer than `needed` sectors.
    pub(crate) fn require_sectors(&self, needed: u64) -> Result<()> {
        let sectors = self.device.size_bytes / SECTOR_BYTES;
        if sectors >= needed {
            return Ok(());
        }
        Err(LabError::TooSmall {
            device: self.device.path.clone(),
            sectors,
            needed,
        })
    }

    /// Adds a rule. When this returns, every queue decides by it.
    pub(crate) fn add_rule(&self, experiment: &str, words: &str) -> Result<AddedRule<'a>> {
        AddedRule::add(self.client, self.device.id, experiment, words)
    }
}

/// A rule of the device, removed when this is dropped; the daemon then releases what it holds.
#[derive(Debug)]
pub(crate) struct AddedRule<'a> {
    client: &'a BlockingClient,
    device: u32,
    rule: Rule,
}

impl<'a> AddedRule<'a> {
    /// Adds a rule to a device. When this returns, every queue decides by it.
    pub(crate) fn add(
        client: &'a BlockingClient,
        device: u32,
        experiment: &str,
        words: &str,
    ) -> Result<Self> {
        let number = NEXT_RULE.fetch_add(1, Ordering::Relaxed);
        let name = format!("lab-{experiment}-{}-{number}", std::process::id());
        let rule = Rule::parse(&name, words)?;
        client.send(call::add_rule(device, &rule))?;
        Ok(Self {
            client,
            device,
            rule,
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.rule.name
    }

    /// The rule in words, without its name.
    pub(crate) fn words(&self) -> String {
        self.rule.to_string()
    }
}

impl Drop for AddedRule<'_> {
    fn drop(&mut self) {
        // A daemon that cannot be reached any more serves no rule either, and the `max` of a hold
        // ends it in any case.
        let _ = self
            .client
            .send(call::remove_rule(self.device, &self.rule.name));
    }
}
