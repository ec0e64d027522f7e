//! Selectors of every shape.

use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use crate::{
    Comparison, CountTest, DataTest, Epochs, FlagTest, Flags, Label, Op, OpSet, Overlap, Ranges,
    Sector, SectorRange, Sectors, Selector, SizeTest,
};

pub(super) fn any_label() -> impl Strategy<Value = Label> {
    "[a-z][a-z0-9._-]{0,9}".prop_map(|text| text.parse().unwrap())
}

pub(super) fn any_range() -> impl Strategy<Value = SectorRange> {
    (0..u64::MAX / 2, 1..u64::MAX / 2).prop_filter_map("empty", |(start, sectors)| {
        SectorRange::new(Sector(start), Sector(start + sectors))
    })
}

fn any_ranges() -> impl Strategy<Value = Ranges> {
    proptest::collection::vec(any_range(), 1..4).prop_filter_map("empty", Ranges::new)
}

fn any_ops() -> impl Strategy<Value = OpSet> {
    subsequence(Op::ALL.to_vec(), 1..=Op::ALL.len()).prop_map(|ops| {
        let (first, rest) = ops.split_first().unwrap();
        rest.iter()
            .fold(OpSet::only(*first), |set, op| set.union(OpSet::only(*op)))
    })
}

fn any_comparison() -> impl Strategy<Value = Comparison> {
    select(vec![
        Comparison::Equal,
        Comparison::NotEqual,
        Comparison::Less,
        Comparison::AtMost,
        Comparison::More,
        Comparison::AtLeast,
    ])
}

fn any_data() -> impl Strategy<Value = DataTest> {
    let bytes = || proptest::collection::vec(any::<u8>(), 1..8).prop_map(Vec::into_boxed_slice);
    prop_oneof![
        Just(DataTest::Zero),
        any::<u32>().prop_map(DataTest::Crc32c),
        bytes().prop_map(DataTest::Contains),
        (bytes(), any::<u64>()).prop_map(|(bytes, at)| DataTest::Hex { bytes, at }),
    ]
}

fn any_flags() -> impl Strategy<Value = FlagTest> {
    (0_u8..64, 0_u8..64).prop_filter_map("contradictory", |(set, clear)| {
        FlagTest::new(
            Flags::from_bits_truncate(set),
            Flags::from_bits_truncate(clear & !set),
        )
    })
}

fn any_epochs() -> impl Strategy<Value = Epochs> {
    (any::<u64>(), of(any::<u64>())).prop_filter_map("empty", |(from, to)| Epochs::new(from, to))
}

pub(super) fn any_selector() -> impl Strategy<Value = Selector> {
    let size = (any_comparison(), any::<u64>()).prop_map(|(how, sectors)| SizeTest {
        how,
        sectors: Sectors(sectors),
    });
    let inflight =
        (any_comparison(), any::<u64>()).prop_map(|(how, count)| CountTest { how, count });
    let places = (
        any_ops(),
        of(any_ranges()),
        select(Overlap::ALL.to_vec()),
        of(any_flags()),
    );
    let tags = (of(any::<u16>()), of(any::<u16>()));
    let rest = (
        of(size),
        of(1_u64..),
        of(any_data()),
        of(inflight),
        of(any_epochs()),
    );
    (places, tags, rest).prop_map(
        |((op, lba, overlap, flags), (queue, tag), (size, align, data, inflight, epoch))| {
            Selector {
                op,
                lba,
                overlap,
                flags,
                size,
                align: align.map(Sectors),
                queue,
                tag,
                data,
                inflight,
                epoch,
            }
        },
    )
}
