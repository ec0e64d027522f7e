//! Tables of shards, put together.

use super::{Column, Matrix};
use crate::{LabError, Result};

/// Puts tables together; each comes with the name of its file. What is missing then, [`Matrix::missing`] tells.
///
/// # Errors
/// [`LabError::NotMergeable`] when they were not asked alike, or two answer the same.
pub fn merge(tables: Vec<(String, Matrix)>) -> Result<Matrix> {
    let not = |detail: String| LabError::NotMergeable { detail };
    let mut tables = tables.into_iter();
    let (first, mut merged) = tables
        .next()
        .ok_or_else(|| not("there are none".to_owned()))?;
    for (name, other) in tables {
        if let Some(what) = differs(&merged, &other) {
            return Err(not(format!("{first} and {name} differ in their {what}")));
        }
        for column in other.kernels {
            add(&mut merged, column, &name).map_err(not)?;
        }
        for shard in other.shards {
            if !merged.shards.contains(&shard) {
                merged.shards.push(shard);
            }
        }
    }
    merged.shards.sort();
    let order = &merged.plan.experiments;
    let place = |name: &String| order.iter().position(|known| known == name);
    for column in &mut merged.kernels {
        column.cells.sort_by_key(|cell| place(&cell.experiment));
    }
    merged.conclude();
    Ok(merged)
}

/// What is not alike.
fn differs(one: &Matrix, other: &Matrix) -> Option<&'static str> {
    let (a, b) = (&one.plan, &other.plan);
    [
        ("revision", a.revision == b.revision),
        ("experiments", a.experiments == b.experiments),
        ("number of repeats", a.repeat == b.repeat),
        ("seed", a.seed == b.seed),
        ("driver", a.driver == b.driver),
        (
            "version that they are judged as",
            a.judged_as == b.judged_as,
        ),
    ]
    .into_iter()
    .find(|(_, alike)| !alike)
    .map(|(what, _)| what)
}

/// Adds a kernel of another file.
fn add(merged: &mut Matrix, column: Column, file: &str) -> std::result::Result<(), String> {
    let asked = |known: &&mut Column| known.asked == column.asked;
    let Some(known) = merged.kernels.iter_mut().find(asked) else {
        merged.kernels.push(column);
        return Ok(());
    };
    match (&known.kernel, &column.kernel) {
        (Some(one), Some(other)) if one != other => {
            return Err(format!(
                "{} was {other} for {file} and {one} for the files before it",
                known.asked
            ));
        }
        (None, _) => known.kernel.clone_from(&column.kernel),
        _ => {}
    }
    for cell in column.cells {
        if known.cell(&cell.experiment).is_some() {
            let name = &cell.experiment;
            return Err(format!(
                "{file} answers {name} on {} again: is it the same shard twice?",
                known.name()
            ));
        }
        known.cells.push(cell);
    }
    known.duration_ns = known.duration_ns.saturating_add(column.duration_ns);
    if known.accelerator.is_none() {
        known.accelerator = column.accelerator;
    }
    let failures: Vec<String> = [known.failed.take(), column.failed]
        .into_iter()
        .flatten()
        .collect();
    known.failed = (!failures.is_empty()).then(|| failures.join("; "));
    Ok(())
}

/// The shards that belong to these and are not among them.
pub(super) fn absent(shards: &[String]) -> Vec<String> {
    let of = shards
        .iter()
        .filter_map(|shard| shard.split_once('/')?.1.parse().ok());
    let mut all: Vec<u32> = of.collect();
    all.sort_unstable();
    all.dedup();
    all.iter()
        .flat_map(|of| (1..=*of).map(move |part| format!("{part}/{of}")))
        .filter(|shard| !shards.contains(shard))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{outcome, plan};
    use super::*;
    use crate::Verdict;

    const ALL: [&str; 3] = ["a", "b", "c"];

    fn shard(part: usize) -> (String, Matrix) {
        let shard = Some(format!("{part}/3"));
        let mut matrix = Matrix::new(plan(&ALL), shard, &["7.3".to_owned()]);
        matrix.kernels[0].add(&outcome(ALL[part - 1], Verdict::Holds, 1));
        (format!("{part}.json"), matrix)
    }

    #[test]
    fn shards_make_the_whole_in_any_order() {
        let merged = merge(vec![shard(3), shard(1), shard(2)]).unwrap();
        assert!(merged.complete, "{:?}", merged.missing());
        let names = merged.kernels[0].cells.iter().map(|cell| &cell.experiment);
        assert_eq!(names.collect::<Vec<_>>(), ALL);
        assert_eq!(merged.kernels[0].duration_ns, 0);
    }

    #[test]
    fn a_shard_that_is_not_there_is_told() {
        let merged = merge(vec![shard(1), shard(3)]).unwrap();
        assert!(!merged.complete);
        let missing = merged.missing();
        assert_eq!(missing[0], "shard 2/3 is not there");
        assert!(
            missing[1].contains("no answer to 1 of 3 experiments: b"),
            "{missing:?}"
        );
    }

    #[test]
    fn other_kernels_are_other_columns() {
        let (name, mut other) = shard(1);
        "6.1".clone_into(&mut other.kernels[0].asked);
        let merged = merge(vec![shard(1), (name, other)]).unwrap();
        assert_eq!(merged.kernels.len(), 2);
    }

    #[test]
    fn conflicts_are_refused() {
        let error = |tables| merge(tables).unwrap_err().to_string();
        let twice = error(vec![shard(1), shard(1)]);
        assert!(
            twice.contains("1.json answers a on 7.3.4+deb13-cloud-amd64 again"),
            "{twice}"
        );
        let mut other = shard(2);
        other.1.plan.seed = 9;
        let seed = error(vec![shard(1), other]);
        assert!(
            seed.contains("1.json and 2.json differ in their seed"),
            "{seed}"
        );
        let mut other = shard(2);
        other.1.kernels[0].kernel = Some("7.3.5".to_owned());
        let kernel = error(vec![shard(1), other]);
        assert!(kernel.contains("7.3 was 7.3.5 for 2.json"), "{kernel}");
        assert!(merge(Vec::new()).is_err());
    }
}
