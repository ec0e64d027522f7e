//! The demo's two experiments: the page of a held read, and a medium error.

use anyhow::Result;
use api::{DataPath, DeviceConfig, TargetConfig};
use lab::{Fault, HeldPage, Subject, held_page, medium_error};
use pages::PageScope;

use super::stage::Stage;
use crate::exit::Failure;
use crate::interrupt::Interrupt;

/// Does both on one device, of the last of the data paths.
///
/// # Errors
/// The kernel cannot be asked about its pages, or an experiment has no answer.
pub(super) fn run(
    stage: &Stage,
    paths: &[DataPath],
    interrupt: &Interrupt,
) -> Result<(HeldPage, Fault)> {
    let Some(data_path) = paths.last().copied() else {
        return Err(Failure::Missing("find a data path for the experiments".to_owned()).into());
    };
    interrupt.check()?;
    let target = TargetConfig::Loop {
        file: stage.backing.clone(),
        direct: false,
    };
    let config = DeviceConfig {
        data_path,
        ..DeviceConfig::new(target)
    };
    // The slow part, before anything is held.
    let scope = PageScope::open()?;
    let own = stage.add(&config)?;
    let subject = Subject {
        client: &stage.client,
        device: &own.device,
    };
    let hold = held_page::run(&subject, &scope)?;
    interrupt.check()?;
    let fault = medium_error::run(&subject, medium_error::DEFAULT_SECTOR)?;
    own.remove()?;
    Ok((hold, fault))
}
