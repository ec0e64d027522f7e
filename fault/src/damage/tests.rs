use proptest::prelude::*;

use super::*;
use crate::{DeviceFacts, Op, Rule, Sector};

fn set(words: &str) -> RuleSet {
    let facts = DeviceFacts {
        integrity: true,
        ..DeviceFacts::of_size(1 << 20)
    };
    let rule = Rule::parse("c", words).unwrap();
    RuleSet::compile(1, 7, vec![rule], None, &facts).unwrap()
}

fn read(sector: u64, sectors: u32) -> Request {
    Request::new(Op::Read, Sector(sector), sectors)
}

/// The damage to so many sectors of one value.
fn damage(words: &str, request: &Request, draw: u64, value: u8) -> (Vec<u8>, Vec<Range<u32>>) {
    let mut bytes = vec![value; request.sectors as usize * 512];
    let set = set(words);
    let direction = request.op.direction();
    let ranges = set.corrupt(RuleIndex(0), draw, direction, request, &mut bytes);
    (bytes, ranges)
}

fn ones(bytes: &[u8]) -> u32 {
    bytes.iter().map(|byte| byte.count_ones()).sum()
}

/// The ranges as pairs.
fn pairs(ranges: &[Range<u32>]) -> Vec<(u32, u32)> {
    ranges
        .iter()
        .map(|range| (range.start, range.end))
        .collect()
}

#[test]
fn so_many_bits_are_turned() {
    for places in [1, 3, 100, 4096] {
        let words = format!("corrupt(bits={places})");
        let (bytes, ranges) = damage(&words, &read(8, 8), 5, 0);
        assert_eq!(ones(&bytes), places);
        let told: u32 = ranges.iter().map(|range| range.end - range.start).sum();
        assert_eq!(
            told as usize,
            bytes.iter().filter(|byte| **byte != 0).count()
        );
    }
    // More than there are is all.
    assert_eq!(
        ones(&damage("corrupt(bits=4096,burst=2)", &read(8, 1), 5, 0).0),
        4096
    );
}

#[test]
fn each_kind_does_what_it_says() {
    let request = read(8, 2);
    let one = |words: &str, value: u8| {
        let (bytes, ranges) = damage(words, &request, 1, value);
        let at = ranges.first().map(|range| range.start as usize);
        (ranges.len(), at.map(|at| bytes[at]))
    };
    assert_eq!(one("corrupt(zero)", 0xaa), (1, Some(0)));
    assert_eq!(one("corrupt(zero)", 0), (0, None));
    assert_eq!(one("corrupt(set:5a)", 0xaa), (1, Some(0x5a)));
    assert_eq!(one("corrupt(xor:80)", 0x01), (1, Some(0x81)));
    assert_eq!(one("corrupt(random)", 0).0, 1);
    let (bytes, ranges) = damage("corrupt(zero,burst=100)", &request, 1, 0xff);
    assert_eq!(
        (
            ranges.len(),
            bytes.iter().filter(|byte| **byte == 0).count()
        ),
        (1, 100)
    );
    assert_eq!(ones(&damage("corrupt(flip,ber=1)", &request, 1, 0).0), 8192);
}

#[test]
fn a_fixed_place_is_counted_from_the_rule_s_sectors() {
    let words = "corrupt(zero,at=512+2) where lba=8+8";
    assert_eq!(pairs(&damage(words, &read(8, 8), 1, 1).1), [(512, 514)]);
    assert_eq!(pairs(&damage(words, &read(0, 16), 1, 1).1), [(4608, 4610)]);
    assert_eq!(damage(words, &read(10, 2), 1, 1).1, []);
    // Across two requests it stays where it is.
    let words = "corrupt(zero,at=1000+100) where lba=8+8";
    assert_eq!(pairs(&damage(words, &read(8, 2), 1, 1).1), [(1000, 1024)]);
    assert_eq!(pairs(&damage(words, &read(10, 2), 1, 1).1), [(0, 76)]);
}

#[test]
fn only_selected_sectors_are_damaged() {
    let words = "corrupt(random,ber=50%) where lba=9|12+2";
    let (_, ranges) = damage(words, &read(8, 8), 3, 0);
    let inside = |range: &Range<u32>| {
        (512..1024).contains(&range.start) && range.end <= 1024
            || (2048..3072).contains(&range.start) && range.end <= 3072
    };
    assert!(ranges.len() > 100 && ranges.iter().all(inside));
}

