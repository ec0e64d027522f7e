//! A SCSI target of the kernel (LIO) whose backstore is a file, here our device, and which is looped back to this machine.

use std::path::Path;

use super::{Stacked, block_devices, needs_module, set};
use crate::Result;

const TARGET: &str = "/sys/kernel/config/target";

impl Stacked {
    /// The SCSI disk of such a target. With `direct` the backstore's I/O is asynchronous and direct (`fd_async_io`), else it
    /// goes through the page cache.
    pub(crate) fn lio_file(device: &str, direct: bool) -> Result<Self> {
        for (module, config) in [
            ("target_core_mod", "CONFIG_TARGET_CORE"),
            ("target_core_file", "CONFIG_TCM_FILEIO"),
            ("tcm_loop", "CONFIG_LOOPBACK_TARGET"),
            ("sd_mod", "CONFIG_BLK_DEV_SD"),
        ] {
            needs_module(module, config)?;
        }
        let mut stacked = Self::default();
        stacked.configfs()?;
        let adapter = stacked.object(format!("{TARGET}/core/fileio_0"))?;
        let store = stacked.object(adapter.join("bvec-lab"))?;
        // The option can be given or left out, not said to be off.
        let how = if direct { ",fd_async_io=1" } else { "" };
        set(store.join("control"), &format!("fd_dev_name={device}{how}"))?;
        set(store.join("enable"), "1")?;
        let fabric = Path::new(TARGET).join("loopback");
        if !fabric.exists() {
            stacked.object(&fabric)?;
        }
        // Names of the kind that LIO wants: naa., then sixteen digits.
        let number = std::process::id();
        let wwn = stacked.object(fabric.join(format!("naa.50014050{number:08x}")))?;
        let group = stacked.object(wwn.join("tpgt_1"))?;
        set(group.join("nexus"), &format!("naa.60014050{number:08x}"))?;
        let unit = stacked.object(group.join("lun/lun_0"))?;
        let before = block_devices()?;
        stacked.link(&store, unit.join("bvec-lab"))?;
        stacked.appears(&before, "sd")?;
        Ok(stacked)
    }
}
