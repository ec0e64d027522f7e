//! `bvecctl fault explain`: what the rules would do to a request, and why not.

use anyhow::Result;
use api::fault::{Op, SectorRange};
use api::{ExplainRequest, Explanation, Hex, call};
use clap::Args;

use crate::context::Context;
use crate::exit::Failure;
use crate::output::table;

pub(super) const EXAMPLES: &str = "\
The request is judged as if it were the next one to come. Nothing is counted, and nothing is done.

Examples:
  bvecctl fault explain read 2048+8
  bvecctl fault explain write 1M+4K --fua
  bvecctl fault explain flush --dev 0 --json";

/// A request to ask about.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// What it asks for: read, write, flush, discard or write_zeroes.
    #[arg(value_parser = op)]
    op: Op,
    /// Its sectors, as `lba=` takes them; none for a flush.
    #[arg(value_name = "START+LENGTH")]
    sectors: Option<SectorRange>,
    /// The hardware queue it comes by.
    #[arg(long, value_name = "N", default_value_t = 0)]
    queue: u16,
    /// Its tag in that queue.
    #[arg(long, value_name = "N", default_value_t = 0)]
    tag: u16,
    /// It has FUA.
    #[arg(long)]
    fua: bool,
    /// It is about metadata.
    #[arg(long)]
    meta: bool,
    /// The data of a write in hexadecimal, for rules with `data=`.
    #[arg(long, value_name = "HEX")]
    data: Option<Hex>,
    /// The N of /dev/ublkbN; may be left out if there is only one.
    #[arg(long, value_name = "N")]
    dev: Option<u32>,
}

/// Asks.
///
/// # Errors
/// The daemon cannot be reached, or has no such device; a request without sectors that needs some.
pub(super) fn run(explain: &Explain, context: &Context) -> Result<()> {
    let (sector, length) = match (explain.op, explain.sectors) {
        (Op::Flush, None) => (api::fault::Sector(0), 0),
        (Op::Flush, Some(range)) => {
            let message = format!("explain a flush: found `{range}`, a flush has no sectors");
            return Err(Failure::Input(message).into());
        }
        (op, None) => {
            let message =
                format!("explain a {op}: found no sectors, expected some, such as 2048+8");
            return Err(Failure::Input(message).into());
        }
        (_, Some(range)) => (range.start(), range.sectors()),
    };
    let request = ExplainRequest {
        op: explain.op,
        sector,
        sectors: u32::try_from(length)
            .map_err(|_| Failure::Input("explain: no request has so many sectors".to_owned()))?,
        queue: explain.queue,
        tag: explain.tag,
        fua: explain.fua,
        meta: explain.meta,
        data: explain.data.clone(),
    };
    let device = context.device(explain.dev)?;
    let explanation = context.ask("explain", call::explain(device, &request))?;
    context.output.answer(&explanation, text)
}

/// One operation, by the name that it has in JSON.
fn op(text: &str) -> Result<Op, String> {
    let name = serde_json::Value::String(text.to_owned());
    serde_json::from_value(name).map_err(|_| {
        format!("found `{text}`, expected read, write, flush, discard or write_zeroes")
    })
}

fn text(explanation: &Explanation) -> String {
    if explanation.rules.is_empty() {
        return format!("device {} has no rules", explanation.device);
    }
    let rows = explanation.rules.iter().map(|rule| {
        [
            rule.rule.clone(),
            crate::command::dev::word(&rule.outcome),
            rule.text.clone(),
        ]
    });
    table(&["rule", "outcome", "why"], &[], rows)
}
