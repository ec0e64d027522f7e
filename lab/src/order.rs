//! In which order experiments are run.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Each so many times in a row, in the order of the list.
#[must_use]
pub fn in_order<T: Copy>(all: &[T], times: u32) -> Vec<T> {
    all.iter()
        .flat_map(|one| (0..times).map(move |_| *one))
        .collect()
}

/// So many rounds of all of them, each round in an order drawn from the seed: what an experiment leaves to the
/// next one would show. The same list and seed give the same order.
#[must_use]
pub fn shuffled<T: Copy>(all: &[T], times: u32, seed: u64) -> Vec<T> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut order = Vec::new();
    for _ in 0..times {
        let mut round = all.to_vec();
        // Fisher and Yates: the last of those not drawn yet changes places with one of them.
        for left in (1..round.len()).rev() {
            let among = u64::try_from(left + 1).unwrap_or(u64::MAX);
            let drawn = usize::try_from(random.next_u64() % among).unwrap_or(0);
            round.swap(left, drawn);
        }
        order.extend(round);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_an_order_that_repeats() {
        let all: Vec<u32> = (0..20).collect();
        let [one, again, other] = [7, 7, 8].map(|seed| shuffled(&all, 3, seed));
        assert_eq!(one, again);
        assert_ne!(one, other);
        assert_ne!(one[..20], one[20..40], "rounds differ");
        for round in one.chunks(20) {
            let mut sorted = round.to_vec();
            sorted.sort_unstable();
            assert_eq!(sorted, all);
        }
    }

    #[test]
    fn without_a_seed_it_is_the_list() {
        assert_eq!(in_order(&['a', 'b'], 2), ['a', 'a', 'b', 'b']);
        assert!(in_order::<u8>(&[], 2).is_empty());
        assert!(shuffled::<u8>(&[], 2, 1).is_empty());
    }
}
