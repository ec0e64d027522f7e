//! Where a misdirected request goes.

use crate::action::Place;
use crate::draw::scaled;
use crate::facts::DeviceFacts;
use crate::request::Request;
use crate::sector::{SECTOR_BYTES, Sector};

/// The first sector of where the request goes: on a logical block, and so that all of it is on the device.
pub(super) fn place(
    to: Place,
    request: &Request,
    facts: &DeviceFacts,
    draw: impl Fn() -> u64,
) -> Sector {
    let block = u64::from(facts.logical_block_bytes.max(512)) / SECTOR_BYTES;
    let sectors = u64::from(request.sectors);
    // One more than the last place where it fits, in blocks.
    let places = |from: u64, to: u64| (to.saturating_sub(from).saturating_sub(sectors)) / block + 1;
    let device = facts.sectors.max(1);
    let here = request.sector.0;
    let wanted = match to {
        Place::At(sector) => sector.0,
        Place::After(distance) => here.saturating_add(distance % device) % device,
        Place::Before(distance) => here.saturating_add(device - distance % device) % device,
        Place::Random(range) => {
            let (from, to) = range.map_or((0, device), |range| (range.start().0, range.end().0));
            let from = from.next_multiple_of(block);
            from.saturating_add(scaled(draw(), places(from, to.min(device))) * block)
        }
    };
    let last = device.saturating_sub(sectors);
    let placed = wanted.min(last);
    Sector(placed - placed % block)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Op;

    fn at(to: &str, sector: u64, block: u32, draw: u64) -> u64 {
        let facts = DeviceFacts {
            logical_block_bytes: block,
            ..DeviceFacts::of_size(1024)
        };
        let request = Request::new(Op::Write, Sector(sector), 8);
        place(to.parse().unwrap(), &request, &facts, || draw).0
    }

    #[test]
    fn places_are_on_the_device_and_on_a_block() {
        assert_eq!(at("+8", 16, 512, 0), 24);
        assert_eq!(at("-8", 16, 512, 0), 8);
        assert_eq!(at("-24", 16, 512, 0), 1016);
        assert_eq!(at("+8", 1016, 512, 0), 0);
        assert_eq!(at("+1020", 0, 512, 0), 1016);
        assert_eq!(at("100", 16, 512, 0), 100);
        assert_eq!(at("100", 16, 4096, 0), 96);
        assert_eq!(at("1023", 16, 512, 0), 1016);
        assert_eq!(at("random:96+32", 16, 4096, 0), 96);
        assert_eq!(at("random:96+32", 16, 4096, u64::MAX), 120);
        assert_eq!(at("random", 16, 512, u64::MAX), 1016);
        assert_eq!(at("random:0+4", 16, 512, u64::MAX), 0);
    }
}
