//! Resolves what reaches the medium into bytes of one request.

use crate::action::{Effect, Persist, Torn, Unit};
use crate::extent::{Collector, Extent};
use crate::facts::DeviceFacts;
use crate::op::Direction;
use crate::range::SectorRange;
use crate::request::Request;
use crate::sector::SECTOR_BYTES;

/// A request that is to be cut, and the draw for parts that are chosen at random.
pub(super) struct Cut<'a, D> {
    pub(super) request: &'a Request,
    pub(super) facts: &'a DeviceFacts,
    pub(super) draw: D,
}

impl<D: Fn() -> u64> Cut<'_, D> {
    pub(super) fn effect(&self, effect: Effect) -> Extent {
        match effect {
            Effect::None => Extent::NONE,
            Effect::Full => Extent::FULL,
            Effect::Prefix(sectors) => {
                let bytes = sectors.bytes().min(self.request.bytes());
                let mut collector = Collector::new(self.request.bytes());
                collector.add(0, self.rounded(bytes, Unit::Sector));
                collector.end()
            }
            Effect::Torn {
                parts,
                persist,
                unit,
            } => self.parts(u64::from(parts), persist, unit),
        }
    }

    pub(super) fn torn(&self, torn: &Torn) -> Extent {
        let Some(lengths) = &torn.bytes else {
            let parts = torn.parts.map_or(1, u64::from);
            return self.parts(parts, torn.persist, torn.unit);
        };
        let mut end = 0_u64;
        let ends = lengths.iter().map(|length| {
            end = end.saturating_add(u64::from(*length));
            end
        });
        self.collect(ends, lengths.len() as u64 + 1, torn.persist, torn.unit)
    }

    fn parts(&self, parts: u64, persist: Persist, unit: Unit) -> Extent {
        let bytes = self.request.bytes();
        let end = |part: u64| u128::from(bytes) * u128::from(part) / u128::from(parts.max(1));
        let ends = (1..parts).map(|part| u64::try_from(end(part)).unwrap_or(bytes));
        self.collect(ends, parts, persist, unit)
    }

    /// The parts that persist, of those with these ends and a last one up to the end of the request.
    fn collect(
        &self,
        ends: impl Iterator<Item = u64>,
        parts: u64,
        persist: Persist,
        unit: Unit,
    ) -> Extent {
        let bytes = self.request.bytes();
        let kept = match persist {
            Persist::Parts(parts) => u64::from(parts),
            Persist::Random => (self.draw)(),
        };
        let mut collector = Collector::new(bytes);
        let mut from = 0;
        let ends = ends.map(|end| self.rounded(end.min(bytes), unit));
        for (part, to) in ends.chain([bytes]).enumerate() {
            if (part as u64) < parts && kept >> part & 1 == 1 {
                collector.add(from, to);
            }
            from = to;
        }
        collector.end()
    }

    /// The last place up to `bytes` where a cut may lie. What has no data is cut between logical blocks.
    fn rounded(&self, bytes: u64, unit: Unit) -> u64 {
        let unit = match self.request.op.direction() {
            Direction::None => Unit::Block,
            Direction::Destination | Direction::Source => unit,
        };
        let unit_bytes = unit.bytes(self.facts.logical_block_bytes);
        match bytes == self.request.bytes() {
            true => bytes,
            false => bytes - bytes % unit_bytes,
        }
    }

    /// How many sectors a request is cut short to: whole logical blocks, at least one, and not all.
    pub(super) fn short(&self, sectors: Option<u64>, frac: Option<f64>) -> u32 {
        let all = u64::from(self.request.sectors);
        let block = u64::from(self.facts.logical_block_bytes.max(512)) / SECTOR_BYTES;
        let wanted = match (sectors, frac) {
            (Some(sectors), _) => sectors,
            (None, frac) => share(all, frac.unwrap_or(0.5)),
        };
        let most = all.saturating_sub(block);
        let cut = (wanted - wanted % block).clamp(block.min(most), most);
        u32::try_from(cut).unwrap_or(u32::MAX)
    }
}

/// The whole part of a share of `all`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share between 0 and 1 of 32 bits"
)]
fn share(all: u64, frac: f64) -> u64 {
    (all as f64 * frac.clamp(0.0, 1.0)) as u64
}

