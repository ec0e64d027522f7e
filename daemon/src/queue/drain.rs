//! Tells when the last request has been answered to which a rule of the past had done something.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::QueueLoop;

impl QueueLoop {
    /// Answers when it is so; perhaps at once.
    pub(super) fn drain(&mut self, answer: oneshot::Sender<()>) {
        self.drains.push(answer);
        self.tell_drained();
    }

    /// A request that a rule had marked is answered, or the rules have changed.
    #[cold]
    pub(super) fn tell_drained(&mut self) {
        if self.drains.is_empty() {
            return;
        }
        let published = Arc::clone(self.rules.load());
        let marks = self.slots.iter().filter_map(|slot| slot.mark.as_ref());
        let current = |rule: &str, generation| published.set.is_current(rule, generation);
        let mut marks = marks.filter(|mark| !current(&mark.rule, mark.generation));
        if marks.next().is_none() {
            for answer in self.drains.drain(..) {
                // Who asked may have gone away.
                let _ = answer.send(());
            }
        }
    }
}
