//! `bvecctl features`: what kernel and daemon can do.

use std::fmt::Write as _;

use anyhow::Result;
use api::{Driver, Features, call};
use clap::Args;

use crate::command::dev::word;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::{or_dash, table};

/// No arguments of its own.
#[derive(Debug, Args)]
#[command(after_help = "bvecd asks the driver, so it must run.

Examples:\n  bvecctl features\n  bvecctl features --json")]
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
    let rows = features.table.iter().map(|row| {
        let here = if row.usable { "yes" } else { "no" };
        let used_for = row.used_for.as_deref().unwrap_or("nothing");
        [
            word(&row.kind),
            row.name.clone(),
            or_dash(row.since.as_ref()),
            here.to_owned(),
            used_for.to_owned(),
        ]
    });
    let unknown = features.flags.iter().filter(|flag| flag.name == "unknown");
    let unknown: Vec<String> = unknown.map(|flag| flag.bit.to_string()).collect();
    let has_no_ublk = features
        .drivers
        .iter()
        .any(|driver| driver.name == Driver::Ublk && !driver.usable);
    let ublk = match has_no_ublk {
        true => "without ublk: `bvecctl dev add ... --driver nbd`".to_owned(),
        false => format!("ublk features {:#x}", features.mask),
    };
    let mut text = format!(
        "kernel {}, {ublk}\n\n{}",
        features.kernel,
        table(
            &["kind", "name", "since", "here", "bvecd uses it for"],
            &[],
            rows
        ),
    );
    if !unknown.is_empty() {
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "\n\nbits that bvecd does not know: {}",
            unknown.join(" ")
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use api::{FeatureFlag, FeatureKind, FeatureRow, SCHEMA};

    use super::*;

    fn row(
        kind: FeatureKind,
        name: &str,
        since: Option<&str>,
        usable: bool,
        used_for: Option<&str>,
    ) -> FeatureRow {
        FeatureRow {
            kind,
            name: name.to_owned(),
            since: since.map(str::to_owned),
            usable,
            used_for: used_for.map(str::to_owned),
        }
    }

    #[test]
    fn what_is_missing_says_since_when_kernels_have_it() {
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
            drivers: Vec::new(),
            data_paths: Vec::new(),
            transports: Vec::new(),
            table: vec![
                row(
                    FeatureKind::DataPath,
                    "copy",
                    None,
                    true,
                    Some("the driver copies"),
                ),
                row(
                    FeatureKind::DataPath,
                    "auto-zero-copy",
                    Some("6.16"),
                    false,
                    Some("speed"),
                ),
                row(
                    FeatureKind::Flag,
                    "NO_AUTO_PART_SCAN",
                    Some("7.0"),
                    false,
                    None,
                ),
            ],
        };
        insta::assert_snapshot!(text(&features));
    }
}
