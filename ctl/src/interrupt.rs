//! Ctrl-C and SIGTERM as something to ask about, for commands that must clean up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use anyhow::{Context, Result};
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use crate::exit::Failure;

/// Whether the user wants it to end. Clones ask about the same.
#[derive(Debug, Clone)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Takes over SIGINT, SIGTERM and SIGHUP for the rest of the process's life. SIGQUIT still kills.
    ///
    /// # Errors
    /// The handlers cannot be installed.
    pub(crate) fn watch() -> Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&flag);
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .context("start a runtime for signals")?;
        let guard = runtime.enter();
        let wait_for = |kind| signal(kind).context("wait for signals");
        let mut interrupt = wait_for(SignalKind::interrupt())?;
        let mut terminate = wait_for(SignalKind::terminate())?;
        let mut hangup = wait_for(SignalKind::hangup())?;
        drop(guard);
        thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                    _ = hangup.recv() => {}
                }
                seen.store(true, Relaxed);
            });
        });
        Ok(Self(flag))
    }

    /// Whether a signal came, for those who ask themselves.
    pub(crate) fn flag(&self) -> &AtomicBool {
        &self.0
    }

    /// Whether a signal came.
    pub(crate) fn is_raised(&self) -> bool {
        self.0.load(Relaxed)
    }

    /// Says that a signal came to somebody else: one that is pending for all threads goes to whichever takes it first,
    /// and a guest's watcher waits for the same ones.
    pub(crate) fn raise(&self) {
        self.0.store(true, Relaxed);
    }

    /// Ends what is going on if a signal came.
    ///
    /// # Errors
    /// [`Failure::Interrupted`]
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_raised() {
            Err(Failure::Interrupted.into())
        } else {
            Ok(())
        }
    }
}