#[test]
fn pieces_change_places() {
    let set = set("corrupt(swap:512,at=0)");
    let mut bytes: Vec<u8> = (0..4).flat_map(|sector| vec![sector; 512]).collect();
    set.corrupt(
        RuleIndex(0),
        0,
        Direction::Destination,
        &read(0, 4),
        &mut bytes,
    );
    let sectors: Vec<u8> = bytes.chunks(512).map(|sector| sector[0]).collect();
    assert_eq!(sectors, [1, 0, 2, 3]);
    let all = self::set("corrupt(swap:512,ber=1)");
    all.corrupt(
        RuleIndex(0),
        0,
        Direction::Destination,
        &read(0, 4),
        &mut bytes,
    );
    let sectors: Vec<u8> = bytes.chunks(512).map(|sector| sector[0]).collect();
    assert_eq!(sectors, [0, 1, 3, 2]);
}

#[test]
fn the_rate_of_errors_is_kept() {
    let mut turned = 0;
    for draw in 0..200 {
        turned += ones(&damage("corrupt(ber=1e-4)", &read(0, 64), draw, 0).0);
    }
    // 200 x 262,144 bits: 5,243 expected, a standard deviation of 72.
    assert!((4900..5600).contains(&turned), "{turned}");
}

#[test]
fn one_direction_is_left_alone() {
    let write = Request::new(Op::Write, Sector(8), 8);
    assert!(damage("corrupt(on=destination)", &write, 0, 0).1.is_empty());
    assert!(!damage("corrupt(on=source)", &write, 0, 0).1.is_empty());
    assert!(!damage("corrupt", &write, 0, 0).1.is_empty());
}

#[test]
fn tuples_get_a_wrong_tag() {
    for (tag, within) in [("guard", 0..2), ("app", 2..4), ("ref", 4..8)] {
        let set = set(&format!("pi({tag})"));
        let mut tuples = vec![0xff; 8 * 8];
        let changed = set.corrupt_tuples(RuleIndex(0), 3, &read(8, 8), 2, &mut tuples);
        let range = changed.first().unwrap();
        assert_eq!(
            (range.start % 8..range.start % 8 + (range.end - range.start)),
            within
        );
        assert!(
            tuples[range.start as usize..range.end as usize]
                .iter()
                .all(|byte| *byte != 0xff)
        );
        assert_eq!(
            tuples.iter().filter(|byte| **byte != 0xff).count(),
            range.len()
        );
    }
    let named = set("pi(guard) where lba=9+2");
    let mut tuples = vec![0; 16 * 8];
    let changed = named.corrupt_tuples(RuleIndex(0), 3, &read(8, 8), 8, &mut tuples);
    assert_eq!(changed, [16..24, 32..40]);
}

proptest! {
    /// A stuck bit belongs to its sector: it is the same in whatever request it comes, at every time.
    #[test]
    fn stuck_bits_stay_where_they_are(
        start in 0_u64..64,
        sectors in 1_u32..32,
        draws in (any::<u64>(), any::<u64>()),
        kind in prop_oneof![Just("stuck1,bits=3"), Just("stuck1,ber=1e-3,burst=5"), Just("stuck1")],
    ) {
        let words = format!("corrupt({kind}) where lba=10+40");
        let whole = damage(&words, &read(0, 128), draws.0, 0).0;
        let part = damage(&words, &read(start, sectors), draws.1, 0).0;
        let from = usize::try_from(start).unwrap() * 512;
        prop_assert_eq!(&part[..], &whole[from..from + part.len()]);
    }

    #[test]
    fn damage_is_the_same_again_and_tells_what_it_did(
        draw: u64,
        value: u8,
        start in 0_u64..64,
        sectors in 1_u32..32,
        kind in proptest::sample::select(vec![
            "flip,bits=9", "zero,bits=9,burst=7", "random,ber=1%", "set:00,ber=2%,burst=3",
            "xor:0f,at=4096+700", "swap:512,bits=2", "stuck0,bits=2", "flip,ber=1e-9",
        ]),
        lba in prop_oneof![Just(""), Just(" where lba=8+30|50+3")],
    ) {
        let words = format!("corrupt({kind}){lba}");
        let request = read(start, sectors);
        let (bytes, ranges) = damage(&words, &request, draw, value);
        prop_assert_eq!(&(bytes.clone(), ranges.clone()), &damage(&words, &request, draw, value));
        let told = |at: u32| ranges.iter().any(|range| range.contains(&at));
        for (at, byte) in (0_u32..).zip(&bytes) {
            prop_assert_eq!(*byte != value, told(at), "{}", at);
        }
    }
}
