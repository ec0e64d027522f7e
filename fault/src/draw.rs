//! Random draws that can be repeated: each is addressed, none depends on those before it.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Names the generator in the key, so that another one in a later version draws differently on purpose.
const DOMAIN: [u8; 16] = *b"bvecd-fault-v1\0\0";

/// 32-bit words that one draw takes from the stream.
const WORDS_PER_DRAW: u128 = 2;

/// The draws of one rule. Draw `n` is a function of the seed, the rule's name and `n` alone: ChaCha8
/// with the key `seed (LE) | FNV-1a of the name (LE) | domain`, at word `2 n` of stream 0. Further streams
/// are left for other kinds of draws.
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

    /// Draw `n`, uniform in 0 up to, not including, 1.
    pub(crate) fn unit(&self, n: u64) -> f64 {
        let mut stream = ChaCha8Rng::from_seed(self.key);
        stream.set_word_pos(u128::from(n) * WORDS_PER_DRAW);
        // The 53 high bits are what an f64 holds exactly.
        let bits = stream.next_u64() >> 11;
        bits as f64 / (1_u64 << 53) as f64
    }
}

/// FNV-1a with 64 bits (draft-eastlake-fnv): short, and the same on every machine and version.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
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
        let forward: Vec<f64> = (0..100).map(|n| draw.unit(n)).collect();
        let backward: Vec<f64> = (0..100).rev().map(|n| draw.unit(n)).collect();
        assert!(forward.iter().eq(backward.iter().rev()));
        assert!(forward.iter().all(|unit| (0.0..1.0).contains(unit)));
        assert_ne!(forward[0], Draw::new(43, "bad").unit(0));
        assert_ne!(forward[0], Draw::new(42, "bae").unit(0));
        assert!(draw.unit(u64::MAX) < 1.0);
    }
}
