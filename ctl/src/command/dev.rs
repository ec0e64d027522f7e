//! `bvecctl dev`: devices.

mod add;
mod life;
mod show;

use anyhow::Result;
use api::{DeviceDeleted, DeviceList, SCHEMA, TargetConfig, call};
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::output::{counted, table};
use crate::units::Size;

/// What is done to devices.
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  bvecctl dev add ram --size 256M
  bvecctl dev add loop --file disk.img
  bvecctl dev list
  bvecctl dev show 0
  bvecctl dev resize 0 512M
  bvecctl dev quiesce 0
  bvecctl dev resume 0
  bvecctl dev del 0
  bvecctl dev del --all")]
pub(crate) enum Command {
    /// Make a device.
    #[command(subcommand)]
    Add(add::Target),
    /// List the devices.
    #[command(after_help = "Examples:\n  bvecctl dev list\n  bvecctl dev list --json")]
    List,
    /// Show everything about one device.
    #[command(after_help = "Examples:\n  bvecctl dev show\n  bvecctl dev show 0 --json")]
    Show(Show),
    /// Remove devices; what is held on them is released first.
    #[command(after_help = "Examples:\n  bvecctl dev del 0 1\n  bvecctl dev del --all")]
    Del(Del),
    /// Take the block device away and keep the device; what is held is released first.
    #[command(
        after_help = "Examples:\n  bvecctl dev stop 0\n  bvecctl dev stop 0 --safe\n  bvecctl dev resume 0"
    )]
    Stop(life::Stop),
    /// End the queues and keep the block device: its requests wait; what is held is released first.
    #[command(after_help = "Examples:
  bvecctl dev add ram --size 64M --recovery queue
  bvecctl dev quiesce 0
  bvecctl dev quiesce --all --wait 60")]
    Quiesce(life::Quiesce),
    /// Serve a quiesced or stopped device again.
    #[command(after_help = "Examples:\n  bvecctl dev resume 0")]
    Resume(life::One),
    /// Change the size of a live device; a file or memory grows with it and is never cut off.
    #[command(after_help = "Examples:\n  bvecctl dev resize 0 512M")]
    Resize(life::Resize),
    /// Take over one device of a bvecd that is gone.
    #[command(after_help = "Examples:\n  bvecctl dev recover 0")]
    Recover(life::Recover),
    /// Take over every device of a bvecd that is gone; ends with 1 if one could not be had.
    #[command(after_help = "Examples:\n  bvecctl dev adopt\n  bvecctl dev adopt --json")]
    Adopt,
    /// Remove every device of a bvecd that is gone; what waits on them fails.
    #[command(after_help = "Examples:\n  bvecctl dev reap\n  bvecctl dev reap --json")]
    Reap,
    /// Quiesce every device and end bvecd, for the next one to adopt them.
    #[command(after_help = "Examples:\n  bvecctl dev hand-over --wait 60")]
    HandOver(life::Wait),
}

/// Which device to show.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The N of /dev/ublkbN or /dev/nbdN; may be left out if there is only one.
    #[arg(value_name = "N")]
    id: Option<u32>,
}

/// Which devices to remove.
#[derive(Debug, Args)]
pub(crate) struct Del {
    /// The N of /dev/ublkbN, of each.
    #[arg(value_name = "N", required_unless_present = "all")]
    ids: Vec<u32>,
    /// Every device of this bvecd.
    #[arg(long, conflicts_with = "ids")]
    all: bool,
}

/// Does it.
///
/// # Errors
/// The daemon cannot be reached or refuses.
pub(crate) fn run(command: Command, context: &Context) -> Result<Exit> {
    match command {
        Command::Add(target) => add::run(target, context),
        Command::List => {
            let list = context.ask("list the devices", call::devices())?;
            context.output.answer(&list, list_text)?;
            Ok(Exit::Done)
        }
        Command::Show(show) => {
            let id = context.device(show.id)?;
            let device = context.ask("show the device", call::device(id))?;
            context.output.answer(&device, show::text)?;
            Ok(Exit::Done)
        }
        Command::Del(del) => delete(del, context),
        Command::Stop(stop) => life::stop(&stop, context),
        Command::Quiesce(quiesce) => life::quiesce(&quiesce, context),
        Command::Resume(one) => life::resume(&one, context),
        Command::Resize(resize) => life::resize(&resize, context),
        Command::Recover(recover) => life::recover(&recover, context),
        Command::Adopt => life::adopt(context),
        Command::Reap => life::reap(context),
        Command::HandOver(wait) => life::hand_over(&wait, context),
    }
}

/// The answer of `dev del --json`.
#[derive(Debug, Serialize)]
struct AllDeleted {
    schema: u32,
    deleted: Vec<DeviceDeleted>,
}

