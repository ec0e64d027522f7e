//! A NVMe target of the kernel on our device, and this machine as its host: nvme-loop.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use super::{Stacked, Undo, block_devices, needs_module, set};
use crate::error::io_error;
use crate::{LabError, Result};

const TARGET: &str = "/sys/kernel/config/nvmet";
const NAME: &str = "bvec-lab";

impl Stacked {
    /// The NVMe namespace of such a target.
    pub(crate) fn nvme_loop(device: &str) -> Result<Self> {
        for (module, config) in [
            ("nvmet", "CONFIG_NVME_TARGET"),
            ("nvme_fabrics", "CONFIG_NVME_FABRICS"),
            ("nvme_loop", "CONFIG_NVME_TARGET_LOOP"),
        ] {
            needs_module(module, config)?;
        }
        let mut stacked = Self::default();
        stacked.configfs()?;
        let subsystem = stacked.object(format!("{TARGET}/subsystems/{NAME}"))?;
        set(subsystem.join("attr_allow_any_host"), "1")?;
        let namespace = stacked.object(subsystem.join("namespaces/1"))?;
        set(namespace.join("device_path"), device)?;
        set(namespace.join("enable"), "1")?;
        let port = stacked.object(format!("{TARGET}/ports/1"))?;
        set(port.join("addr_trtype"), "loop")?;
        stacked.link(&subsystem, port.join("subsystems").join(NAME))?;
        let before = block_devices()?;
        let controller = connect()?;
        stacked
            .undo
            .push(Undo::Set(controller.join("delete_controller"), "1"));
        stacked.appears(&before, "nvme")?;
        Ok(stacked)
    }
}

/// Connects to the target: the controller below `/sys/class/nvme`.
fn connect() -> Result<PathBuf> {
    let connect = || -> std::io::Result<String> {
        let mut file = File::options()
            .read(true)
            .write(true)
            .open("/dev/nvme-fabrics")?;
        file.write_all(format!("transport=loop,nqn={NAME}").as_bytes())?;
        let mut answer = String::new();
        file.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = connect().map_err(io_error("connect to the NVMe target"))?;
    // "instance=0,cntlid=1"
    let instance = answer
        .trim()
        .split(',')
        .find_map(|word| word.strip_prefix("instance="));
    let instance = instance.ok_or_else(|| LabError::Odd {
        order: "a connection to the NVMe target".to_owned(),
        answer: answer.clone(),
    })?;
    let controller = Path::new("/sys/class/nvme").join(format!("nvme{instance}"));
    fs::metadata(&controller).map_err(io_error("find the NVMe controller"))?;
    Ok(controller)
}
