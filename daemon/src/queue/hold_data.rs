//! Reaching for the pages of held requests, for somebody who looks at them or stores into them.

use ublk::Request;

use super::QueueLoop;
use crate::mailbox::{Content, Poke, Reached, Unreached};

impl QueueLoop {
    /// The data of a held source request; none if it is not held here.
    pub(super) fn peek(&self, hold_id: u64) -> Option<Reached<Vec<u8>>> {
        let wait = self.parked.held(hold_id)?;
        Some(self.payload_of(&wait.request))
    }

    fn payload_of(&self, request: &Request) -> Reached<Vec<u8>> {
        let source = request
            .source()
            .ok_or(Unreached::Direction { op: request.op() })?;
        let mut bytes = vec![0; payload_len(request)];
        self.queue.peek(source, 0, &mut bytes)?;
        Ok(bytes)
    }

    /// Stores into the pages of a held destination request, which then completes as it is; none if it is not
    /// held here. Returns how many bytes were stored.
    pub(super) fn poke(&mut self, hold_id: u64, poke: &Poke) -> Option<Reached<u32>> {
        let wait = self.parked.held_mut(hold_id)?;
        let request = &wait.request;
        let Some(destination) = request.destination() else {
            return Some(Err(Unreached::Direction { op: request.op() }));
        };
        let len = payload_len(request);
        let bytes = match bytes_of(poke, len) {
            Ok(bytes) => bytes,
            Err(why) => return Some(Err(why)),
        };
        if !wait.poked {
            // What an earlier request left in the tag's memory is nobody's business.
            if let Err(error) = self.queue.poke(destination, 0, &vec![0; len]) {
                return Some(Err(error.into()));
            }
        }
        let destination = request.destination()?;
        if let Err(error) = self.queue.poke(destination, poke.offset, &bytes) {
            return Some(Err(error.into()));
        }
        wait.poked = true;
        Some(Ok(u32::try_from(bytes.len()).unwrap_or(u32::MAX)))
    }
}

/// What is stored into a payload of so many bytes.
fn bytes_of(poke: &Poke, len: usize) -> Reached<Vec<u8>> {
    let outside = Unreached::Outside {
        len_bytes: u32::try_from(len).unwrap_or(u32::MAX),
    };
    let offset = usize::try_from(poke.offset).unwrap_or(usize::MAX);
    let Some(room) = len.checked_sub(offset).filter(|room| *room > 0) else {
        return Err(outside);
    };
    let bytes = match &poke.content {
        Content::Bytes(bytes) => bytes.clone(),
        Content::Fill(byte, length) => {
            let length = length.map_or(room, |length| length as usize);
            // Judged before anything so large is made.
            if length > room {
                return Err(outside);
            }
            vec![*byte; length]
        }
    };
    match bytes.len() <= room {
        true => Ok(bytes),
        false => Err(outside),
    }
}

fn payload_len(request: &Request) -> usize {
    usize::try_from(request.len_bytes()).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poke_stays_within_the_payload() {
        let stored = |offset, content| bytes_of(&Poke { offset, content }, 4096).ok();
        assert_eq!(stored(4094, Content::Bytes(vec![1, 2])), Some(vec![1, 2]));
        assert_eq!(stored(4095, Content::Bytes(vec![1, 2])), None);
        assert_eq!(stored(4096, Content::Bytes(vec![1])), None);
        assert_eq!(stored(4000, Content::Fill(7, None)), Some(vec![7; 96]));
        assert_eq!(stored(0, Content::Fill(7, Some(u32::MAX))), None);
    }
}