fn delete(del: Del, context: &Context) -> Result<Exit> {
    let ids = if del.all {
        let list = context.ask("list the devices", call::devices())?;
        list.devices.iter().map(|device| device.id).collect()
    } else {
        del.ids
    };
    let mut all = AllDeleted {
        schema: SCHEMA,
        deleted: Vec::new(),
    };
    let mut failed = None;
    for id in ids {
        // One that cannot be removed is no reason to keep the others.
        match context.ask(&format!("delete device {id}"), call::delete_device(id)) {
            Ok(deleted) => all.deleted.push(deleted),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    if failed.is_none() || !all.deleted.is_empty() {
        context.output.answer(&all, deleted_text)?;
    }
    failed.map_or(Ok(Exit::Done), Err)
}

fn deleted_text(all: &AllDeleted) -> String {
    if all.deleted.is_empty() {
        return "there was no device".to_owned();
    }
    let line = |deleted: &DeviceDeleted| match deleted.released {
        0 => format!("deleted device {}", deleted.id),
        count => {
            let released = counted(count, "held or delayed request");
            format!(
                "deleted device {} and released {released} for it",
                deleted.id
            )
        }
    };
    all.deleted.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn list_text(list: &DeviceList) -> String {
    if list.devices.is_empty() {
        return "no devices; make one with `bvecctl dev add ram --size 256M`".to_owned();
    }
    let heads = [
        "dev",
        "path",
        "target",
        "size",
        "data path",
        "queues",
        "state",
        "rules",
        "held",
    ];
    let rows = list.devices.iter().map(|device| {
        [
            device.id.to_string(),
            device.path.clone(),
            target_text(&device.target),
            Size(device.size_bytes).to_string(),
            device.data_path.to_string(),
            format!("{} x {}", device.queues, device.depth),
            word(&device.state),
            device.rules.to_string(),
            device.held.to_string(),
        ]
    });
    table(&heads, &["dev", "size", "rules", "held"], rows)
}

fn target_text(target: &TargetConfig) -> String {
    match target {
        TargetConfig::Loop {
            file,
            direct: false,
        } => format!("loop {}", file.display()),
        TargetConfig::Loop { file, direct: true } => format!("loop {} (direct)", file.display()),
        TargetConfig::Ram { .. } | TargetConfig::Null { .. } => target.name().to_owned(),
    }
}

/// The word that JSON has for a value, for people.
pub(crate) fn word<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word.replace('_', " "),
        _ => "-".to_owned(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use api::{DataPath, Device, DeviceState, Limits, Recovery, Transport};

    use super::*;

    /// A device as the daemon tells it.
    pub(crate) fn device(id: u32) -> Device {
        Device {
            schema: SCHEMA,
            id,
            path: format!("/dev/ublkb{id}"),
            driver: api::Driver::Ublk,
            state: DeviceState::Live,
            target: TargetConfig::Loop {
                file: "/var/tmp/disk.img".into(),
                direct: false,
            },
            size_bytes: 256 << 20,
            data_path: DataPath::AutoZeroCopy,
            integrity: api::Integrity::None,
            transport: Transport::PerIo,
            queues: 1,
            depth: 128,
            logical_block_bytes: 512,
            physical_block_bytes: 4096,
            max_io_bytes: 512 << 10,
            read_only: false,
            limits: Limits {
                io_min_bytes: 4096,
                io_opt_bytes: 4096,
                max_segments: 65535,
                max_segment_bytes: u32::MAX,
                segment_boundary_bytes: 1 << 32,
                dma_alignment_bytes: 512,
                rotational: false,
                volatile_cache: true,
                discard_granularity_bytes: 4096,
                max_discard_bytes: (2 << 30) - 4096,
                max_write_zeroes_bytes: (2 << 30) - 4096,
            },
            recovery: Recovery::Reissue,
            flags: vec!["USER_COPY".to_owned(), "AUTO_BUF_REG".to_owned()],
            generation: 3,
            seed: 0,
            rules: 2,
            held: 1,
            daemon_pid: 4711,
        }
    }

    #[test]
    fn the_list_fits_a_terminal() {
        let mut other = device(12);
        other.target = TargetConfig::Ram {
            size_bytes: 64 << 20,
        };
        let list = DeviceList {
            schema: SCHEMA,
            devices: vec![device(0), other],
        };
        let text = list_text(&list);
        assert!(
            text.lines().all(|line| line.chars().count() <= 100),
            "{text}"
        );
        insta::assert_snapshot!(text);
    }

    #[test]
    fn one_device_is_shown_whole() {
        insta::assert_snapshot!(show::text(&device(0)));
    }

    #[test]
    fn an_empty_list_says_what_to_do() {
        let list = DeviceList {
            schema: SCHEMA,
            devices: Vec::new(),
        };
        assert!(list_text(&list).contains("bvecctl dev add"));
    }

    #[test]
    fn released_requests_are_told() {
        let deleted = |id, released| DeviceDeleted {
            schema: SCHEMA,
            id,
            released,
        };
        let all = AllDeleted {
            schema: SCHEMA,
            deleted: vec![deleted(0, 0), deleted(1, 2)],
        };
        assert_eq!(
            deleted_text(&all),
            "deleted device 0\ndeleted device 1 and released 2 held or delayed requests for it"
        );
    }
}
