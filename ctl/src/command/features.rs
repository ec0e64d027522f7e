//! `bvecctl features`: what kernel and daemon can do.

use anyhow::Result;
use api::{FeatureFlag, Features, call};
use clap::Args;

use crate::context::Context;
use crate::exit::Exit;
use crate::output::{or_dash, table};

/// No arguments of its own.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  bvecctl features\n  bvecctl features --json")]
pub(crate) struct Arguments {}

/// Shows them.
///
/// # Errors
/// The daemon cannot be reached.
pub(crate) fn run(_: &Arguments, context: &Context) -> Result<Exit> {
    let features = context.ask("ask for the features", call::features())?;
    context.output.answer(&features, text)?;
    Ok(Exit::Done)
}

fn text(features: &Features) -> String {
    let usable = |name: String, usable: bool, why: &Option<String>| {
        let answer = if usable { "yes" } else { "no" };
        [name, answer.to_owned(), why.clone().unwrap_or_default()]
    };
    let paths = features
        .data_paths
        .iter()
        .map(|path| usable(path.name.to_string(), path.usable, &path.why));
    let transports = features
        .transports
        .iter()
        .map(|transport| usable(transport.name.to_string(), transport.usable, &transport.why));
    let flags = features.flags.iter().map(|flag: &FeatureFlag| {
        let offered = if flag.offered { "yes" } else { "no" };
        let since = or_dash(flag.since.as_ref());
        [
            flag.bit.to_string(),
            flag.name.clone(),
            since,
            offered.to_owned(),
        ]
    });
    format!(
        "kernel {}, ublk features {:#x}\n\n{}\n\n{}\n\n{}",
        features.kernel,
        features.mask,
        table(&["data path", "usable", ""], &[], paths),
        table(&["transport", "usable", ""], &[], transports),
        table(&["bit", "flag", "since", "offered"], &["bit"], flags),
    )
}

#[cfg(test)]
mod tests {
    use api::{DataPath, DataPathSupport, SCHEMA, Transport, TransportSupport};

    use super::*;

    #[test]
    fn what_is_missing_says_why() {
        let features = Features {
            schema: SCHEMA,
            kernel: "6.12.1".to_owned(),
            mask: 0x5f,
            flags: vec![
                FeatureFlag {
                    name: "SUPPORT_ZERO_COPY".to_owned(),
                    bit: 0,
                    since: Some("6.15".to_owned()),
                    offered: true,
                },
                FeatureFlag {
                    name: "unknown".to_owned(),
                    bit: 20,
                    since: None,
                    offered: true,
                },
            ],
            data_paths: vec![
                DataPathSupport {
                    name: DataPath::Copy,
                    usable: true,
                    why: None,
                },
                DataPathSupport {
                    name: DataPath::AutoZeroCopy,
                    usable: false,
                    why: Some("the kernel lacks UBLK_F_AUTO_BUF_REG (6.16)".to_owned()),
                },
            ],
            transports: vec![TransportSupport {
                name: Transport::PerIo,
                usable: true,
                why: None,
            }],
        };
        insta::assert_snapshot!(text(&features));
    }
}
