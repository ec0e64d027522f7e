//! What the server asks of a queue.

use std::sync::Arc;

use fault::OnRemove;

use super::{QueueError, QueueLoop, Special};
use crate::front::Front;
use crate::mailbox::{Command, LetGo, Outcome, Which};

impl QueueLoop {
    pub(super) fn read_mail(&mut self) -> Result<(), QueueError> {
        // Armed before the mail is read, so that no command is left unseen.
        self.io(Front::arm_wake)?;
        for command in self.shared.clone().mailbox.take() {
            match command {
                Command::Refresh(answer) => {
                    let released = self.refresh_rules()?;
                    // The asker may have gone away.
                    let _ = answer.send(released);
                }
                Command::Drain(answer) => self.drain(answer),
                Command::Quit => self.quit = true,
                Command::Pass { on, answer } => {
                    self.special.set(Special::PASSING, on);
                    let released = match on {
                        true => self.release(&Which::Everything, Outcome::GoOn)?.count,
                        false => 0,
                    };
                    let _ = answer.send(released);
                }
                Command::Gone(answer) => {
                    let _ = answer.send(self.go()?);
                }
                Command::ReadOnly { on, answer } => {
                    self.special.set(Special::READ_ONLY, on);
                    let _ = answer.send(());
                }
                Command::Leave => self.leaving = true,
                Command::Retarget(target, answer) => {
                    self.target = target;
                    let _ = answer.send(());
                }
                Command::Peek { hold_id, answer } => {
                    let _ = answer.send(self.peek(hold_id));
                }
                Command::Poke {
                    hold_id,
                    poke,
                    answer,
                } => {
                    let _ = answer.send(self.poke(hold_id, &poke));
                }
                Command::Release {
                    which,
                    outcome,
                    answer,
                } => {
                    let _ = answer.send(self.release(&which, outcome)?);
                }
            }
        }
        Ok(())
    }

    fn refresh_rules(&mut self) -> Result<u64, QueueError> {
        let mut released = 0;
        let published = Arc::clone(self.rules.load());
        let rules = &published.set;
        self.shared.stats.generation.set(rules.generation());
        while let Some(wait) = self.parked.take_orphan(rules) {
            let next = wait.orphaned();
            self.unpark(wait, next)?;
            released += 1;
        }
        // What is at the medium has its delay still before it.
        let stays = |name: &str| rules.rules().any(|rule| rule.name == name);
        self.hurry(|mark| mark.on_remove != OnRemove::Expire && !stays(&mark.rule));
        Ok(released)
    }

    pub(super) fn release(&mut self, which: &Which, outcome: Outcome) -> Result<LetGo, QueueError> {
        let mut released = LetGo::default();
        if *which == Which::Everything {
            self.hurry(|_| true);
            while let Some(wait) = self.line.leave() {
                released.count += 1;
                let next = wait.let_go(outcome);
                self.unpark(wait, next)?;
            }
        }
        while let Some(wait) = self.parked.take_which(which) {
            released.count += 1;
            released.holds.extend(wait.hold_id);
            let next = wait.let_go(outcome);
            self.unpark(wait, next)?;
        }
        Ok(released)
    }
}
