//! The rules of a device, and the requests that they park.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use api::EventKind;
use fault::{Keep, Rule, RuleSet};
use tokio::sync::oneshot;

use super::{Change, Device, DeviceError};
use crate::clock::now_ns;
use crate::mailbox::{Command, LetGo, Outcome, Which};
use crate::shared::{Published, QueueShared};

/// The rules that a device is to have.
#[derive(Debug)]
pub struct Wanted {
    /// The rules.
    pub rules: Vec<Rule>,
    /// Which of them go on with their counts.
    pub keep: Keep,
}

impl From<Vec<Rule>> for Wanted {
    fn from(rules: Vec<Rule>) -> Self {
        let keep = Keep::Unchanged;
        Self { rules, keep }
    }
}

impl Device {
    /// Publishes the rules that `change` makes of the present ones, and waits until every queue
    /// decides by them.
    ///
    /// # Errors
    /// `change`'s own, or a rule that was refused; then nothing has changed.
    pub async fn change_rules<E: From<fault::RuleError>>(
        &self,
        change: impl FnOnce(&RuleSet) -> Result<Wanted, E>,
    ) -> Result<Change, E> {
        self.change_rules_at(None, change).await
    }

    /// Says what [`Device::change_rules`] would make, and changes nothing. Nothing is released either.
    ///
    /// # Errors
    /// As [`Device::change_rules`].
    pub async fn try_rules<E: From<fault::RuleError>>(
        &self,
        change: impl FnOnce(&RuleSet) -> Result<Wanted, E>,
    ) -> Result<Change, E> {
        let _one_at_a_time = self.rule_change.lock().await;
        let current = self.shared.rules.load_full();
        let wanted = change(&current.set)?;
        let next = self.next_set(&current.set, wanted, self.size_bytes())?;
        let generation = next.generation();
        Ok(Change {
            generation,
            rules: next.len(),
            released: 0,
        })
    }

    /// The same, for a device that gets another size at that moment if one is given.
    ///
    /// # Errors
    /// As [`Device::change_rules`]; a rule may name sectors that a smaller device does not have.
    pub(super) async fn change_rules_at<E: From<fault::RuleError>>(
        &self,
        size_bytes: Option<u64>,
        change: impl FnOnce(&RuleSet) -> Result<Wanted, E>,
    ) -> Result<Change, E> {
        let _one_at_a_time = self.rule_change.lock().await;
        let current = self.shared.rules.load_full();
        let wanted = change(&current.set)?;
        let new_size = size_bytes.unwrap_or_else(|| self.size_bytes());
        let next = self.next_set(&current.set, wanted, new_size)?;
        let (generation, rules) = (next.generation(), next.len());
        next.start(now_ns());
        self.shared.rules.store(Arc::new(Published::new(next)));
        if let Some(size_bytes) = size_bytes {
            self.size_bytes.store(size_bytes, Ordering::Relaxed);
        }
        self.remember();
        let mut released = 0;
        for answer in self.ask(Command::Refresh) {
            // A queue that has ended decides nothing.
            released += answer.await.unwrap_or_default();
        }
        self.report(EventKind::RulesChanged, Some(generation));
        Ok(Change {
            generation,
            rules,
            released,
        })
    }

    fn next_set(
        &self,
        current: &RuleSet,
        Wanted { rules, keep }: Wanted,
        size_bytes: u64,
    ) -> Result<RuleSet, fault::RuleError> {
        let (seed, facts) = (self.config.seed, self.facts(size_bytes));
        let generation = current.generation() + 1;
        RuleSet::compile_keeping(generation, seed, rules, Some(current), &facts, &keep)
    }

    /// Waits until every request is answered to which a rule had done something that is not in force any more.
    pub async fn drain(&self) {
        for answer in self.ask(Command::Drain) {
            // A queue that has ended has none.
            let _ = answer.await;
        }
    }

    /// Lets parked requests go.
    pub async fn release(&self, which: Which, outcome: Outcome) -> LetGo {
        let asked = self.ask(|answer| Command::Release {
            which: which.clone(),
            outcome,
            answer,
        });
        let mut all = LetGo::default();
        for answer in asked {
            let one = answer.await.unwrap_or_default();
            all.count += one.count;
            all.holds.extend(one.holds);
        }
        all.holds.sort_unstable();
        all
    }

    /// Removes every rule and lets everything go. Returns how many requests that were.
    ///
    /// # Errors
    /// None: an empty rule set is always accepted.
    pub async fn heal(&self) -> Result<u64, DeviceError> {
        let change = self
            .change_rules(|_| Ok::<_, DeviceError>(Vec::new().into()))
            .await?;
        let released = self.release(Which::Everything, Outcome::GoOn).await.count;
        self.report(EventKind::Healed, Some(change.generation));
        Ok(change.released + released)
    }

    /// Leaves the rules out from now on, and lets go everything that is parked; or heeds them again. Returns
    /// how many requests were let go.
    pub(super) fn pass(&self, on: bool) -> u64 {
        let asked = self.ask(|answer| Command::Pass { on, answer });
        // A queue that has ended parks nothing.
        let answers = asked.into_iter().map(|answer| answer.blocking_recv());
        answers.map(Result::unwrap_or_default).sum()
    }

    pub(super) fn ask<T>(
        &self,
        command: impl Fn(oneshot::Sender<T>) -> Command,
    ) -> Vec<oneshot::Receiver<T>> {
        let send = |queue: &Arc<QueueShared>| {
            let (sender, receiver) = oneshot::channel();
            queue.mailbox.send(command(sender));
            receiver
        };
        self.queues.iter().map(send).collect()
    }
}
