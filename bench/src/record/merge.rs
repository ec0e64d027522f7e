//! Shards of a session, put together.

use super::{CellResult, Record};
use crate::{BenchError, Result};

/// Puts records together that are shards of one session; each comes with the name of its file.
///
/// # Errors
/// [`BenchError::NotMergeable`] when they were not measured alike, or two have the same cell.
pub fn merge(records: Vec<(String, Record)>) -> Result<Record> {
    let not = |detail: String| BenchError::NotMergeable { detail };
    let mut records = records.into_iter();
    let (first_name, mut merged) = records
        .next()
        .ok_or_else(|| not("there are none".to_owned()))?;
    let mut shards = vec![merged.plan.shard.take()];
    for (name, mut other) in records {
        shards.push(other.plan.shard.take());
        if let Some(what) = differs(&merged, &other) {
            return Err(not(format!(
                "{first_name} and {name} differ in their {what}"
            )));
        }
        for cell in other.cells {
            if has(&merged, &cell) {
                return Err(not(format!(
                    "{name} has `{}` again, are they the same shard?",
                    cell.cell
                )));
            }
            merged.cells.push(cell);
        }
        let new = other
            .missing
            .into_iter()
            .filter(|it| !merged.missing.contains(it));
        let new: Vec<_> = new.collect();
        merged.missing.extend(new);
        merged.complete &= other.complete;
    }
    merged.complete &= all_there(&shards);
    Ok(merged)
}

fn has(record: &Record, cell: &CellResult) -> bool {
    record.cells.iter().any(|known| known.cell == cell.cell)
}

/// What is not alike.
fn differs(one: &Record, other: &Record) -> Option<&'static str> {
    let (a, b) = (&one.environment, &other.environment);
    [
        ("revision", a.revision == b.revision),
        ("kernel", a.kernel == b.kernel),
        (
            "machine",
            a.machine == b.machine && a.cpu_model == b.cpu_model,
        ),
        ("governor", a.governor == b.governor),
        ("fio", a.fio_version == b.fio_version),
        ("plan", one.plan == other.plan),
    ]
    .into_iter()
    .find(|(_, alike)| !alike)
    .map(|(what, _)| what)
}

/// Whether every shard of the same number is there.
fn all_there(shards: &[Option<String>]) -> bool {
    let of = shards
        .iter()
        .flatten()
        .filter_map(|shard| shard.split_once('/'))
        .map(|(_, of)| of);
    let of: Vec<&str> = of.collect();
    of.len() == shards.len() && of.iter().all(|of| of.parse() == Ok(shards.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::record;

    fn shard(part: usize) -> (String, Record) {
        let mut shard = record();
        shard.plan.shard = Some(format!("{part}/2"));
        let cell = shard.cells.swap_remove(part - 1);
        shard.cells = vec![cell];
        (format!("{part}.json"), shard)
    }

    #[test]
    fn shards_make_the_whole() {
        assert_eq!(merge(vec![shard(1), shard(2)]).unwrap(), record());
        assert!(
            !merge(vec![shard(1)]).unwrap().complete,
            "the second is not there"
        );
    }

    #[test]
    fn what_does_not_belong_together_is_refused() {
        let mut other = shard(2);
        "6.12".clone_into(&mut other.1.environment.kernel);
        let error = merge(vec![shard(1), other]).unwrap_err().to_string();
        assert!(
            error.contains("1.json and 2.json differ in their kernel"),
            "{error}"
        );
        let error = merge(vec![shard(1), shard(1)]).unwrap_err().to_string();
        assert!(error.contains("again"), "{error}");
        assert!(merge(Vec::new()).is_err());
    }
}
