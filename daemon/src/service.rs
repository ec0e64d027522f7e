//! The daemon's life: it serves until a signal, then takes its devices away.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::device::Failure;
use crate::devices::Devices;
use crate::server;
use crate::socket;

/// Serves until a signal says stop, then removes every device.
///
/// # Errors
/// The socket cannot be made, or a device could not be removed.
pub async fn run(socket: &Path) -> Result<()> {
    // First, so that an early signal is not lost.
    let mut stop = StopSignals::new()?;
    let (listener, _socket) = socket::bind(socket)?;
    let (devices, failures) = Devices::new();
    let cleaner = tokio::spawn(remove_failed(Arc::clone(&devices), failures));
    // Fails only where the service manager's socket is broken, which is no reason not to serve.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    tracing::info!(socket = %socket.display(), "serving");
    let server = server::serve(listener, Arc::clone(&devices));
    let signal = tokio::select! {
        signal = stop.next() => signal,
        // It ends only when the listener fails.
        ended = server => return ended.context("serve the API"),
    };
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    tracing::info!(signal, devices = devices.all().len(), "stopping");
    cleaner.abort();
    let failed = devices.close().await;
    if failed > 0 {
        bail!("{failed} devices could not be removed; see the messages above");
    }
    Ok(())
}

/// Removes devices whose queues ended by themselves: their clients get errors instead of waiting.
async fn remove_failed(devices: Arc<Devices>, mut failures: mpsc::UnboundedReceiver<Failure>) {
    while let Some(failure) = failures.recv().await {
        let Some(device) = devices.get(failure.device) else {
            continue;
        };
        tracing::error!(device = failure.device, error = %failure.error, "removing a failed device");
        let devices = Arc::clone(&devices);
        // Each by itself: one that waits must not keep the others waiting.
        tokio::spawn(async move {
            if let Err(error) = devices.delete(device).await {
                tracing::error!(device = failure.device, %error, "could not be removed");
            }
        });
    }
}

/// SIGTERM and SIGINT.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn new() -> Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("wait for SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("wait for SIGINT")?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
