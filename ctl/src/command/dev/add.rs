//! `bvecctl dev add`: makes a device.

mod geometry;

use std::path::{self, PathBuf};

use anyhow::{Context as _, Error, Result};
use api::fault::Rule;
use api::{
    ClientError, DataPath, Device, DeviceConfig, Driver, Integrity, Problem, Recovery,
    TargetConfig, Transport, call,
};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};

use crate::context::{Context, refused};
use crate::exit::{Exit, Failure};
use crate::output::{counted, note};
use crate::units::Size;
use geometry::Geometry;

/// What backs the new device.
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  bvecctl dev add ram --size 256M
  bvecctl dev add loop --file disk.img --data-path copy
  bvecctl dev add null --size 1G --queues 4 --depth 64
  bvecctl dev add ram --size 256M --driver nbd")]
pub(crate) enum Target {
    /// A file or a block device; the device is as large as it.
    #[command(after_help = "Examples:
  bvecctl dev add loop --file disk.img
  bvecctl dev add loop --file /dev/vdb --direct --read-only
  bvecctl dev add loop --file disk.img --rule 'slow: delay:2ms where op=read when prob=10%' --seed 7")]
    Loop {
        /// The file or block device.
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
        /// Open it with O_DIRECT, past the page cache.
        #[arg(long)]
        direct: bool,
        #[command(flatten)]
        common: Common,
    },
    /// Memory, zero at first and gone with the device.
    #[command(after_help = "Examples:
  bvecctl dev add ram --size 256M
  bvecctl dev add ram --size 64M --data-path user-copy --logical-block 4K
  bvecctl dev add ram --size 64M --recovery reissue
  bvecctl dev add ram --size 64M --integrity t10-crc")]
    Ram {
        /// Size of the device, such as 256M.
        #[arg(long, value_name = "SIZE")]
        size: Size,
        #[command(flatten)]
        common: Common,
    },
    /// Nothing: writes vanish, and what a read finds is not defined.
    #[command(after_help = "Examples:
  bvecctl dev add null --size 1G
  bvecctl dev add null --size 1G --queues 4 --depth 64 --max-io 1M
  bvecctl dev add null --size 1G --rotational --max-segments 16 --max-discard 0")]
    Null {
        /// Size of the device, such as 1G.
        #[arg(long, value_name = "SIZE")]
        size: Size,
        #[command(flatten)]
        common: Common,
    },
}

/// What every device can be told. What is left out bvecd chooses.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// The N of /dev/ublkbN or /dev/nbdN [default: the lowest free one].
    #[arg(long, value_name = "N")]
    id: Option<u32>,
    /// Which driver of the kernel makes the block device; nbd is for kernels without ublk.
    #[arg(long, value_name = "DRIVER", default_value = "ublk", value_parser = driver())]
    driver: Driver,
    /// How payload moves between a request's pages and bvecd.
    #[arg(long, value_name = "PATH", default_value = "auto", value_parser = data_path())]
    data_path: DataPath,
    /// How requests are fetched and committed.
    #[arg(long, value_name = "TRANSPORT", default_value = "per-io", value_parser = transport())]
    transport: Transport,
    /// Hardware queues; the driver lowers the number to that of the CPUs.
    #[arg(long, value_name = "N", default_value_t = 1)]
    queues: u16,
    /// Requests in flight a queue.
    #[arg(long, value_name = "N", default_value_t = 128)]
    depth: u16,
    /// Protection information of each block, checked on the way in and out; needs user-copy.
    #[arg(long, value_name = "KIND", default_value = "none", value_parser = integrity())]
    integrity: Integrity,
    /// Make a device of the ordinary user that bvecd runs as.
    #[arg(long)]
    unprivileged: bool,
    /// Tell by an event which bytes a client changes while a write of them is under way; not with copy.
    #[arg(long)]
    stability_watch: bool,
    /// What becomes of it when bvecd is gone; with any but fail another bvecd can take it over.
    #[arg(long, value_name = "KIND", default_value = "fail", value_parser = recovery())]
    recovery: Recovery,
    /// Seed of the draws of the rules.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// A rule in force from the first request on; may be given often.
    #[arg(long = "rule", value_name = "NAME: WORDS")]
    rules: Vec<String>,
    #[command(flatten)]
    geometry: Box<Geometry>,
}

