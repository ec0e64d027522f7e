//! bvecd: flags, namespace, messages, service.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use daemon::config::Flags;
use daemon::owner::owner_of;
use daemon::process::{self, LockError};
use daemon::{logging, service};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("failed to {error:#}");
            // Before logging is set up nobody listens to the line above.
            if !tracing::event_enabled!(tracing::Level::ERROR) {
                report(&error);
            }
            exit_code(&error)
        }
    }
}

fn run() -> Result<()> {
    let flags = Flags::parse();
    if let Some(node) = &flags.owner_of {
        return Ok(writeln!(std::io::stdout(), "{}", owner_of(node)?)?);
    }
    let config = flags.resolve()?;
    logging::start(&config.log)?;
    if config.mlock {
        process::lock_memory()?;
    }
    check_drivers()?;
    process::raise_file_limit();
    match process::leave_mount_namespace() {
        // An ordinary user cannot mount anything on a device of theirs in this namespace.
        Err(error) if !ublk::control::is_privileged() => tracing::warn!(
            %error,
            "no mount namespace of our own, which needs CAP_SYS_ADMIN: what root mounts on a device of ours must \
             be unmounted before the last process of this namespace ends"
        ),
        left => left.context("make a mount namespace of our own")?,
    }
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the server's runtime")?
        .block_on(service::run(&config))
}

/// There must be a driver that can make a block device: ublk, or the NBD client.
fn check_drivers() -> Result<(), ublk::Error> {
    match ublk::control::check_access() {
        Err(ublk::Error::NoDriver) if ublk::nbd::is_there() => {
            tracing::warn!(
                "this kernel has no ublk driver loaded; devices are to be added with --driver nbd"
            );
            Ok(())
        }
        other => other,
    }
}

/// 4 where something needed is missing (interfaces: exit codes), else 1.
fn exit_code(error: &anyhow::Error) -> ExitCode {
    if error.is::<LockError>() {
        return ExitCode::from(4);
    }
    match error.downcast_ref::<ublk::Error>() {
        Some(ublk::Error::NoDriver | ublk::Error::Denied) => ExitCode::from(4),
        _ => ExitCode::FAILURE,
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the one message that comes before logging"
)]
fn report(error: &anyhow::Error) {
    eprintln!("bvecd: failed to {error:#}");
}
