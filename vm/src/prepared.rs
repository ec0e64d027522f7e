//! What a boot needs on the host's side: the kernel's image and the initramfs with everything in it.

use std::env;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cache::Cache;
use crate::error::Error;
use crate::initramfs::Initramfs;
use crate::kernel::Kernel;
use crate::modules::Modules;
use crate::plan::{COUNTS, PLAN_PATH, Plan};
use crate::program::Program;
use crate::progress::Progress;
use crate::qemu::Qemu;
use crate::run::Vm;
use crate::slim::slim;
use crate::{image, terminal, tool};

/// Everything on the host's side that a boot needs.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) qemu: Qemu,
    pub(crate) kernel: Kernel,
    pub(crate) image: PathBuf,
    pub(crate) memory_mib: u64,
    pub(crate) initramfs: File,
}

impl Vm {
    /// Prepares a boot.
    ///
    /// # Errors
    /// If something that the guest needs is not there, or cannot be used.
    pub(crate) fn prepare(
        &self,
        qemu: Qemu,
        kernel: Kernel,
        cache: &Cache,
        progress: &Progress,
    ) -> Result<Prepared, Error> {
        let image = image::bootable(&kernel, progress)?;
        progress.say("building the initramfs");
        let initramfs = self.build(&kernel, cache)?;
        let size = initramfs
            .metadata()
            .map_err(Error::system("measure the initramfs"))?
            .len();
        // The archive is in memory twice while the kernel unpacks it, and programs need room.
        let memory_mib = self
            .machine
            .memory_mib
            .unwrap_or(1024.max(512 + 3 * (size >> 20)));
        Ok(Prepared {
            qemu,
            kernel,
            image,
            memory_mib,
            initramfs,
        })
    }

    fn build(&self, kernel: &Kernel, cache: &Cache) -> Result<File, Error> {
        let mut archive = Initramfs::create()?;
        let init = Program::find(&find_init()?)?;
        archive.host_file(&slim(&init.path, cache), Path::new("/init"))?;
        for library in &init.libraries {
            archive.host_file(library, library)?;
        }
        for name in &self.programs {
            archive.program(&Program::find(name)?, cache)?;
        }
        for copy in &self.copy_in {
            archive.tree(&copy.host, &copy.guest)?;
        }
        let busybox = Program::find(&tool::require("busybox", "busybox-static")?)?;
        let applets = tool::output(Command::new(&busybox.path).arg("--list"))?;
        let applets = String::from_utf8_lossy(&applets);
        let applets: Vec<String> = applets.lines().map(str::to_owned).collect();
        archive.program(&busybox, cache)?;
        archive.applets(&busybox, &applets)?;
        // Libraries in unusual directories are found through the host's own table.
        let table = Path::new("/etc/ld.so.cache");
        if table.is_file() {
            archive.host_file(table, table)?;
        }
        let plan = self.plan(kernel, &mut archive)?;
        let plan = serde_json::to_vec(&plan)
            .map_err(|error| Error::contents(Path::new(PLAN_PATH), error.to_string()))?;
        archive.bytes(PLAN_PATH, &plan)?;
        archive.finish()
    }

    fn plan(&self, kernel: &Kernel, archive: &mut Initramfs) -> Result<Plan, Error> {
        let modules = Modules::of(kernel)?;
        let there = |names: &[&str]| -> Vec<String> {
            names
                .iter()
                .filter(|name| modules.has(name))
                .map(|name| (*name).to_owned())
                .collect()
        };
        let port_modules = modules.closure(&there(&["virtio_pci", "virtio_console"]))?;
        let mut wanted = self.modules.clone();
        wanted.extend(
            self.optional_modules
                .iter()
                .filter(|name| modules.has(name))
                .cloned(),
        );
        let mut others = modules.closure(&wanted)?;
        others.retain(|path| !port_modules.contains(path));
        let mut add = |paths: &[PathBuf]| -> Result<Vec<String>, Error> {
            paths
                .iter()
                .map(|path| {
                    let name = path.file_name().unwrap_or_default().to_string_lossy();
                    let guest = format!("/bvecd/modules/{name}");
                    archive.host_file(path, Path::new(&guest)).map(|()| guest)
                })
                .collect()
        };
        let mut env = self.env.clone();
        if self.machine.count_instructions {
            env.push((COUNTS.into(), "1".into()));
        }
        if self.interactive {
            env.push((
                "TERM".into(),
                env::var("TERM").unwrap_or_else(|_| "linux".into()),
            ));
        }
        Ok(Plan {
            port_modules: add(&port_modules)?,
            modules: add(&others)?,
            command: self.command.clone(),
            env,
            copy_out: self
                .copy_out
                .iter()
                .map(|copy| copy.guest.to_string_lossy().into_owned())
                .collect(),
            terminal: self.interactive.then(terminal::size),
        })
    }
}

/// The guest's init: `$BVECD_INIT`, or beside this program, or where cargo puts it for examples and
/// tests, one directory up.
fn find_init() -> Result<PathBuf, Error> {
    if let Some(path) = env::var_os("BVECD_INIT") {
        return Ok(PathBuf::from(path));
    }
    let program = env::current_exe().map_err(Error::system("find this program's directory"))?;
    program
        .ancestors()
        .skip(1)
        .take(2)
        .map(|dir| dir.join("bvecd-init"))
        .find(|path| path.is_file())
        .ok_or_else(|| Error::Option {
            option: "the guest's init".into(),
            reason: format!(
                "there is no bvecd-init beside {}; build it with `cargo build --package vm`",
                program.display()
            ),
        })
}
