//! Where messages go: the journal when systemd started us, else stderr.

use anyhow::{Context, Result};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Sets up messages by a filter such as `info` or `daemon=debug,warn`.
///
/// # Errors
/// The filter makes no sense.
pub fn start(filter: &str) -> Result<()> {
    let filter = EnvFilter::try_new(filter).with_context(|| {
        format!("read --log {filter:?}; e.g. `info`, `debug`, or `daemon=debug,warn`")
    })?;
    let registry = tracing_subscriber::registry().with(filter);
    // systemd sets it when stderr goes to the journal (systemd.exec(5)).
    let journal = std::env::var_os("JOURNAL_STREAM").and_then(|_| tracing_journald::layer().ok());
    match journal {
        Some(layer) => registry.with(layer).init(),
        None => {
            let layer = tracing_subscriber::fmt::layer()
                .with_writer(std::io::stderr)
                .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
            registry.with(layer).init();
        }
    }
    Ok(())
}
