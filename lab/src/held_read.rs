//! A direct read that the daemon holds.

use std::time::{Duration, Instant};

use api::fault::SECTOR_BYTES;
use api::{Hold, ReleaseRequest, Which, call};

use crate::error::io_error;
use crate::subject::{AddedRule, Subject};
use crate::sys::{InFlight, PAGE_BYTES, Page};
use crate::{LabError, Result, direct};

/// Sectors of one read.
pub(crate) const SECTORS: u64 = PAGE_BYTES as u64 / SECTOR_BYTES;

/// How long the daemon may take to list a hold, and a released read to come back. Under emulation
/// both take milliseconds; the limit is for a machine that hangs.
const LIMIT: Duration = Duration::from_secs(10);
/// Between two questions to the daemon.
const POLL: Duration = Duration::from_millis(5);

/// A read of one page that is in flight and known to be held.
#[derive(Debug)]
pub(crate) struct HeldRead<'a> {
    // Dropped in this order: removing the rule releases the read, whose end the next field awaits.
    rule: AddedRule<'a>,
    read: InFlight,
    hold_id: u64,
    sector: u64,
    subject: Subject<'a>,
}

impl<'a> HeldRead<'a> {
    /// Reads the page's length from `sector` and returns when the daemon lists the read as held.
    pub(crate) fn begin(
        subject: Subject<'a>,
        experiment: &str,
        sector: u64,
        page: Page,
    ) -> Result<Self> {
        let file = direct::open(subject.device)?;
        let words = format!("hold:max=30s where op=read,lba={sector}+{SECTORS} when count=1");
        let rule = subject.add_rule(experiment, &words)?;
        let offset = offset_bytes(sector)?;
        let read = InFlight::begin(file, offset, page).map_err(io_error("start a thread"))?;
        // From here on an early return drops `held`, which removes the rule before it awaits the read.
        let mut held = Self {
            rule,
            read,
            hold_id: 0,
            sector,
            subject,
        };
        held.hold_id = held.wait_until_listed()?;
        Ok(held)
    }

    fn wait_until_listed(&mut self) -> Result<u64> {
        let (client, device) = (self.subject.client, self.subject.device.id);
        let rule = self.rule.name();
        wait_until_listed(self.sector, rule, &mut self.read, || {
            Ok(client.send(call::holds(device))?.holds)
        })
    }

    /// Unmaps the page of the read.
    pub(crate) fn unmap(&mut self) -> Result<()> {
        self.read.unmap().map_err(io_error("unmap the page"))
    }

    /// Releases the read and waits until it is back. The page stays mapped.
    ///
    /// Succeeds only if the read was held until now.
    pub(crate) fn release(&mut self) -> Result<()> {
        let request = ReleaseRequest::of(Which::HoldId(self.hold_id));
        let call = call::release(self.subject.device.id, &request);
        let released = self.subject.client.send(call)?.released;
        if !released.contains(&self.hold_id) {
            return Err(LabError::HoldEnded {
                sector: self.sector,
            });
        }
        match self.read.wait(LIMIT) {
            Some(Ok(PAGE_BYTES)) => Ok(()),
            Some(outcome) => Err(LabError::Io {
                action: "read from the device after the release",
                source: std::io::Error::other(in_words(outcome)),
            }),
            None => Err(LabError::NotReturned {
                sector: self.sector,
                limit: LIMIT,
            }),
        }
    }
}

/// Asks `holds` until it lists one of `rule`. The wait between is for the read to come back, which
/// it must not.
fn wait_until_listed(
    sector: u64,
    rule: &str,
    read: &mut InFlight,
    mut holds: impl FnMut() -> Result<Vec<Hold>>,
) -> Result<u64> {
    let start = Instant::now();
    loop {
        if let Some(hold) = holds()?.iter().find(|hold| hold.rule == rule) {
            return Ok(hold.hold_id);
        }
        if let Some(outcome) = read.wait(POLL) {
            return Err(LabError::NotHeld {
                sector,
                outcome: in_words(outcome),
            });
        }
        if start.elapsed() > LIMIT {
            return Err(LabError::NotListed {
                sector,
                limit: LIMIT,
            });
        }
    }
}

/// A sector's place in the device, as pread takes it.
pub(crate) fn offset_bytes(sector: u64) -> Result<i64> {
    sector
        .checked_mul(SECTOR_BYTES)
        .and_then(|bytes| i64::try_from(bytes).ok())
        .ok_or_else(|| LabError::Io {
            action: "compute the offset of a sector",
            source: std::io::ErrorKind::InvalidInput.into(),
        })
}

fn in_words(outcome: &std::io::Result<usize>) -> String {
    match outcome {
        Ok(count) => format!("{count} bytes"),
        Err(error) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::fault::{Direction, Op, Sector};
    use std::fs::File;
    use std::io::Write;

    fn hold(rule: &str, hold_id: u64) -> Hold {
        Hold {
            hold_id,
            device: 0,
            rule: rule.to_owned(),
            op: Op::Read,
            direction: Direction::Destination,
            sector: Sector(8),
            sectors: 8,
            queue: 0,
            tag: 0,
            held_ns: 0,
            max_ns: 1,
        }
    }

    fn short_read() -> InFlight {
        let mut file: File = tempfile::tempfile().unwrap();
        file.write_all(b"abc").unwrap();
        InFlight::begin(file, 0, Page::filled_with(0).unwrap()).unwrap()
    }

    #[test]
    fn the_hold_of_this_rule_is_found_among_others() {
        let mut asked = 0;
        let mut read = short_read();
        let id = wait_until_listed(8, "mine", &mut read, || {
            asked += 1;
            Ok(vec![hold("other", 1), hold("mine", 2)])
        });
        assert_eq!((id.unwrap(), asked), (2, 1));
    }

    #[test]
    fn a_read_that_comes_back_was_not_held() {
        let mut read = short_read();
        let error = wait_until_listed(8, "mine", &mut read, || Ok(Vec::new())).unwrap_err();
        assert_eq!(
            error.to_string(),
            "hold a read of sector 8: it came back at once (3 bytes)"
        );
    }

    #[test]
    fn sectors_beyond_any_device_are_refused() {
        assert_eq!(offset_bytes(8).unwrap(), 4096);
        for sector in [u64::MAX, u64::MAX / 512, 1 << 55] {
            assert!(offset_bytes(sector).is_err(), "{sector}");
        }
    }
}