fn driver() -> impl TypedValueParser<Value = Driver> {
    PossibleValuesParser::new(Driver::ALL.map(Driver::name)).try_map(|word| word.parse::<Driver>())
}

fn data_path() -> impl TypedValueParser<Value = DataPath> {
    PossibleValuesParser::new(DataPath::ALL.map(DataPath::name))
        .try_map(|word| word.parse::<DataPath>())
}

fn integrity() -> impl TypedValueParser<Value = Integrity> {
    PossibleValuesParser::new(Integrity::ALL.map(Integrity::name))
        .try_map(|word| word.parse::<Integrity>())
}

fn transport() -> impl TypedValueParser<Value = Transport> {
    PossibleValuesParser::new(Transport::ALL.map(Transport::name))
        .try_map(|word| word.parse::<Transport>())
}

fn recovery() -> impl TypedValueParser<Value = Recovery> {
    PossibleValuesParser::new(Recovery::ALL.map(Recovery::name))
        .try_map(|word| word.parse::<Recovery>())
}

/// Makes the device.
///
/// # Errors
/// A flag cannot be used, or the daemon cannot be reached or refuses.
pub(super) fn run(target: Target, context: &Context) -> Result<Exit> {
    let config = target.config()?;
    config
        .validate()
        .map_err(|problem| in_flags(ClientError::Problem(Box::new(problem))))?;
    let device = context
        .client()?
        .send(call::add_device(&config))
        .map_err(in_flags)?;
    if device.queues < config.queues {
        let given = counted(device.queues, "queue");
        note(format!(
            "the driver gave {given} of {}: one a CPU is the most",
            config.queues
        ));
    }
    if config.unprivileged {
        note("the driver kills bvecd if it holds or delays a request of this device for 30 s");
    }
    context.output.answer(&device, line)?;
    Ok(Exit::Done)
}

impl Target {
    fn config(self) -> Result<DeviceConfig> {
        match self {
            Self::Loop {
                file,
                direct,
                common,
            } => {
                // The daemon's working directory is not ours.
                let file = path::absolute(&file)
                    .with_context(|| format!("make {} an absolute path", file.display()))?;
                common.config(TargetConfig::Loop { file, direct })
            }
            Self::Ram {
                size: Size(size_bytes),
                common,
            } => common.config(TargetConfig::Ram { size_bytes }),
            Self::Null {
                size: Size(size_bytes),
                common,
            } => common.config(TargetConfig::Null { size_bytes }),
        }
    }
}

impl Common {
    fn config(self, target: TargetConfig) -> Result<DeviceConfig> {
        let shaped = self.geometry.apply(DeviceConfig::new(target))?;
        Ok(DeviceConfig {
            id: self.id,
            driver: self.driver,
            data_path: self.data_path,
            transport: self.transport,
            queues: self.queues,
            depth: self.depth,
            integrity: self.integrity,
            unprivileged: self.unprivileged,
            stability_watch: self.stability_watch,
            recovery: self.recovery,
            rules: self
                .rules
                .iter()
                .map(|rule| named_rule(rule))
                .collect::<Result<_>>()?,
            seed: self.seed,
            ..shaped
        })
    }
}

/// Reads `NAME: WORDS`.
fn named_rule(text: &str) -> Result<Rule> {
    let Some((name, words)) = text.split_once(':') else {
        let message = format!(
            "read --rule: found `{text}`, expected NAME: WORDS, such as 'bad: fail:MEDIUM where op=read'"
        );
        return Err(Failure::Input(message).into());
    };
    let (name, words) = (name.trim(), words.trim());
    Rule::parse(name, words).map_err(|error| {
        Failure::Words {
            name: name.to_owned(),
            error,
        }
        .into()
    })
}

/// Names the flag instead of the key of the body.
fn in_flags(error: ClientError) -> Error {
    let ClientError::Problem(problem) = error else {
        return refused("add the device", error);
    };
    let pointer = problem.pointer.as_deref().and_then(flag);
    let problem = Problem {
        pointer: pointer.map(str::to_owned).or(problem.pointer),
        ..*problem
    };
    refused("add the device", ClientError::Problem(Box::new(problem)))
}

