//! The daemon's life: it serves until a signal, then takes its devices away.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::config::Config;
use crate::device::Failure;
use crate::devices::Devices;
use crate::server;
use crate::shared::Wish;
use crate::socket;
use crate::state::StateDir;

/// How long answers that are under way may take once the devices were handed over. Who follows the events
/// would be answered for ever.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// Serves until a signal says stop, then removes every device; or until its devices were handed over, then
/// leaves them behind.
///
/// # Errors
/// The socket or the state directory cannot be made, or a device could not be removed.
pub async fn run(config: &Config) -> Result<()> {
    // First, so that an early signal is not lost.
    let mut stop = StopSignals::new()?;
    let (listener, _socket) = socket::bind(&config.socket)?;
    // After the socket: whoever has that has the state files beside it.
    let state = StateDir::open(&config.state)?;
    let metrics = listen_for_metrics(config).await?;
    let (devices, from_queues) = Devices::new(Some(state));
    let cleaner = tokio::spawn(remove_failed(Arc::clone(&devices), from_queues.failed));
    let wishes = tokio::spawn(fulfil(Arc::clone(&devices), from_queues.wished));
    let history = tokio::spawn(keep_history(Arc::clone(&devices)));
    take_over(config, &devices).await;
    // Fails only where the service manager's socket is broken, which is no reason not to serve.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    tracing::info!(socket = %config.socket.display(), "serving");
    if let Some(listener) = metrics {
        tokio::spawn(server::serve_metrics(listener, Arc::clone(&devices)));
    }
    let server = server::serve(listener, Arc::clone(&devices));
    let signal = tokio::select! {
        signal = stop.next() => signal,
        // It ends when the listener fails, or when the devices were handed over.
        ended = server => return ended.context("serve the API"),
        () = handed_over(&devices) => return Ok(()),
    };
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    tracing::info!(signal, devices = devices.all().len(), "stopping");
    cleaner.abort();
    wishes.abort();
    history.abort();
    let failed = devices.close().await;
    if failed > 0 {
        bail!("{failed} devices could not be removed; see the messages above");
    }
    Ok(())
}

/// The port for metrics, if one is asked for.
async fn listen_for_metrics(config: &Config) -> Result<Option<TcpListener>> {
    let Some(address) = config.metrics else {
        return Ok(None);
    };
    let listener = TcpListener::bind(address.address())
        .await
        .with_context(|| {
            format!("listen on {address} for metrics; choose another --metrics ADDRESS:PORT")
        })?;
    let at = listener.local_addr().context("find the port of metrics")?;
    tracing::info!(%at, "serving metrics");
    Ok(Some(listener))
}

/// Takes over what a daemon that is gone has left, if that is asked for; else tells of it.
async fn take_over(config: &Config, devices: &Arc<Devices>) {
    let left = devices.left_behind();
    if !config.adopt {
        if !left.is_empty() {
            tracing::warn!(devices = ?left, "left by a daemon that is gone; `bvecctl dev adopt` takes them over, `bvecctl dev reap` removes them");
        }
        return;
    }
    match devices.adopt().await {
        Ok((_, refused)) => {
            for (device, error) in refused {
                tracing::error!(device, %error, "was not taken over");
            }
        }
        Err(error) => tracing::error!(%error, "nothing was taken over"),
    }
}

/// Returns some time after the devices were handed over.
async fn handed_over(devices: &Devices) {
    let mut leaving = devices.leaving.subscribe();
    // The sender lives as long as the devices.
    let _ = leaving.wait_for(|leaving| *leaving).await;
    tokio::time::sleep(LAST_ANSWERS).await;
}

/// Sees to devices whose queues ended by themselves: those that outlive their daemon are quiesced from then
/// on, others are removed, so that their clients get errors instead of waiting.
async fn remove_failed(devices: Arc<Devices>, mut failures: mpsc::UnboundedReceiver<Failure>) {
    while let Some(failure) = failures.recv().await {
        let Some(device) = devices.get(failure.device) else {
            continue;
        };
        tracing::error!(device = failure.device, error = %failure.error, "a device has failed");
        let devices = Arc::clone(&devices);
        // Each by itself: one that waits must not keep the others waiting.
        tokio::spawn(async move {
            if let Err(error) = devices.after_failure(device).await {
                tracing::error!(device = failure.device, %error, "could not be seen to");
            }
        });
    }
}

/// How old the history of rules on file may be when a daemon is killed.
const HISTORY_AGE: Duration = Duration::from_secs(1);

/// Puts on file, from time to time, what rules have been through.
async fn keep_history(devices: Arc<Devices>) {
    loop {
        tokio::time::sleep(HISTORY_AGE).await;
        for device in devices.all() {
            // The file is on a file system in memory, and short.
            device.remember_history();
        }
    }
}

/// Does what rules want of their devices.
async fn fulfil(devices: Arc<Devices>, mut wished: mpsc::UnboundedReceiver<(u32, Wish)>) {
    while let Some((id, wish)) = wished.recv().await {
        let Some(device) = devices.get(id) else {
            continue;
        };
        tracing::info!(device = id, ?wish, "a rule wants this of the device");
        // Each by itself, as above.
        tokio::spawn(async move { device.fulfil(wish).await });
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
