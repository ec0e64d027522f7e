//! `bvecctl hold`: requests that are kept uncommitted.

mod peek;
mod poke;
mod wait;

use anyhow::Result;
use api::fault::Status;
use api::{Hold, HoldList, ReleaseRequest, Released, Which, call};
use clap::{Args, Subcommand};

use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::output::{counted, table};
use crate::units::{Size, about_ns};

/// What is done about held requests.
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  bvecctl fault add stop 'hold:max=30s where op=read when count=1'
  bvecctl hold wait --rule stop
  bvecctl hold list
  bvecctl hold peek 7
  bvecctl hold release stop
  bvecctl hold fail stop MEDIUM
  bvecctl hold release --all")]
pub(crate) enum Command {
    /// List the held requests, oldest first.
    #[command(after_help = "Examples:\n  bvecctl hold list\n  bvecctl hold list --dev 0 --json")]
    List(List),
    /// Let held requests go on, as if they had never been held.
    #[command(after_help = "Examples:
  bvecctl hold release 7
  bvecctl hold release stop
  bvecctl hold release 7 --bytes 512
  bvecctl hold release --all --dev 0")]
    Release(Release),
    /// Let held requests fail.
    #[command(after_help = "Examples:
  bvecctl hold fail 7 MEDIUM
  bvecctl hold fail stop EIO
  bvecctl hold fail all TIMEOUT --dev 0")]
    Fail(Fail),
    /// Look at the data of a held write.
    #[command(after_help = peek::EXAMPLES)]
    Peek(peek::Peek),
    /// Store into the pages of a held read.
    #[command(after_help = poke::EXAMPLES)]
    Poke(poke::Poke),
    /// Wait until requests are held; ends with 3 when that does not happen in time.
    #[command(after_help = "Examples:
  bvecctl hold wait
  bvecctl hold wait --dev 0 --rule stop --count 4 --timeout 10")]
    Wait(wait::Wait),
}

/// A device.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// The N of /dev/ublkbN; may be left out if there is only one.
    #[arg(long, value_name = "N")]
    dev: Option<u32>,
}

/// Which requests to let go.
#[derive(Debug, Args)]
pub(crate) struct Release {
    /// The hold_id of one request, or the name of a rule for all that it holds.
    #[arg(value_name = "HOLD_ID|NAME", required_unless_present = "all")]
    what: Option<String>,
    /// Every held request of the device.
    #[arg(long, conflicts_with = "what")]
    all: bool,
    /// Only the first N bytes of each are done on the medium, and answered; a multiple of 512.
    #[arg(long, value_name = "N")]
    bytes: Option<Size>,
    /// The N of /dev/ublkbN; may be left out if there is only one.
    #[arg(long, value_name = "N")]
    dev: Option<u32>,
}

/// Which requests to fail, and how.
#[derive(Debug, Args)]
pub(crate) struct Fail {
    /// The hold_id of one request, the name of a rule for all that it holds, or `all`.
    #[arg(value_name = "HOLD_ID|NAME|all")]
    what: String,
    /// The error: a status of the block layer or its errno.
    status: Status,
    /// The N of /dev/ublkbN; may be left out if there is only one.
    #[arg(long, value_name = "N")]
    dev: Option<u32>,
}

/// Does it.
///
/// # Errors
/// The daemon cannot be reached, or has no such device, rule or hold.
pub(crate) fn run(command: Command, context: &Context) -> Result<Exit> {
    match command {
        Command::List(List { dev }) => {
            let device = context.device(dev)?;
            let list = context.ask("list the held requests", call::holds(device))?;
            context.output.answer(&list, list_text)?;
        }
        Command::Release(release) => {
            let request = ReleaseRequest {
                bytes: release.bytes()?,
                ..ReleaseRequest::of(release.which())
            };
            let device = context.device(release.dev)?;
            let released = context.ask("release", call::release(device, &request))?;
            context.output.answer(&released, released_text)?;
        }
        Command::Fail(Fail { what, status, dev }) => {
            let which = match what.as_str() {
                "all" => Which::All,
                _ => chosen(&what),
            };
            let request = ReleaseRequest::of(which).failing(Some(status));
            let device = context.device(dev)?;
            let failed = context.ask("fail", call::release(device, &request))?;
            context
                .output
                .answer(&failed, |failed| let_go_text("failed", failed))?;
        }
        Command::Peek(peek) => return peek::run(&peek, context),
        Command::Poke(poke) => poke::run(&poke, context)?,
        Command::Wait(wait) => wait::run(&wait, context)?,
    }
    Ok(Exit::Done)
}

