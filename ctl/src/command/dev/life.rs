//! `bvecctl dev stop|quiesce|resume|resize|recover|adopt|reap|hand-over`: the verbs of a device's life.

use std::time::Duration;

use anyhow::Result;
use api::{
    Adopted, Call, DeviceChanged, DeviceLeft, DeviceState, HandedOver, ProblemCode, QuiesceRequest,
    Reaped, ResizeRequest, SCHEMA, StopRequest, call,
};
use clap::Args;
use serde::Serialize;

use crate::context::{Context, refused};
use crate::exit::{Exit, Failure};
use crate::output::{counted, note};
use crate::units::Size;

/// What an answer may take beyond the time that the daemon waits for a backing.
const ANSWER: Duration = Duration::from_secs(60);

/// Which device.
#[derive(Debug, Args)]
pub(crate) struct One {
    /// The N of /dev/ublkbN; may be left out if there is only one.
    #[arg(value_name = "N")]
    id: Option<u32>,
}

/// Which device to stop, and how.
#[derive(Debug, Args)]
pub(crate) struct Stop {
    /// The N of /dev/ublkbN; may be left out if there is only one.
    #[arg(value_name = "N")]
    id: Option<u32>,
    /// Refuse while a client has it open, and change nothing then (Linux 7.0).
    #[arg(long)]
    safe: bool,
}

/// Which devices to quiesce.
#[derive(Debug, Args)]
pub(crate) struct Quiesce {
    /// The N of /dev/ublkbN; may be left out if there is only one.
    #[arg(value_name = "N")]
    id: Option<u32>,
    /// Every device of this bvecd.
    #[arg(long, conflicts_with = "id")]
    all: bool,
    #[command(flatten)]
    wait: Wait,
}

/// How long to wait for the backing.
#[derive(Debug, Args)]
pub(crate) struct Wait {
    /// How long requests may be with the backing, in seconds; then it is taken back.
    #[arg(long, value_name = "S", default_value_t = 10)]
    wait: u64,
}

/// Which device to resize.
#[derive(Debug, Args)]
pub(crate) struct Resize {
    /// The N of /dev/ublkbN.
    #[arg(value_name = "N")]
    id: u32,
    /// The new size, such as 512M.
    #[arg(value_name = "SIZE")]
    size: Size,
}

/// Which device to take over.
#[derive(Debug, Args)]
pub(crate) struct Recover {
    /// The N of /dev/ublkbN.
    #[arg(value_name = "N")]
    id: u32,
}

impl Wait {
    fn request(&self) -> QuiesceRequest {
        QuiesceRequest {
            wait_ns: self.wait.saturating_mul(1_000_000_000),
        }
    }

    fn limit(&self) -> Duration {
        Duration::from_secs(self.wait).saturating_add(ANSWER)
    }
}

pub(super) fn stop(stop: &Stop, context: &Context) -> Result<Exit> {
    let id = context.device(stop.id)?;
    let request = StopRequest { safe: stop.safe };
    change(
        context,
        &format!("stop device {id}"),
        call::stop(id, &request),
    )
}

pub(super) fn resume(one: &One, context: &Context) -> Result<Exit> {
    let id = context.device(one.id)?;
    change(context, &format!("resume device {id}"), call::resume(id))
}

pub(super) fn resize(resize: &Resize, context: &Context) -> Result<Exit> {
    let (id, Size(size_bytes)) = (resize.id, resize.size);
    let call = call::resize(id, &ResizeRequest { size_bytes });
    change(context, &format!("resize device {id}"), call)
}

pub(super) fn recover(recover: &Recover, context: &Context) -> Result<Exit> {
    let id = recover.id;
    change(context, &format!("recover device {id}"), call::recover(id))
}

fn change(context: &Context, what: &str, call: Call<DeviceChanged>) -> Result<Exit> {
    let changed = context.ask(what, call)?;
    context.output.answer(&changed, changed_text)?;
    Ok(Exit::Done)
}

/// The answer of `dev quiesce --json`.
#[derive(Debug, Serialize)]
struct AllQuiesced {
    schema: u32,
    quiesced: Vec<DeviceChanged>,
}

pub(super) fn quiesce(quiesce: &Quiesce, context: &Context) -> Result<Exit> {
    let ids = if quiesce.all {
        let list = context.ask("list the devices", call::devices())?;
        list.devices.iter().map(|device| device.id).collect()
    } else {
        vec![context.device(quiesce.id)?]
    };
    let client = context.client()?.with_timeout(quiesce.wait.limit());
    let mut all = AllQuiesced {
        schema: SCHEMA,
        quiesced: Vec::new(),
    };
    let mut failed = None;
    for id in ids {
        // One that cannot be quiesced is no reason to go on serving the others.
        match client.send(call::quiesce(id, &quiesce.wait.request())) {
            Ok(changed) => all.quiesced.push(changed),
            Err(error) => {
                failed = failed.or(Some(refused(&format!("quiesce device {id}"), error)));
            }
        }
    }
    if failed.is_none() || !all.quiesced.is_empty() {
        context.output.answer(&all, |all| {
            lines(all.quiesced.iter().map(changed_text), "there was no device")
        })?;
    }
    failed.map_or(Ok(Exit::Done), Err)
}

