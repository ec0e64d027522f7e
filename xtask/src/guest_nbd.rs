//! nbdkit and nbd-client for a guest, so that bvecd can be measured next to the kernel's NBD client.

use std::path::{Path, PathBuf};
use std::process::Command;

use vm::{CopyIn, find_program};

use crate::process::{output, say};

/// nbdkit's plugins that are used: nothing behind the device, and a file.
const PLUGINS: [&str; 2] = ["null", "file"];

/// What a guest gets.
#[derive(Debug, Default)]
pub(crate) struct Nbd {
    pub(crate) programs: Vec<PathBuf>,
    pub(crate) copy_in: Vec<CopyIn>,
    pub(crate) modules: Vec<String>,
}

/// What is there; nothing, and it is said, if something is missing.
pub(crate) fn found() -> Nbd {
    match parts() {
        Ok(nbd) => nbd,
        Err(missing) => {
            say(format_args!(
                "not measured: nbd ({missing}; Debian: apt-get install nbdkit nbd-client)"
            ));
            Nbd::default()
        }
    }
}

fn parts() -> Result<Nbd, String> {
    let programs = ["nbdkit", "nbd-client"]
        .map(|name| find_program(name).ok_or_else(|| format!("{name} is not installed")));
    let programs = programs.into_iter().collect::<Result<Vec<_>, _>>()?;
    // Its plugins are loaded by name, so no list of libraries has them.
    let config = output(Command::new("nbdkit").arg("--dump-config"));
    let config = config.map_err(|error| format!("{error:#}"))?;
    let plugins = config
        .lines()
        .find_map(|line| line.strip_prefix("plugindir="))
        .ok_or("nbdkit does not say where its plugins are")?;
    let copy_in = PLUGINS.map(|name| {
        let path = Path::new(plugins).join(format!("nbdkit-{name}-plugin.so"));
        match path.is_file() {
            true => Ok(CopyIn {
                host: path.clone(),
                guest: path,
            }),
            false => Err(format!("there is no {}", path.display())),
        }
    });
    Ok(Nbd {
        programs,
        copy_in: copy_in.into_iter().collect::<Result<_, _>>()?,
        modules: vec!["nbd".to_owned()],
    })
}
