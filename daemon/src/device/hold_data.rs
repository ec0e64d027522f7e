//! The data of held requests.

use super::Device;
use crate::mailbox::{Command, Poke, Reached};

impl Device {
    /// The data of a held source request; none if no queue holds it.
    pub async fn peek(&self, hold_id: u64) -> Option<Reached<Vec<u8>>> {
        let asked = self.ask(|answer| Command::Peek { hold_id, answer });
        for answer in asked {
            // A queue that has ended holds nothing.
            if let Some(reached) = answer.await.ok().flatten() {
                return Some(reached);
            }
        }
        None
    }

    /// Stores into the pages of a held destination request; none if no queue holds it. Returns how many bytes
    /// were stored.
    pub async fn poke(&self, hold_id: u64, poke: &Poke) -> Option<Reached<u32>> {
        let asked = self.ask(|answer| Command::Poke {
            hold_id,
            poke: poke.clone(),
            answer,
        });
        for answer in asked {
            if let Some(reached) = answer.await.ok().flatten() {
                return Some(reached);
            }
        }
        None
    }
}
