//! `bvecctl stats`: what a device has done and is doing.

use anyhow::Result;
use api::{DeviceStats, call};
use clap::Args;

use crate::context::Context;
use crate::exit::Exit;
use crate::output::{counted, table};
use crate::units::about;

/// Which device.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  bvecctl stats\n  bvecctl stats --dev 0 --json")]
pub(crate) struct Arguments {
    /// The N of /dev/ublkbN; may be left out if there is only one.
    #[arg(long, value_name = "N")]
    dev: Option<u32>,
}

/// Shows it.
///
/// # Errors
/// The daemon cannot be reached, or has no such device.
pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<Exit> {
    let device = context.device(arguments.dev)?;
    let stats = context.ask("show the statistics", call::stats(device))?;
    context.output.answer(&stats, text)?;
    Ok(Exit::Done)
}

fn text(stats: &DeviceStats) -> String {
    let ops = stats.ops.iter().map(|op| {
        [
            op.op.to_string(),
            op.direction.to_string(),
            op.ios.to_string(),
            about(op.bytes),
            op.errors.to_string(),
        ]
    });
    let queues = stats.queues.iter().map(|queue| {
        [
            queue.queue.to_string(),
            queue.ios.to_string(),
            about(queue.bytes),
            queue.errors.to_string(),
            queue.inflight.to_string(),
            queue.held.to_string(),
            queue.delayed.to_string(),
            queue.generation.to_string(),
        ]
    });
    let heads = [
        "queue",
        "requests",
        "bytes",
        "errors",
        "in flight",
        "held",
        "delayed",
        "generation",
    ];
    let shared = stats
        .shared_memory
        .as_ref()
        .map_or(String::new(), |counts| {
            let (shared, copied) = (counts.shared, counts.copied);
            format!("\nshared memory: {shared} requests served from it, {copied} copied")
        });
    format!(
        "device {}: {} in flight, {} held, {} delayed; rules fired {} times; {}{shared}\n\n{}\n\n{}",
        stats.device,
        stats.inflight,
        stats.held,
        stats.delayed,
        stats.faults_fired,
        counted(stats.backing_errors, "error") + " of the backing",
        table(
            &["op", "direction", "requests", "bytes", "errors"],
            &["requests", "bytes", "errors"],
            ops
        ),
        table(&heads, &heads, queues),
    )
}

#[cfg(test)]
mod tests {
    use api::fault::Op;
    use api::{OpStats, QueueStats, SCHEMA};

    use super::*;

    #[test]
    fn ops_and_queues_are_tables() {
        let op = |op: Op, ios| OpStats {
            op,
            direction: op.direction(),
            ios,
            bytes: ios * 4096,
            errors: ios / 1000,
        };
        let queue = |queue| QueueStats {
            queue,
            ios: 7000,
            bytes: 7000 * 4096,
            errors: 1,
            inflight: 2,
            held: 1,
            delayed: 0,
            generation: 3,
        };
        let stats = DeviceStats {
            schema: SCHEMA,
            device: 0,
            ops: vec![op(Op::Read, 12_000), op(Op::Write, 2000)],
            inflight: 4,
            held: 2,
            delayed: 0,
            faults_fired: 3,
            backing_errors: 0,
            integrity_errors: 0,
            shared_memory: Some(api::SharedMemoryStats {
                shared: 13_900,
                copied: 100,
            }),
            queues: vec![queue(0), queue(1)],
        };
        insta::assert_snapshot!(text(&stats));
    }
}