/// The sectors of the request that are not in these ranges, which are sorted and do not overlap.
pub(super) fn without(request: &Request, named: &[SectorRange]) -> Extent {
    let mut collector = Collector::new(request.bytes());
    let offset = |sector: u64| (sector - request.sector.0).saturating_mul(SECTOR_BYTES);
    let first = named.partition_point(|range| range.end() <= request.sector);
    let mut from = request.sector.0;
    for range in named.iter().skip(first) {
        if range.start() >= request.end() {
            break;
        }
        let start = range.start().max(request.sector).0;
        collector.add(offset(from), offset(start));
        from = range.end().min(request.end()).0;
    }
    collector.add(offset(from), request.bytes());
    collector.end()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Op, Sector};

    fn cut_of(request: &Request, block: u32, check: impl Fn(&Cut<'_, fn() -> u64>)) {
        let facts = DeviceFacts {
            logical_block_bytes: block,
            ..DeviceFacts::of_size(1 << 20)
        };
        let draw: fn() -> u64 = || 0b0110;
        check(&Cut {
            request,
            facts: &facts,
            draw,
        });
    }

    fn ranges(extent: Extent) -> Vec<(u32, u32)> {
        extent
            .ranges()
            .map(|range| (range.start, range.end))
            .collect()
    }

    #[test]
    fn effects_are_resolved() {
        let write = Request::new(Op::Write, Sector(8), 8);
        cut_of(&write, 512, |cut| {
            let effect = |text: &str| cut.effect(text.parse().unwrap());
            assert!(effect("none").is_none() && effect("full").is_full());
            assert_eq!(ranges(effect("prefix:3")), [(0, 1536)]);
            assert!(effect("prefix:8").is_full() && effect("prefix:1G").is_full());
            assert_eq!(ranges(effect("torn:4/1+3")), [(0, 1024), (2048, 3072)]);
            assert_eq!(ranges(effect("torn:4/random")), [(1024, 3072)]);
            assert_eq!(ranges(effect("torn:3/2")), [(1024, 2560)]);
            assert_eq!(ranges(effect("torn:3/2/byte")), [(1365, 2730)]);
            assert!(effect("torn:4/none").is_none() && effect("torn:2/1+2").is_full());
        });
        let discard = Request::new(Op::Discard, Sector(8), 16);
        cut_of(&discard, 4096, |cut| {
            assert_eq!(ranges(cut.effect("prefix:9".parse().unwrap())), [(0, 4096)]);
        });
        let flush = Request::new(Op::Flush, Sector(0), 0);
        cut_of(&flush, 512, |cut| {
            assert!(cut.effect("full".parse().unwrap()).is_full());
        });
    }

    #[test]
    fn a_write_is_torn_where_it_is_said() {
        let torn = |text: &str| match crate::Rule::parse("r", text).unwrap().action {
            crate::Action::Torn(torn) => torn,
            other => panic!("{other}"),
        };
        let write = Request::new(Op::Write, Sector(8), 8);
        cut_of(&write, 512, |cut| {
            let kept = |text: &str| ranges(cut.torn(&torn(text)));
            assert_eq!(kept("torn(bytes=512+1024,persist=2)"), [(512, 1536)]);
            assert_eq!(kept("torn(bytes=512+1024,persist=3)"), [(1536, 4096)]);
            assert_eq!(
                kept("torn(bytes=100+100,persist=2,unit=byte)"),
                [(100, 200)]
            );
            assert_eq!(kept("torn(bytes=100+100,persist=2)"), []);
            assert_eq!(kept("torn(bytes=1M,persist=2)"), []);
        });
    }

    #[test]
    fn a_short_request_is_neither_empty_nor_whole() {
        for (sectors, block, wanted, frac, short) in [
            (8, 512, Some(3), None, 3),
            (8, 512, Some(100), None, 7),
            (8, 512, None, Some(0.5), 4),
            (8, 512, None, Some(0.01), 1),
            (8, 512, None, Some(0.999), 7),
            (16, 4096, Some(3), None, 8),
            (24, 4096, Some(17), None, 16),
        ] {
            cut_of(&Request::new(Op::Read, Sector(0), sectors), block, |cut| {
                assert_eq!(cut.short(wanted, frac), short);
            });
        }
    }

    #[test]
    fn single_sectors_are_left_out() {
        let range = |start, end| SectorRange::new(Sector(start), Sector(end)).unwrap();
        let request = Request::new(Op::Write, Sector(8), 8);
        let rest = |named: &[SectorRange]| ranges(without(&request, named));
        assert_eq!(
            rest(&[range(0, 9), range(12, 13)]),
            [(512, 2048), (2560, 4096)]
        );
        assert_eq!(rest(&[range(0, 100)]), []);
        assert_eq!(rest(&[range(15, 100)]), [(0, 3584)]);
        assert!(without(&request, &[range(16, 17)]).is_full());
    }
}