impl Release {
    fn which(&self) -> Which {
        match &self.what {
            None => Which::All,
            Some(what) => chosen(what),
        }
    }

    fn bytes(&self) -> Result<Option<u32>, Failure> {
        let bytes = self.bytes.map(|Size(bytes)| u32::try_from(bytes));
        bytes.transpose().map_err(|_| {
            Failure::Input("release: found --bytes above any request, expected less".to_owned())
        })
    }
}

/// A rule's name may be a number, too; then its holds go by their numbers, or all at once.
fn chosen(what: &str) -> Which {
    what.parse()
        .map_or_else(|_| Which::Rule(what.to_owned()), Which::HoldId)
}

fn released_text(released: &Released) -> String {
    let_go_text("released", released)
}

fn let_go_text(how: &str, released: &Released) -> String {
    let ids: Vec<String> = released.released.iter().map(u64::to_string).collect();
    let count = u64::try_from(ids.len()).unwrap_or(u64::MAX);
    if ids.is_empty() {
        return format!("device {} holds nothing", released.device);
    }
    format!(
        "{how} {} on device {}: {}",
        counted(count, "request"),
        released.device,
        ids.join(" ")
    )
}

/// The holds as a table, under what is the same for all.
fn list_text(list: &HoldList) -> String {
    if list.holds.is_empty() {
        return format!("device {} holds nothing", list.device);
    }
    let heads = [
        "hold_id",
        "rule",
        "op",
        "direction",
        "sector",
        "sectors",
        "queue",
        "tag",
        "held for",
        "at most",
    ];
    let rows = list.holds.iter().map(|hold: &Hold| {
        [
            hold.hold_id.to_string(),
            hold.rule.clone(),
            hold.op.to_string(),
            hold.direction.to_string(),
            hold.sector.to_string(),
            hold.sectors.to_string(),
            hold.queue.to_string(),
            hold.tag.to_string(),
            about_ns(hold.held_ns),
            about_ns(hold.max_ns),
        ]
    });
    let right = [
        "hold_id", "sector", "sectors", "queue", "tag", "held for", "at most",
    ];
    let table = table(&heads, &right, rows);
    format!("device {}, {}\n{table}", list.device, list.data_path)
}

#[cfg(test)]
mod tests {
    use api::fault::{Direction, Op, Sector};
    use api::{DataPath, SCHEMA};

    use super::*;

    /// A held read as the daemon lists it.
    pub(super) fn hold(hold_id: u64, rule: &str) -> Hold {
        Hold {
            hold_id,
            device: 0,
            rule: rule.to_owned(),
            op: Op::Read,
            direction: Direction::Destination,
            sector: Sector(2048),
            sectors: 8,
            queue: 0,
            tag: 5,
            held_ns: 1_230_000_000,
            max_ns: 30_000_000_000,
        }
    }

    #[test]
    fn the_list_fits_a_terminal() {
        let list = HoldList {
            schema: SCHEMA,
            device: 0,
            data_path: DataPath::AutoZeroCopy,
            holds: vec![hold(1, "stop"), hold(22, "lab-held-page-1234-5")],
        };
        let text = list_text(&list);
        assert!(
            text.lines().all(|line| line.chars().count() <= 100),
            "{text}"
        );
        insta::assert_snapshot!(text);
    }

    #[test]
    fn numbers_are_holds_and_words_are_rules() {
        let which = |what: Option<&str>| {
            Release {
                what: what.map(str::to_owned),
                all: what.is_none(),
                bytes: None,
                dev: None,
            }
            .which()
        };
        assert_eq!(which(Some("7")), Which::HoldId(7));
        assert_eq!(which(Some("stop")), Which::Rule("stop".to_owned()));
        assert_eq!(which(Some("-7")), Which::Rule("-7".to_owned()));
        assert_eq!(which(None), Which::All);
    }

    #[test]
    fn the_released_are_named() {
        let released = |released| Released {
            schema: SCHEMA,
            device: 0,
            released,
        };
        assert_eq!(
            released_text(&released(vec![3, 4])),
            "released 2 requests on device 0: 3 4"
        );
        assert_eq!(released_text(&released(vec![])), "device 0 holds nothing");
    }
}
