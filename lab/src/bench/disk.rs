//! A device of an experiment, and the requests that are held on it.

use std::cell::Cell;
use std::fs::File;

use api::fault::Status;
use api::{
    BlockingClient, BufferConfig, Content, Device, Hex, Hold, PokeRequest, ReleaseRequest, Which,
    call,
};

use crate::error::io_error;
use crate::subject::AddedRule;
use crate::{LabError, Result};

/// A device, gone with everything it holds when dropped.
#[derive(Debug)]
pub(crate) struct Disk<'a> {
    client: &'a BlockingClient,
    device: Device,
}

impl<'a> Disk<'a> {
    pub(crate) fn new(client: &'a BlockingClient, device: Device) -> Self {
        Self { client, device }
    }

    /// The block device.
    pub(crate) fn path(&self) -> &str {
        &self.device.path
    }

    /// Its name below `/sys/block`.
    pub(crate) fn name(&self) -> &str {
        self.device.path.trim_start_matches("/dev/")
    }

    /// Sets an attribute of its queue.
    pub(crate) fn set(&self, attribute: &str, value: &str) -> Result<()> {
        let path = format!("/sys/block/{}/queue/{attribute}", self.name());
        std::fs::write(path, value).map_err(io_error("set an attribute of the queue"))
    }

    /// Registers a file of memory with it, for data path `shared-memory`.
    pub(crate) fn share(&self, memory: File) -> Result<()> {
        let call = call::add_buffer(self.device.id, &BufferConfig::default());
        self.client.send(call.with_file(memory))?;
        Ok(())
    }

    /// How many transfers lay in shared memory, and how many were copied.
    pub(crate) fn shared_and_copied(&self) -> Result<(u64, u64)> {
        let stats = self.client.send(call::stats(self.device.id))?;
        let shared = stats.shared_memory;
        Ok(shared.map_or((0, 0), |stats| (stats.shared, stats.copied)))
    }

    /// Holds one request of `op` to sectors from this one on. When it returns, every queue decides by it.
    pub(crate) fn arm(&self, op: &str, sector: u64, sectors: u64) -> Result<Armed<'a>> {
        self.rule(&format!(
            "hold:max=60s where op={op},lba={sector}+{sectors} when count=1"
        ))
    }

    /// Adds a rule in words.
    pub(crate) fn rule(&self, words: &str) -> Result<Armed<'a>> {
        Ok(Armed {
            rule: AddedRule::add(self.client, self.device.id, "x", words)?,
            client: self.client,
            device: self.device.id,
            last: Cell::new(0),
        })
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        // A removal waits for every request, so that none may be held. A daemon that is gone has no devices.
        let _ = self.client.send(call::heal(Some(self.device.id)));
        let _ = self.client.send(call::delete_device(self.device.id));
    }
}

/// A rule that holds, removed when dropped; the daemon then releases what it holds.
#[derive(Debug)]
pub(crate) struct Armed<'d> {
    rule: AddedRule<'d>,
    client: &'d BlockingClient,
    device: u32,
    /// The last hold that was told.
    last: Cell<u64>,
}

impl<'d> Armed<'d> {
    /// The rule in words.
    pub(crate) fn words(&self) -> String {
        self.rule.words()
    }

    /// What it holds and has not told yet, the oldest first.
    pub(crate) fn next(&self) -> Result<Option<Held<'d>>> {
        let holds = self.client.send(call::holds(self.device))?.holds;
        let found = holds
            .into_iter()
            .filter(|hold| hold.rule == self.rule.name() && hold.hold_id > self.last.get())
            .min_by_key(|hold| hold.hold_id);
        Ok(found.map(|hold| {
            self.last.set(hold.hold_id);
            Held {
                client: self.client,
                hold,
            }
        }))
    }
}

/// A request that is held.
#[derive(Debug)]
pub(crate) struct Held<'d> {
    client: &'d BlockingClient,
    /// What the daemon says of it.
    pub(crate) hold: Hold,
}

impl Held<'_> {
    /// Lets it go on. Succeeds only if it was held until now.
    pub(crate) fn release(self) -> Result<()> {
        let request = ReleaseRequest::of(Which::HoldId(self.hold.hold_id));
        self.end(&request)
    }

    /// Fails it.
    pub(crate) fn fail(self, status: Status) -> Result<()> {
        let request = ReleaseRequest::of(Which::HoldId(self.hold.hold_id));
        self.end(&request.failing(Some(status)))
    }

    /// Answers that only so many bytes were done; the kernel asks for the rest again.
    pub(crate) fn shorten(self, bytes: u32) -> Result<()> {
        let mut request = ReleaseRequest::of(Which::HoldId(self.hold.hold_id));
        request.bytes = Some(bytes);
        self.end(&request)
    }

    fn end(self, request: &ReleaseRequest) -> Result<()> {
        let call = call::release(self.hold.device, request);
        if self
            .client
            .send(call)?
            .released
            .contains(&self.hold.hold_id)
        {
            return Ok(());
        }
        Err(LabError::HoldEnded {
            sector: self.hold.sector.0,
        })
    }

    /// Stores into the pages of a destination request, as the transfer of a device does.
    pub(crate) fn poke(&self, offset_bytes: u32, byte: u8, length_bytes: u32) -> Result<()> {
        let request = PokeRequest {
            offset_bytes,
            content: Content::Fill {
                byte,
                length_bytes: Some(length_bytes),
            },
        };
        let call = call::poke(self.hold.device, self.hold.hold_id, &request);
        self.client.send(call).map(drop).map_err(Into::into)
    }

    /// The data of a source request as its pages are at this moment.
    pub(crate) fn peek(&self, offset_bytes: u32, length_bytes: u32) -> Result<Vec<u8>> {
        let hold = self.hold.hold_id;
        let call = call::peek(self.hold.device, hold, offset_bytes, length_bytes);
        let Hex(data) = self.client.send(call)?.data;
        Ok(data)
    }

    /// One byte of a source request.
    pub(crate) fn byte(&self, offset_bytes: u32) -> Result<u8> {
        Ok(self.peek(offset_bytes, 1)?.first().copied().unwrap_or(0))
    }
}
