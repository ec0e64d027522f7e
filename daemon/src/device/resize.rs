//! A device gets another size while it is served.

use std::sync::Arc;

use api::{DeviceState, Driver, EventKind};
use ublk::{Features, control};

use super::plan::Source;
use super::{Device, DeviceError};
use crate::mailbox::Command;

/// Where in the body of the request the size stands.
const FIELD: &str = "/size_bytes";

impl Device {
    /// Changes the size, live. A file is made longer if it must be, memory too; nothing is cut off: what lies
    /// behind the end of a device that has shrunk is there again when it grows.
    ///
    /// # Errors
    /// [`DeviceError::Config`] if the size is not possible, [`DeviceError::Rule`] if a rule names sectors
    /// behind the new end, the driver's; the size is as it was.
    pub async fn resize(self: &Arc<Self>, size_bytes: u64) -> Result<(), DeviceError> {
        self.check_size(size_bytes)?;
        let before = self.size_bytes();
        // Rules first where the device shrinks, last where it grows: they never name what is not there.
        if size_bytes < before {
            self.rules_at(size_bytes).await?;
        }
        let subject = Arc::clone(self);
        let moved = tokio::task::spawn_blocking(move || subject.move_end(size_bytes)).await;
        let moved = moved.unwrap_or_else(|error| {
            Err(DeviceError::System {
                what: "resize the device",
                source: std::io::Error::other(error),
            })
        });
        match moved {
            Ok(()) if size_bytes > before => self.rules_at(size_bytes).await?,
            Ok(()) => {}
            Err(error) => {
                if size_bytes < before {
                    self.rules_at(before).await?;
                }
                return Err(error);
            }
        }
        self.report(EventKind::DeviceResized, None);
        Ok(())
    }

    fn check_size(&self, size_bytes: u64) -> Result<(), DeviceError> {
        let block = u64::from(self.logical_block_bytes);
        if size_bytes == 0 || !size_bytes.is_multiple_of(block) {
            return Err(impossible(format!(
                "{size_bytes} bytes are not a multiple of the logical block, {block} bytes, above 0"
            )));
        }
        Ok(())
    }

    async fn rules_at(&self, size_bytes: u64) -> Result<(), DeviceError> {
        let unchanged = |set: &fault::RuleSet| {
            let rules: Vec<fault::Rule> = set.rules().cloned().collect();
            Ok::<_, DeviceError>(rules.into())
        };
        let change = self.change_rules_at(Some(size_bytes), unchanged);
        change.await.map(drop)
    }

    fn move_end(&self, size_bytes: u64) -> Result<(), DeviceError> {
        let mut life = self.life();
        if self.shown_state() != DeviceState::Live || self.is_closing() {
            let text = format!(
                "device {} is not live, and only a live one has a size",
                self.id()
            );
            return Err(DeviceError::Conflict(text));
        }
        if self.config.driver == Driver::Ublk {
            Features::probe()?.require(Features::UPDATE_SIZE)?;
        }
        let mut grown_file = None;
        match &mut life.plan.source {
            Source::Loop(backing) => {
                grown_file = backing
                    .grow(size_bytes)
                    .map_err(|error| impossible(error.to_string()))?
            }
            Source::Ram(ram) => {
                let longest = u64::try_from(ram.memory.mapping().len_bytes()).unwrap_or(u64::MAX);
                if size_bytes > longest {
                    *ram = ram
                        .grown(size_bytes)
                        .map_err(|error| impossible(error.to_string()))?;
                }
            }
            Source::Null => {}
        }
        if let Source::Ram(_) = &life.plan.source {
            self.retarget(&life.plan.source);
        }
        let moved = match life.link.client() {
            Some(client) => client.resize(size_bytes),
            None => control::resize(self.id(), size_bytes >> 9),
        };
        if let Err(error) = moved {
            if let Some(grown) = grown_file {
                grown.shrink_again();
            }
            return Err(error.into());
        }
        life.plan.params.device_sectors = size_bytes >> 9;
        Ok(())
    }

    /// Gives every queue the memory as it is now.
    fn retarget(&self, source: &Source) {
        let answers = self.ask(|answer| Command::Retarget(source.target(self.info.depth), answer));
        for answer in answers {
            // A queue that has ended reaches nothing.
            let _ = answer.blocking_recv();
        }
    }
}

fn impossible(reason: String) -> DeviceError {
    DeviceError::Config {
        field: FIELD,
        reason,
    }
}
