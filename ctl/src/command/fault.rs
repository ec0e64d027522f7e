//! `bvecctl fault`: the rules of a device.

mod add;
mod apply;
mod change;
mod condition;
mod edit;
mod explain;
mod extents;
mod follow;
mod import;
mod list;
mod show;
mod switch;
mod wait;

use anyhow::Result;
use api::{RuleStatus, SCHEMA, call};
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
pub(crate) use apply::alone;
use change::Change;
pub(crate) use condition::Condition;
use show::rule_text;
use switch::Switch;
pub(crate) use wait::until;

const EXAMPLES: &str = "\
Words of a rule: ACTION[(KEY=VALUE,...)] [where SEL,...] [when TRIG,...] [with OPT,...]
  actions    fail(status,effect,scope)  short(sectors|frac)  delay(dist,at,lanes)  hang
             hold(max,then)  drop  corrupt(on,kind,places,ber,at,burst)  ignore_flush  ignore_fua
             torn(parts|bytes,persist,unit,status)  misdirect(to,lost)  badmap(heal,wr_fail,status)
             reorder(window,hold)  throttle(iops,bytes,burst,burst_bytes)  remove(how,return)
             crash_server(point)  resize(size)  readonly(on)  pi(tag)  set_state(state)
             mark(label)  notify
  where      op=read|write|flush|discard|write_zeroes|rw|writes|any  lba=START+LEN|START..END
             overlap=any|within|covers|exact  flags=fua+!meta  size>=64K  align=4K  queue=N
             tag=N  data=hex:HH@OFFSET|contains:HH|crc32c:X|zero  inflight>=N  epoch=N..M
  when       state=S  after_mark=M  from=5s|op:N|epoch:N  until=...  during=UP/DOWN[/PHASE]  skip=N
             nth=N  every=N  seq=xxwxW  prob=0.1|10%|1:1000  count=N  rate=10/s
  with       prio=N  final=yes  arm=now|manual|mark:M  draw=order|address  ttl=10m  seed=N
             on_remove=release|expire|fail:STATUS  allow_inert=yes

Sectors are of 512 bytes; with a suffix K, M or G they are bytes. A status is a name of the block
layer or its errno: MEDIUM or ENODATA, IOERR or EIO, NOSPC, TIMEOUT, TRANSPORT, ... fail:MEDIUM is
short for fail(status=MEDIUM). All of it: docs/faults.md.

Examples:
  bvecctl fault add bad 'fail:MEDIUM where op=read,lba=2048+8 when count=1'
  bvecctl fault add slow 'delay:2ms where op=write when prob=10%,seed=7'
  bvecctl fault add stop 'hold:max=30s where op=read when count=1'
  bvecctl fault list
  bvecctl fault rm bad";

/// What is done to rules.
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Command {
    /// Add a rule behind those there are; it is in force when this returns.
    #[command(after_help = add::EXAMPLES)]
    Add(add::Add),
    /// Put the rules of a file in the place of those there are.
    #[command(after_help = apply::APPLY_EXAMPLES)]
    Apply(apply::Apply),
    /// Say whether the rules of a file make sense; nothing is changed.
    #[command(after_help = apply::CHECK_EXAMPLES)]
    Check(apply::Check),
    /// Make rules of what dm-dust, dm-flakey, ddrescue, null_blk or QEMU's blkdebug call faults.
    #[command(after_help = import::EXAMPLES)]
    Import(import::Import),
    /// List the rules and how often each fired.
    #[command(after_help = list::EXAMPLES)]
    List(list::List),
    /// Show everything about one rule.
    #[command(after_help = "Examples:\n  bvecctl fault show bad\n  bvecctl fault show bad --dev 0")]
    Show(Named),
    /// Put another rule in the place of one, under the same name.
    #[command(after_help = edit::EXAMPLES)]
    Edit(edit::Edit),
    /// Remove a rule and release what it holds.
    #[command(after_help = change::RM_EXAMPLES)]
    Rm(Removal),
    /// Remove every rule of a device and release what they hold.
    #[command(
        after_help = "Examples:\n  bvecctl fault clear\n  bvecctl fault clear --dev 0 --drain"
    )]
    Clear(Clearing),
    /// Enable a rule again.
    #[command(after_help = "Examples:\n  bvecctl fault enable bad")]
    Enable(Named),
    /// Disable a rule: it fires on nothing and keeps its counts.
    #[command(
        after_help = "Examples:\n  bvecctl fault disable bad\n  bvecctl fault disable bad --dev 0"
    )]
    Disable(Named),
    /// Arm a rule that was added with `with arm=manual`.
    #[command(
        after_help = "Examples:\n  bvecctl fault add once 'fail when count=1 with arm=manual'\n  bvecctl fault arm once"
    )]
    Arm(Named),
    /// Disarm a rule.
    #[command(after_help = "Examples:\n  bvecctl fault disarm once")]
    Disarm(Named),
    /// Say what the rules would do to a request, and why not.
    #[command(after_help = explain::EXAMPLES)]
    Explain(explain::Explain),
    /// Wait until a rule has fired or holds so often; ends with 3 when that does not happen in time.
    #[command(after_help = wait::EXAMPLES)]
    Wait(wait::Wait),
    /// Show which sectors a file on a device lies on.
    #[command(after_help = extents::EXAMPLES)]
    Extents(extents::Extents),
    /// Keep a rule on the sectors of a file when the file system moves them; ends by Ctrl-C.
    #[command(after_help = follow::EXAMPLES)]
    Follow(follow::Follow),
}

