//! `bvecctl buffer`: memory that clients share with a device.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use anyhow::Result;
use api::{Buffer, BufferConfig, BufferList, BufferRemoved, call};
use clap::{Args, Subcommand};

use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::output::table;
use crate::units::about;

/// What is done about shared memory.
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  bvecctl dev add ram --size 64M --data-path shared-memory
  bvecctl buffer add /dev/hugepages/client
  bvecctl buffer list
  bvecctl buffer rm 0

Requests whose pages lie in a buffer are served without a copy; any other is copied.
`bvecctl stats` counts both.")]
pub(crate) enum Command {
    /// Share a file of memory with a device: a memfd, or a file on tmpfs or hugetlbfs.
    #[command(after_help = "Examples:
  bvecctl buffer add /dev/hugepages/client
  bvecctl buffer add /proc/4711/fd/3 --dev 0 --read-only

All of the file is registered, and stays pinned until it is removed or the device goes,
also if the program that made it ends. Seal a memfd with F_SEAL_SHRINK: then bvecd touches
it itself, which it leaves to the kernel where the memory could be cut short.")]
    Add(Add),
    /// List the buffers of a device.
    #[command(
        after_help = "Examples:\n  bvecctl buffer list\n  bvecctl buffer list --dev 0 --json"
    )]
    List(List),
    /// Take memory back from a device; its requests are copied again.
    #[command(after_help = "Examples:\n  bvecctl buffer rm 0\n  bvecctl buffer rm 1 --dev 0")]
    Rm(Rm),
}

/// Which memory.
#[derive(Debug, Args)]
pub(crate) struct Add {
    /// The file; it is opened here and sent to bvecd.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Serve source requests alone from it; for memory that is sealed against writing.
    #[arg(long)]
    read_only: bool,
    /// The N of /dev/ublkbN; may be left out if there is only one.
    #[arg(long, value_name = "N")]
    dev: Option<u32>,
}

/// A device.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// The N of /dev/ublkbN; may be left out if there is only one.
    #[arg(long, value_name = "N")]
    dev: Option<u32>,
}

/// Which buffer.
#[derive(Debug, Args)]
pub(crate) struct Rm {
    /// Its number, as `bvecctl buffer list` shows it.
    #[arg(value_name = "BUFFER")]
    buffer: u16,
    /// The N of /dev/ublkbN; may be left out if there is only one.
    #[arg(long, value_name = "N")]
    dev: Option<u32>,
}

/// Does it.
///
/// # Errors
/// The file cannot be opened; the daemon cannot be reached or refuses.
pub(crate) fn run(command: Command, context: &Context) -> Result<Exit> {
    match command {
        Command::Add(add) => {
            let device = context.device(add.dev)?;
            let file = open(&add.file, add.read_only)?;
            let config = BufferConfig {
                file: None,
                read_only: add.read_only,
            };
            let call = call::add_buffer(device, &config).with_file(file);
            let buffer = context.ask("share the memory", call)?;
            context.output.answer(&buffer, added_text)?;
        }
        Command::List(List { dev }) => {
            let device = context.device(dev)?;
            let list = context.ask("list the buffers", call::buffers(device))?;
            context.output.answer(&list, list_text)?;
        }
        Command::Rm(Rm { buffer, dev }) => {
            let device = context.device(dev)?;
            let call = call::remove_buffer(device, buffer);
            let removed = context.ask("take the memory back", call)?;
            context.output.answer(&removed, removed_text)?;
        }
    }
    Ok(Exit::Done)
}

fn open(path: &Path, read_only: bool) -> Result<File> {
    let shown = path.display();
    OpenOptions::new()
        .read(true)
        .write(!read_only)
        .open(path)
        .map_err(|error| Failure::Input(format!("open {shown}: {error}")).into())
}

fn added_text(buffer: &Buffer) -> String {
    format!(
        "buffer {} of device {}: {} of {}{}",
        buffer.buffer,
        buffer.device,
        about(buffer.size_bytes),
        buffer.file,
        if buffer.read_only { ", read-only" } else { "" }
    )
}

fn removed_text(removed: &BufferRemoved) -> String {
    format!(
        "removed buffer {} of device {}",
        removed.buffer, removed.device
    )
}

fn list_text(list: &BufferList) -> String {
    if list.buffers.is_empty() {
        return format!("device {} has no buffers", list.device);
    }
    let rows = list.buffers.iter().map(|buffer: &Buffer| {
        [
            buffer.buffer.to_string(),
            about(buffer.size_bytes),
            yes(buffer.read_only),
            yes(buffer.sealed),
            buffer.file.clone(),
        ]
    });
    let heads = ["buffer", "size", "read-only", "sealed", "file"];
    table(&heads, &["buffer", "size"], rows)
}

fn yes(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}

#[cfg(test)]
mod tests {
    use api::SCHEMA;

    use super::*;

    fn buffer(number: u16) -> Buffer {
        Buffer {
            schema: SCHEMA,
            device: 0,
            buffer: number,
            file: "/memfd:client (deleted)".into(),
            size_bytes: 4 << 20,
            read_only: number == 1,
            sealed: number == 0,
        }
    }

    #[test]
    fn the_list_fits_a_terminal() {
        let list = BufferList {
            schema: SCHEMA,
            device: 0,
            buffers: vec![buffer(0), buffer(1)],
        };
        insta::assert_snapshot!(list_text(&list));
    }

    #[test]
    fn what_was_done_is_one_line() {
        assert_eq!(
            added_text(&buffer(1)),
            "buffer 1 of device 0: 4.00 MiB of /memfd:client (deleted), read-only"
        );
    }
}