/// The flag that gives what a JSON pointer of the body names.
fn flag(pointer: &str) -> Option<&'static str> {
    let flag = match pointer {
        "/id" => "--id",
        "/target/loop/file" => "--file",
        "/target/loop/direct" => "--direct",
        "/target/ram/size_bytes" | "/target/null/size_bytes" => "--size",
        "/driver" => "--driver",
        "/data_path" => "--data-path",
        "/integrity" => "--integrity",
        "/transport" => "--transport",
        "/queues" => "--queues",
        "/depth" => "--depth",
        "/unprivileged" => "--unprivileged",
        "/stability_watch" => "--stability-watch",
        "/seed" => "--seed",
        "/recovery" => "--recovery",
        _ if pointer.starts_with("/rules/") => "--rule",
        _ => return geometry::flag(pointer),
    };
    Some(flag)
}

fn line(device: &Device) -> String {
    format!(
        "{}  {} {}  {}  {} x {}",
        device.path,
        device.target.name(),
        Size(device.size_bytes),
        device.data_path,
        counted(device.queues, "queue"),
        device.depth
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::command::dev::tests::device;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(subcommand)]
        target: Target,
    }

    fn config(line: &str) -> Result<DeviceConfig> {
        let words = ["add"].into_iter().chain(line.split('|'));
        Line::try_parse_from(words)?.target.config()
    }

    #[test]
    fn flags_become_the_body() {
        let made = config(
            "loop|--file|x.img|--direct|--id|3|--data-path|user-copy|--queues|4|--depth|64|\
             --logical-block|4K|--max-io|1M|--read-only|--seed|9|--rule|bad: fail:MEDIUM where op=read",
        )
        .unwrap();
        let TargetConfig::Loop { file, direct } = &made.target else {
            panic!("{made:?}")
        };
        assert!(file.is_absolute() && file.ends_with("x.img") && *direct);
        assert_eq!(
            (made.id, made.data_path, made.queues, made.depth),
            (Some(3), DataPath::UserCopy, 4, 64)
        );
        assert_eq!(
            (made.logical_block_bytes, made.max_io_bytes),
            (Some(4096), 1 << 20)
        );
        assert!(made.read_only && made.seed == 9);
        assert_eq!(
            made.rules,
            [Rule::parse("bad", "fail:MEDIUM where op=read").unwrap()]
        );
    }

    #[test]
    fn what_is_left_out_has_the_daemons_defaults() {
        let made = config("ram|--size|64M").unwrap();
        assert_eq!(
            made,
            DeviceConfig::new(TargetConfig::Ram {
                size_bytes: 64 << 20
            })
        );
    }

    #[test]
    fn bad_input_is_refused_where_it_is() {
        for (line, needle) in [
            ("loop", "--file"),
            ("ram", "--size"),
            ("ram|--size|64X", "column 3: found `X`"),
            ("ram|--size|64M|--file|x", "--file"),
            ("ram|--size|64M|--data-path|fast", "auto-zero-copy"),
            ("ram|--size|64M|--transport|bulk", "batch"),
            ("ram|--size|64M|--recovery|requeue", "reissue"),
            ("ram|--size|64M|--queues|many", "many"),
            ("ram|--size|64M|--queues|70000", "70000"),
            ("ram|--size|64M|--max-io|8G", "--max-io"),
            ("ram|--size|64M|--rule|fail", "expected NAME: WORDS"),
            (
                "ram|--size|64M|--rule|bad: fail wher",
                "column 6: found `wher`",
            ),
        ] {
            let message = format!("{:#}", config(line).unwrap_err());
            assert!(message.contains(needle), "{line}: {message}");
        }
    }

    #[test]
    fn a_refusal_names_the_flag() {
        let config = DeviceConfig {
            queues: 0,
            ..DeviceConfig::new(TargetConfig::Ram { size_bytes: 4096 })
        };
        let problem = config.validate().unwrap_err();
        let error = in_flags(ClientError::Problem(Box::new(problem)));
        let message = format!("{error:#}");
        assert!(
            message.starts_with("add the device: --queues: found `0`"),
            "{message}"
        );
    }

    #[test]
    fn the_new_device_is_one_line() {
        assert_eq!(
            line(&device(0)),
            "/dev/ublkb0  loop 256 MiB  auto-zero-copy  1 queue x 128"
        );
    }
}
