//! What a scenario has made, and how it is taken away again, whatever happened.

use std::time::Duration;

use anyhow::Result;
use api::{Client, call};

use super::command::{Run, Started};

/// How long a command that was killed may take to end. A process waits for its requests first.
const PATIENCE: Duration = Duration::from_secs(10);

/// Everything that must not be left behind.
#[derive(Debug)]
pub(super) struct Made {
    /// The device, and whether it was made for the scenario.
    pub(super) device: Option<(u32, bool)>,
    /// Commands that run, by name.
    pub(super) running: Vec<(String, Started)>,
    pub(super) scratch: tempfile::TempDir,
    pub(super) variables: Vec<(&'static str, String)>,
}

impl Made {
    pub(super) fn new() -> Result<Self> {
        use anyhow::Context as _;
        let scratch = tempfile::Builder::new().prefix("scenario").tempdir();
        let scratch = scratch.context("make a directory for the scenario")?;
        let variables = vec![("SCRATCH", scratch.path().display().to_string())];
        Ok(Self {
            device: None,
            running: Vec::new(),
            scratch,
            variables,
        })
    }

    /// Takes everything away. Returns what could not be.
    pub(super) async fn clean_up(mut self, client: &Client, finally: &[Run]) -> Vec<String> {
        let mut left = Vec::new();
        // First of all: what waits for a held request cannot be killed.
        if let Some((device, _)) = self.device
            && let Err(error) = client.send(call::heal(Some(device))).await
        {
            left.push(format!("failed to heal device {device}: {error}"));
        }
        for (name, mut started) in self.running.drain(..) {
            started.kill();
            if tokio::time::timeout(PATIENCE, started.end()).await.is_err() {
                left.push(format!("the command `{name}` does not end"));
            }
        }
        for run in finally {
            left.extend(self.run_last(run).await);
        }
        if let Some((device, true)) = self.device
            && let Err(error) = client.send(call::delete_device(device)).await
        {
            left.push(format!("failed to delete device {device}: {error}"));
        }
        let path = self.scratch.path().display().to_string();
        if let Err(error) = self.scratch.close() {
            left.push(format!("failed to remove {path}: {error}"));
        }
        left
    }

    async fn run_last(&self, run: &Run) -> Option<String> {
        let started = Started::new(&run.command, self.scratch.path(), &self.variables);
        let mut started = match started {
            Ok(started) => started,
            Err(error) => return Some(format!("{run}: {error:#}")),
        };
        match tokio::time::timeout(run.timeout.0, started.end()).await {
            Ok(Ok((code, _))) if code == run.exit => None,
            Ok(Ok((code, said))) => Some(format!(
                "`{run}` ended with {code}, expected {}: {}",
                run.exit,
                said.trim()
            )),
            Ok(Err(error)) => Some(format!("{run}: {error:#}")),
            Err(_) => {
                started.kill();
                Some(format!("`{run}` took more than {}", run.timeout))
            }
        }
    }
}
