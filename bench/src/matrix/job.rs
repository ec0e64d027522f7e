//! The jobs of a group: named ones, or one for each pattern, direction, block size and depth.

use super::{Group, Pattern};
use crate::job::size_bytes;
use crate::{BenchError, Direction, Job, Result, catalogue};

/// The jobs of a group.
pub(super) fn of(group: &Group) -> Result<Vec<Job>> {
    if !group.job.is_empty() {
        return group.job.iter().map(|name| Job::load(name)).collect();
    }
    let mut jobs = Vec::new();
    for pattern in &group.pattern {
        for direction in &group.direction {
            for block_size in &group.block_size {
                for depth in &group.depth {
                    jobs.push(made(*pattern, *direction, block_size, *depth)?);
                }
            }
        }
    }
    Ok(jobs)
}

/// The job of these properties: a shipped one if there is one, else one like it.
fn made(pattern: Pattern, direction: Direction, block_size: &str, depth: u32) -> Result<Job> {
    let bad = |detail: String| BenchError::BadJob {
        name: "of the matrix".to_owned(),
        detail,
    };
    if size_bytes(block_size).is_none() {
        return Err(bad(format!(
            "block_size has `{block_size}`, should be like 4k"
        )));
    }
    let (order, rw) = match (pattern, direction) {
        (Pattern::Random, Direction::Destination) => ("rand-destination", "randread"),
        (Pattern::Random, Direction::Source) => ("rand-source", "randwrite"),
        (Pattern::Random, Direction::Mixed) => ("mixed", "randrw\nrwmixread=70"),
        (Pattern::Sequential, Direction::Destination) => ("seq-destination", "read"),
        (Pattern::Sequential, Direction::Source) => ("seq-source", "write"),
        (Pattern::Sequential, Direction::Mixed) => ("seq-mixed", "rw\nrwmixread=70"),
    };
    let name = format!("{order}-{block_size}-qd{depth}");
    if catalogue::names().any(|known| known == name) {
        return Job::load(&name);
    }
    let text = format!(
        "# Made by a matrix.\n\n[{name}]\nfilename=${{DEV}}\nioengine=io_uring\ndirect=1\nrw={rw}\n\
         bs={block_size}\niodepth={depth}\n"
    );
    Job::parse(&name, &text)
}