/// A rule that there is.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// Its name.
    name: String,
    #[command(flatten)]
    of: OfDevice,
}

/// A rule to remove.
#[derive(Debug, Args)]
pub(crate) struct Removal {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    change: Change,
}

/// Rules to remove.
#[derive(Debug, Args)]
pub(crate) struct Clearing {
    #[command(flatten)]
    of: OfDevice,
    #[command(flatten)]
    change: Change,
}

/// A device.
#[derive(Debug, Args)]
pub(crate) struct OfDevice {
    /// The N of /dev/ublkbN; may be left out if there is only one.
    #[arg(long, value_name = "N")]
    dev: Option<u32>,
}

/// Does it.
///
/// # Errors
/// The words are not a rule, or the daemon cannot be reached or refuses.
pub(crate) fn run(command: Command, context: &Context) -> Result<Exit> {
    match command {
        Command::Add(add) => add::run(&add, context)?,
        Command::Apply(apply) => apply::run(&apply, context)?,
        Command::Check(check) => apply::run_check(&check, context)?,
        Command::List(list) => list::run(&list, context)?,
        Command::Edit(edit) => edit::run(&edit, context)?,
        Command::Import(import) => import::run(&import, context)?,
        Command::Show(Named { name, of }) => {
            let device = context.device(of.dev)?;
            let status = context.ask("show the rule", call::rule(device, &name))?;
            let shown = Shown {
                schema: SCHEMA,
                device,
                rule: status,
            };
            context
                .output
                .answer(&shown, |shown| rule_text(&shown.rule))?;
        }
        Command::Rm(Removal { named, change }) => {
            let device = context.device(named.of.dev)?;
            let options = change.options();
            let call = call::remove_rule(device, &named.name).under(&options);
            let changed = change::ask(context, "remove the rule", call, &options)?;
            let what = format!("removed {} from", named.name);
            context
                .output
                .answer(&changed, |changed| change::text(&what, changed))?;
        }
        Command::Clear(Clearing { of, change }) => {
            let device = context.device(of.dev)?;
            let options = change.options();
            let call = call::clear_rules(device).under(&options);
            let changed = change::ask(context, "remove the rules", call, &options)?;
            context.output.answer(&changed, |changed| {
                change::text("removed every rule from", changed)
            })?;
        }
        Command::Enable(named) => switch::run(Switch::Enable, &named, context)?,
        Command::Disable(named) => switch::run(Switch::Disable, &named, context)?,
        Command::Arm(named) => switch::run(Switch::Arm, &named, context)?,
        Command::Disarm(named) => switch::run(Switch::Disarm, &named, context)?,
        Command::Explain(explain) => explain::run(&explain, context)?,
        Command::Wait(wait) => wait::run(&wait, context)?,
        Command::Extents(extents) => extents::run(&extents, context)?,
        Command::Follow(follow) => follow::run(&follow, context)?,
    }
    Ok(Exit::Done)
}

/// The answer of `fault show --json` and `fault wait --json`.
#[derive(Debug, Serialize)]
struct Shown {
    schema: u32,
    device: u32,
    rule: RuleStatus,
}
