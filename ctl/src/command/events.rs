//! `bvecctl events`: what happened, one line each.

use anyhow::{Context as _, Result};
use api::{Event, EventKind};
use clap::Args;

use crate::command::dev::word;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::{Lines, note};

/// Which events to show.
#[derive(Debug, Args)]
#[command(
    after_help = "Each line: number, seconds, device, kind, rule, request, decision, result.

Examples:
  bvecctl events
  bvecctl events --follow --json
  bvecctl events --since 120 | head"
)]
pub(crate) struct Arguments {
    /// Also show what is to come, without end.
    #[arg(long)]
    follow: bool,
    /// Only events after this number.
    #[arg(long, value_name = "SEQ")]
    since: Option<u64>,
}

/// Shows them.
///
/// # Errors
/// The daemon cannot be reached, or the connection is lost.
pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<Exit> {
    let client = context.client()?;
    let mut lines = Lines::new();
    let mut last = arguments.since;
    for event in client.events(arguments.since, arguments.follow)? {
        let event = event?;
        if let Some(missed) = missed(last, event.seq) {
            note(format!(
                "{missed} events are missing here: bvecd keeps only the latest"
            ));
        }
        last = Some(event.seq);
        if context.output.is_json() {
            lines.line(serde_json::to_string(&event).context("write an event as JSON")?)?;
        } else {
            lines.line(text(&event))?;
        }
        if arguments.follow {
            lines.flush()?;
        }
    }
    lines.flush()?;
    Ok(Exit::Done)
}

/// How many events are missing between two that came; nothing is known before the first.
fn missed(last: Option<u64>, seq: u64) -> Option<u64> {
    let between = seq.checked_sub(last?)?.checked_sub(1)?;
    (between > 0).then_some(between)
}

fn text(event: &Event) -> String {
    let mut words = vec![
        format!("{:>6}", event.seq),
        format!(
            "{:>6}.{:06}",
            event.time_ns / 1_000_000_000,
            event.time_ns / 1_000 % 1_000_000
        ),
    ];
    words.push(
        event
            .device
            .map_or_else(|| "all".to_owned(), |id| format!("dev {id}")),
    );
    words.push(word(&event.kind));
    if event.kind == EventKind::RulesChanged
        && let Some(generation) = event.generation
    {
        words.push(format!("generation {generation}"));
    }
    words.extend(event.rule.clone());
    if let (Some(op), Some(sector), Some(sectors)) = (event.op, event.sector, event.sectors) {
        words.push(format!("{op} {sector}+{sectors}"));
    }
    if let (Some(queue), Some(tag)) = (event.queue, event.tag) {
        words.push(format!("queue {queue} tag {tag}"));
    }
    words.extend(event.hold_id.map(|hold_id| format!("hold {hold_id}")));
    words.extend(event.decision.as_ref().map(word));
    words.extend(
        event
            .effect
            .as_ref()
            .map(|effect| format!("effect {}", word(effect))),
    );
    words.extend(event.result.map(|result| format!("result {result}")));
    words.extend(event.mismatch.map(|wrong| {
        let (tag, sector) = (word(&wrong.tag), wrong.sector);
        let (expected, found) = (wrong.expected, wrong.found);
        format!("{tag} of sector {sector}: {found:#x}, expected {expected:#x}")
    }));
    words.join("  ")
}

#[cfg(test)]
mod tests {
    use api::Decision;
    use api::fault::{Direction, Op, Sector};

    use super::*;

    #[test]
    fn gaps_are_counted() {
        assert_eq!(missed(None, 5), None);
        assert_eq!(missed(Some(4), 5), None);
        assert_eq!(missed(Some(4), 8), Some(3));
        assert_eq!(missed(Some(9), 8), None);
    }

    #[test]
    fn a_line_has_what_applies() {
        let fired = Event {
            device: Some(0),
            generation: Some(2),
            rule: Some("bad".to_owned()),
            op: Some(Op::Read),
            direction: Some(Direction::Destination),
            sector: Some(Sector(2048)),
            sectors: Some(8),
            queue: Some(0),
            tag: Some(3),
            decision: Some(Decision::Fail),
            ..Event::new(7, 12_345_678_901, EventKind::Fired)
        };
        let healed = Event::new(8, 13_000_000_000, EventKind::Healed);
        insta::assert_snapshot!(format!("{}\n{}", text(&fired), text(&healed)));
    }
}