pub(super) fn adopt(context: &Context) -> Result<Exit> {
    let adopted = context.ask("adopt devices", call::adopt())?;
    context.output.answer(&adopted, adopted_text)?;
    end(&adopted.left, "taken over")
}

pub(super) fn reap(context: &Context) -> Result<Exit> {
    let reaped = context.ask("reap devices", call::reap())?;
    context.output.answer(&reaped, reaped_text)?;
    end(&reaped.left, "removed")
}

pub(super) fn hand_over(wait: &Wait, context: &Context) -> Result<Exit> {
    let client = context.client()?.with_timeout(wait.limit());
    let handed = client
        .send(call::hand_over(&wait.request()))
        .map_err(|error| refused("hand over", error))?;
    context.output.answer(&handed, handed_text)?;
    Ok(Exit::Done)
}

/// Tells of devices that were left; 4 if something needed is missing for one, else 1.
fn end(left: &[DeviceLeft], done: &str) -> Result<Exit> {
    for one in left {
        note(format!("device {} was not {done}: {}", one.id, one.problem));
    }
    let missing = |one: &&DeviceLeft| one.problem.code == ProblemCode::Unsupported;
    match left.iter().find(missing) {
        Some(one) => {
            Err(Failure::Missing(format!("have every device {done}: {}", one.problem)).into())
        }
        None if left.is_empty() => Ok(Exit::Done),
        None => Ok(Exit::Bad),
    }
}

fn changed_text(changed: &DeviceChanged) -> String {
    let device = &changed.device;
    let state = super::word(&device.state);
    let size = match device.state {
        DeviceState::Stopped => String::new(),
        _ => format!(", {}", Size(device.size_bytes)),
    };
    let released = match changed.released {
        0 => String::new(),
        count => format!(
            "; released {} for it",
            counted(count, "held or delayed request")
        ),
    };
    format!("device {} is {state}{size}{released}", device.id)
}

fn adopted_text(adopted: &Adopted) -> String {
    let line = |device: &api::Device| {
        let size = Size(device.size_bytes);
        format!("adopted {}  {} {size}", device.path, device.target.name())
    };
    lines(
        adopted.adopted.iter().map(line),
        "there was nothing to adopt",
    )
}

fn reaped_text(reaped: &Reaped) -> String {
    let line = |id: &u32| format!("reaped device {id}");
    lines(reaped.reaped.iter().map(line), "there was nothing to reap")
}

fn handed_text(handed: &HandedOver) -> String {
    let released = match handed.released {
        0 => String::new(),
        count => format!(
            ", and released {} for it",
            counted(count, "held or delayed request")
        ),
    };
    let count = u64::try_from(handed.devices.len()).unwrap_or(u64::MAX);
    format!(
        "bvecd ends and leaves {}{released}; `bvecd --adopt` takes over",
        counted(count, "quiesced device")
    )
}

fn lines(lines: impl Iterator<Item = String>, none: &str) -> String {
    let text = lines.collect::<Vec<_>>().join("\n");
    match text.is_empty() {
        true => none.to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use api::Problem;

    use super::*;
    use crate::command::dev::tests::device;

    fn changed(state: DeviceState, released: u64) -> DeviceChanged {
        DeviceChanged {
            schema: SCHEMA,
            device: api::Device { state, ..device(3) },
            released,
        }
    }

    #[test]
    fn what_became_of_a_device_is_one_line() {
        let text = changed_text(&changed(DeviceState::Quiesced, 2));
        assert_eq!(
            text,
            "device 3 is quiesced, 256 MiB; released 2 held or delayed requests for it"
        );
        let text = changed_text(&changed(DeviceState::Stopped, 0));
        assert_eq!(text, "device 3 is stopped");
    }

    #[test]
    fn a_device_that_was_left_makes_the_answer_bad() {
        let left = |code| {
            vec![DeviceLeft {
                id: 1,
                problem: Problem::new(code, "it is not there"),
            }]
        };
        assert_eq!(end(&[], "removed").unwrap(), Exit::Done);
        assert_eq!(
            end(&left(ProblemCode::Conflict), "removed").unwrap(),
            Exit::Bad
        );
        let error = end(&left(ProblemCode::Unsupported), "removed").unwrap_err();
        assert!(error.downcast_ref::<Failure>().is_some(), "{error}");
    }

    #[test]
    fn nothing_to_do_is_said() {
        let reaped = Reaped {
            schema: SCHEMA,
            reaped: Vec::new(),
            left: Vec::new(),
        };
        assert_eq!(reaped_text(&reaped), "there was nothing to reap");
    }
}
