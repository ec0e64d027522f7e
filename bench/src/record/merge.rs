//! Shards of a session, put together.

use std::path::Path;

use super::{CellResult, Record};
use crate::{BenchError, Result};

/// Puts records together that are shards of one session; each comes with the name of its file.
///
/// # Errors
/// [`BenchError::NotMergeable`] when they were not measured alike, or two have the same cell.
pub fn merge(records: Vec<(String, Record)>) -> Result<Record> {
    let not = |detail: String| BenchError::NotMergeable { detail };
    let shards = records
        .iter()
        .filter(|(_, record)| record.plan.shard.is_some());
    let all_there = shards.count() == records.len() && missing_shards(&records).is_empty();
    let mut records = records.into_iter();
    let (first_name, mut merged) = records
        .next()
        .ok_or_else(|| not("there are none".to_owned()))?;
    merged.plan.shard = None;
    for (name, other) in records {
        if let Some((what, one, another)) = differs(&merged, &other) {
            return Err(not(format!(
                "{first_name} and {name} differ in their {what}: {one}, and {another}"
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
    merged.complete &= all_there;
    Ok(merged)
}

fn has(record: &Record, cell: &CellResult) -> bool {
    record.cells.iter().any(|known| known.cell == cell.cell)
}

/// What is not alike, as one has it and as the other has it.
fn differs(one: &Record, other: &Record) -> Option<(&'static str, String, String)> {
    let facts = |record: &Record| {
        let plan = &record.plan;
        let mut facts = vec![("revision", record.environment.revision.clone())];
        facts.extend(record.environment.facts());
        facts.extend([
            ("matrix", plan.name.clone()),
            ("seed", plan.seed.to_string()),
            ("rounds", plan.rounds.to_string()),
            ("runtime in ns", plan.runtime_ns.to_string()),
            ("warm-up in ns", plan.warm_up_ns.to_string()),
        ]);
        facts
    };
    let mut both = facts(one).into_iter().zip(facts(other));
    both.find(|((_, a), (_, b))| a != b)
        .map(|((what, a), (_, b))| (what, a, b))
}

/// The shards that are not there, such as `2/4`; those of files that are no shard are not known.
#[must_use]
pub fn missing_shards(records: &[(String, Record)]) -> Vec<String> {
    let shards = records
        .iter()
        .filter_map(|(_, record)| record.plan.shard.as_deref()?.split_once('/'))
        .filter_map(|(part, of)| Some((part.parse::<u32>().ok()?, of.parse::<u32>().ok()?)));
    let shards: Vec<(u32, u32)> = shards.collect();
    let of = shards.iter().map(|(_, of)| *of).max().unwrap_or(0);
    (1..=of)
        .filter(|part| !shards.contains(&(*part, of)))
        .map(|part| format!("{part}/{of}"))
        .collect()
}

/// Has the runs of a record point at fio's reports from another place: `directory` is where the record's file is, as
/// seen from there.
pub fn moved(record: &mut Record, directory: &Path) {
    let runs = record.cells.iter_mut().flat_map(|cell| &mut cell.runs);
    for raw in runs.filter_map(|run| run.raw.as_mut()) {
        *raw = directory.join(&*raw).to_string_lossy().into_owned();
    }
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
            error.contains("1.json and 2.json differ in their kernel: 7.3.0, and 6.12"),
            "{error}"
        );
        let error = merge(vec![shard(1), shard(1)]).unwrap_err().to_string();
        assert!(error.contains("again"), "{error}");
        assert!(merge(Vec::new()).is_err());
    }

    #[test]
    fn a_shard_that_is_not_there_is_named() {
        assert_eq!(missing_shards(&[shard(1)]), ["2/2"]);
        assert!(missing_shards(&[shard(2), shard(1)]).is_empty());
        assert!(missing_shards(&[("whole.json".to_owned(), record())]).is_empty());
    }

    #[test]
    fn reports_are_found_from_where_the_merged_file_is() {
        let mut one = shard(1).1;
        moved(&mut one, Path::new("../one"));
        assert_eq!(
            one.cells[0].runs[0].raw.as_deref(),
            Some("../one/raw/1.json")
        );
    }
}
