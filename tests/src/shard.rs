//! A part of the tests, so that several guests share them: `2/3` is every third, from the second on.
//! `2/3,1/4` is of these again every fourth, from the first on.

use std::str::FromStr;

/// The variable that names this guest's part.
pub(crate) const VARIABLE: &str = "BVECD_SHARD";

/// Which part of how many, one after the other.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Shards(Vec<(usize, usize)>);

impl Shards {
    /// The tests of this part, in their order. Neighbours, which are alike, go to different parts.
    pub(crate) fn pick<T>(&self, mut tests: Vec<T>) -> Vec<T> {
        for &(number, of) in &self.0 {
            let every = tests.into_iter().skip(number - 1).step_by(of);
            tests = every.collect();
        }
        tests
    }
}

impl FromStr for Shards {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("read the part `{text}`: expected I/N with I from 1 to N");
        let part = |part: &str| {
            let (number, of) = part.split_once('/')?;
            let (number, of) = (number.parse().ok()?, of.parse().ok()?);
            (number >= 1 && number <= of).then_some((number, of))
        };
        let parts = text.split(',').filter(|part| !part.is_empty());
        let parts: Option<Vec<_>> = parts.map(part).collect();
        Ok(Self(parts.ok_or_else(wrong)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pick(shards: &str, tests: usize) -> Vec<usize> {
        let shards: Shards = shards.parse().unwrap();
        shards.pick((0..tests).collect())
    }

    #[test]
    fn the_parts_have_every_test_once() {
        for (tests, farm, guests) in [
            (362, 1, 2),
            (362, 3, 4),
            (5, 7, 2),
            (160, 160, 1),
            (0, 2, 2),
        ] {
            let parts = (1..=farm).flat_map(|i| (1..=guests).map(move |j| (i, j)));
            let picked = parts.map(|(i, j)| pick(&format!("{i}/{farm},{j}/{guests}"), tests));
            let mut all: Vec<_> = picked.flatten().collect();
            all.sort_unstable();
            assert_eq!(all, (0..tests).collect::<Vec<_>>(), "{farm} x {guests}");
        }
    }

    #[test]
    fn parts_are_taken_in_turns() {
        assert_eq!(pick("2/3", 8), [1, 4, 7]);
        assert_eq!(pick("1/2,2/2", 8), [2, 6]);
        assert_eq!(pick("", 2), [0, 1]);
    }

    #[test]
    fn what_is_no_part_is_refused() {
        for text in ["0/2", "3/2", "1", "1/x", "1/2,5/4"] {
            let error = text.parse::<Shards>().unwrap_err();
            assert!(error.contains(text), "{error}");
        }
    }
}
