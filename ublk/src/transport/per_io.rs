//! Transport `per-io`: one command for each tag, FETCH_REQ once and COMMIT_AND_FETCH_REQ from then on.
//! It completes when the tag's next request arrives.

use std::io;

use libublk::sys;

use super::{ABORTED, Heard, submit_and_check};
use crate::command;
use crate::data_path::DataPath;
use crate::ring::{Event, Ring, Token};

/// One queue's commands.
#[derive(Debug)]
pub(crate) struct PerIo {
    queue: u16,
    depth: u16,
    /// Tags that the driver may still send requests for.
    open_tags: u16,
}

impl PerIo {
    pub(super) fn new(queue: u16, depth: u16) -> Self {
        Self {
            queue,
            depth,
            open_tags: depth,
        }
    }

    pub(super) fn start(&mut self, ring: &mut Ring, path: &DataPath) -> io::Result<()> {
        for tag in 0..self.depth {
            self.send(ring, path, sys::UBLK_U_IO_FETCH_REQ, tag, 0)?;
        }
        submit_and_check(ring)
    }

    #[inline]
    pub(super) fn commit(
        &mut self,
        ring: &mut Ring,
        path: &DataPath,
        tag: u16,
        result: i32,
    ) -> io::Result<()> {
        let code = sys::UBLK_U_IO_COMMIT_AND_FETCH_REQ;
        self.send(ring, path, code, tag, result)
    }

    #[inline]
    fn send(
        &self,
        ring: &mut Ring,
        path: &DataPath,
        code: u32,
        tag: u16,
        result: i32,
    ) -> io::Result<()> {
        let entry = command::transfer_tag(code, self.queue, tag, result, path.provision(tag))
            .user_data(Token::Command(tag).pack());
        // SAFETY: the entry names a registered file, and memory of the data path, which outlives the ring.
        unsafe { ring.push(&entry) }
    }

    #[inline]
    pub(super) fn hear(&mut self, event: Event) -> Heard {
        let Token::Command(tag) = event.token else {
            return Heard::Nothing;
        };
        match event.result {
            // UBLK_IO_RES_OK
            0 => Heard::Request(tag),
            ABORTED => {
                self.open_tags = self.open_tags.saturating_sub(1);
                Heard::Nothing
            }
            refused => Heard::Refused(Some(tag), refused),
        }
    }

    #[inline]
    pub(super) fn is_open(&self) -> bool {
        self.open_tags > 0
    }
}
