//! Random draws that can be repeated: each is addressed, none depends on those before it.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Names the generator in the key, so that another one in a later version draws differently on purpose.
const DOMAIN: [u8; 16] = *b"bvecd-fault-v1\0\0";

/// 32-bit words that one draw takes from the stream.
const WORDS_PER_DRAW: u128 = 2;

/// 32-bit words that a key takes from the stream.
const WORDS_PER_KEY: u128 = 8;

/// What a draw is for. Each has a stream of its own, so that one does not repeat another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Whether the rule fires.
    Prob = 0,
    /// One number that its action needs: a time, a place, an order.
    Action = 1,
    /// Many numbers that its action needs: the places of damage.
    Places = 2,
    /// Many more: what stands there afterwards.
    Content = 3,
}

/// The draws of one rule. Draw `n` of a stream is a function of the seed, the rule's name, the stream and
/// `n` alone: ChaCha8 with the key `seed (LE) | FNV-1a of the name (LE) | domain`, at word `2 n` of the
/// stream. Where an action needs many numbers, the eight words at `8 n` are the key of a generator of its
/// own.
#[derive(Debug, Clone)]
pub(crate) struct Draw {
    key: [u8; 32],
}

impl Draw {
    pub(crate) fn new(seed: u64, name: &str) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&fnv1a(name.as_bytes()).to_le_bytes());
        key[16..].copy_from_slice(&DOMAIN);
        Self { key }
    }

    fn at(&self, stream: Stream, word: u128) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::from_seed(self.key);
        rng.set_stream(stream as u64);
        rng.set_word_pos(word);
        rng
    }

    /// Draw `n` of 64 bits.
    pub(crate) fn bits(&self, stream: Stream, n: u64) -> u64 {
        self.at(stream, u128::from(n) * WORDS_PER_DRAW).next_u64()
    }

    /// Draw `n`, uniform in 0 up to, not including, 1.
    pub(crate) fn unit(&self, stream: Stream, n: u64) -> f64 {
        unit(self.bits(stream, n))
    }

    /// The generator at address `n`, for as many numbers as are needed.
    pub(crate) fn many(&self, stream: Stream, n: u64) -> Numbers {
        let mut key = [0; 32];
        self.at(stream, u128::from(n) * WORDS_PER_KEY)
            .fill_bytes(&mut key);
        Numbers(ChaCha8Rng::from_seed(key))
    }
}

/// As many numbers as are needed, from one address.
#[derive(Debug)]
pub(crate) struct Numbers(ChaCha8Rng);

impl Numbers {
    /// Those of one number that is drawn already.
    pub(crate) fn of(draw: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&draw.to_le_bytes());
        key[16..].copy_from_slice(&DOMAIN);
        Self(ChaCha8Rng::from_seed(key))
    }

    /// A number from 0 up to, not including, `end`; 0 if that is 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        scaled(self.0.next_u64(), end)
    }

    /// A number uniform in 0 up to, not including, 1.
    pub(crate) fn unit(&mut self) -> f64 {
        unit(self.0.next_u64())
    }
}

/// A drawn number brought into 0 up to, not including, `end`; 0 if that is 0. No value is preferred by more
/// than `end` in 2^64.
pub(crate) fn scaled(bits: u64, end: u64) -> u64 {
    let high = (u128::from(bits) * u128::from(end)) >> 64;
    u64::try_from(high).unwrap_or(0)
}

fn unit(bits: u64) -> f64 {
    // The 53 high bits are what an f64 holds exactly.
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

/// An order of `0..n`: at each place the number of the one that comes there. The same for the same draw;
/// for at most [`MAX_ORDER`], all above keep their place.
pub fn permutation(draw: u64, n: usize) -> impl Iterator<Item = usize> {
    let mut order = [0_u16; MAX_ORDER];
    for (place, number) in order.iter_mut().zip(0..) {
        *place = number;
    }
    let mut numbers = Numbers::of(draw);
    let shuffled = n.min(MAX_ORDER);
    // Fisher and Yates, from the end.
    for last in (1..shuffled).rev() {
        let other = numbers.below(last as u64 + 1);
        order.swap(last, usize::try_from(other).unwrap_or(last));
    }
    let first = order.into_iter().take(shuffled).map(usize::from);
    first.chain(shuffled..n)
}

/// How many [`permutation`] orders.
pub const MAX_ORDER: usize = 256;

/// FNV-1a with 64 bits (draft-eastlake-fnv): short, and the same on every machine and version.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Mixes numbers into one, so that similar ones end up far apart (the finisher of splitmix64).
pub(crate) fn mix(numbers: &[u64]) -> u64 {
    numbers.iter().fold(0x9e37_79b9_7f4a_7c15, |hash, number| {
        let mut z = (hash ^ number).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_hash_is_the_published_one() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn a_draw_depends_on_its_address_only() {
        let draw = Draw::new(42, "bad");
        let unit = |n| draw.unit(Stream::Prob, n);
        let forward: Vec<f64> = (0..100).map(unit).collect();
        let backward: Vec<f64> = (0..100).rev().map(unit).collect();
        assert!(forward.iter().eq(backward.iter().rev()));
        assert!(forward.iter().all(|unit| (0.0..1.0).contains(unit)));
        assert_ne!(forward[0], Draw::new(43, "bad").unit(Stream::Prob, 0));
        assert_ne!(forward[0], Draw::new(42, "bae").unit(Stream::Prob, 0));
        assert_ne!(forward[0], draw.unit(Stream::Action, 0));
        assert!(unit(u64::MAX) < 1.0);
        let below = |n| draw.many(Stream::Places, n).below(1000);
        assert_eq!(below(7), below(7));
        assert!((0..100).any(|n| below(n) != below(n + 1)));
    }

    #[test]
    fn an_order_has_each_number_once() {
        for n in [0, 1, 2, 8, 256, 300] {
            let mut order: Vec<usize> = permutation(99, n).collect();
            assert!(order.iter().copied().eq(permutation(99, n)));
            order.sort_unstable();
            assert!(order.iter().copied().eq(0..n), "{n}");
        }
        assert!(!permutation(99, 100).eq(0..100));
        assert!(!permutation(99, 100).eq(permutation(98, 100)));
    }

    #[test]
    fn numbers_below_an_end_reach_all_of_it() {
        let mut numbers = Numbers::of(3);
        let seen: std::collections::BTreeSet<u64> = (0..200).map(|_| numbers.below(6)).collect();
        assert!(seen.into_iter().eq(0..6));
        assert_eq!(Numbers::of(3).below(0), 0);
    }
}
