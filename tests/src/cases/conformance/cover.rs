//! Which cells of the table are run: all, or so few that every two values still meet in one of them.

use std::collections::BTreeSet;

use super::cell::{Cell, Indexes, SIZES};

/// Two values of two dimensions: (dimension, index) twice.
type Pair = ((usize, usize), (usize, usize));

/// Every cell.
pub(crate) fn all() -> Vec<Cell> {
    combinations().map(Cell::of).collect()
}

/// Cells in which every two values meet that a kernel has together.
///
/// They are chosen for the oldest kernels first, then what later ones have is added: the cells that an
/// old kernel can run are a full cover of what it has, too.
pub(crate) fn pairwise() -> Vec<Cell> {
    let mut chosen = Vec::new();
    for generation in 1..=3 {
        let candidates: Vec<_> = combinations()
            .filter(|indexes| Cell::of(*indexes).generation() <= generation)
            .collect();
        let mut missing: BTreeSet<_> = candidates.iter().flat_map(pairs).collect();
        for indexes in &chosen {
            remove(&mut missing, indexes);
        }
        while !missing.is_empty() {
            let gain = |indexes: &&Indexes| pairs(indexes).filter(|p| missing.contains(p)).count();
            // The first of the best, so that the choice is always the same.
            let best = candidates.iter().rev().max_by_key(gain).copied();
            let best = best.expect("a missing pair comes from a candidate");
            remove(&mut missing, &best);
            chosen.push(best);
        }
    }
    chosen.into_iter().map(Cell::of).collect()
}

fn remove(missing: &mut BTreeSet<Pair>, indexes: &Indexes) {
    for pair in pairs(indexes) {
        missing.remove(&pair);
    }
}

fn combinations() -> impl Iterator<Item = Indexes> {
    (0..SIZES.iter().product()).map(|number: usize| {
        let mut rest = number;
        SIZES.map(|size| {
            let index = rest % size;
            rest /= size;
            index
        })
    })
}

fn pairs(indexes: &Indexes) -> impl Iterator<Item = Pair> {
    let values: Vec<_> = indexes.iter().copied().enumerate().collect();
    (0..values.len()).flat_map(move |left| {
        let values = values.clone();
        (left + 1..values.len()).map(move |right| (values[left], values[right]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Says which pairs of values of these cells' dimensions meet in none of them.
    fn uncovered(cells: &[Cell], generation: u8) -> Vec<String> {
        let met: BTreeSet<_> = combinations()
            .filter(|indexes| cells.contains(&Cell::of(*indexes)))
            .collect();
        let met: BTreeSet<_> = met.iter().flat_map(pairs).collect();
        let possible = combinations().filter(|i| Cell::of(*i).generation() <= generation);
        let wanted: BTreeSet<_> = possible.collect();
        let wanted: BTreeSet<_> = wanted.iter().flat_map(pairs).collect();
        wanted.difference(&met).map(|p| format!("{p:?}")).collect()
    }

    #[test]
    fn every_pair_is_covered_for_each_generation_of_kernels() {
        for generation in 1..=3 {
            let mut cells = pairwise();
            cells.retain(|cell| cell.generation() <= generation);
            assert_eq!(
                uncovered(&cells, generation),
                Vec::<String>::new(),
                "generation {generation}"
            );
        }
    }

    #[test]
    fn the_check_of_the_cover_finds_a_missing_cell() {
        let mut cells = pairwise();
        // The last one was added for a pair that no other has.
        cells.pop();
        assert_ne!(uncovered(&cells, 3), Vec::<String>::new());
    }

    #[test]
    fn the_cover_is_small_and_always_the_same() {
        let cells = pairwise();
        assert!((20..=32).contains(&cells.len()), "{} cells", cells.len());
        assert_eq!(cells, pairwise());
        assert_eq!(all().len(), 160);
    }
}
