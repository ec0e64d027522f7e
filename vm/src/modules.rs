//! The modules to load, with everything they need, in an order in which they can be loaded.
//!
//! Packages ship no `modules.dep` (depmod writes it at installation), so the closure is computed
//! from the modules themselves. They are decompressed here, once per kernel, so that the guest only
//! calls finit_module(2).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::cache::write_whole;
use crate::compress;
use crate::error::{At, Error};
use crate::kernel::Kernel;
use crate::modinfo::{ModInfo, normalize};

/// The modules of one kernel.
#[derive(Debug)]
pub(crate) struct Modules {
    release: String,
    files: BTreeMap<String, PathBuf>,
    builtin: BTreeSet<String>,
    /// Where decompressed modules are kept.
    plain: PathBuf,
}

impl Modules {
    /// Lists a kernel's modules; a kernel without a module directory has none.
    pub(crate) fn of(kernel: &Kernel) -> Result<Self, Error> {
        let mut modules = Self {
            release: kernel.release.clone(),
            files: BTreeMap::new(),
            builtin: BTreeSet::new(),
            plain: kernel.derived.join("plain"),
        };
        if let Some(dir) = &kernel.modules {
            for below in ["kernel", "updates", "extra"] {
                collect(&dir.join(below), &mut modules.files)?;
            }
            let list = fs::read_to_string(dir.join("modules.builtin")).unwrap_or_default();
            modules.builtin = list
                .lines()
                .filter_map(|line| module_name(Path::new(line)))
                .collect();
        }
        Ok(modules)
    }

    /// Says whether the module is a part of the kernel or can be loaded.
    pub(crate) fn has(&self, name: &str) -> bool {
        let name = normalize(name);
        self.builtin.contains(&name) || self.files.contains_key(&name)
    }

    /// The plain `.ko` files of `names` and all they need, dependencies first.
    ///
    /// # Errors
    /// [`Error::NoModule`] if one is neither built in nor there.
    pub(crate) fn closure(&self, names: &[String]) -> Result<Vec<PathBuf>, Error> {
        let mut order = Vec::new();
        for name in names {
            self.add(&normalize(name), &mut order)?;
        }
        Ok(order)
    }

    fn add(&self, name: &str, order: &mut Vec<PathBuf>) -> Result<(), Error> {
        let Some(file) = self.files.get(name) else {
            if self.builtin.contains(name) {
                return Ok(());
            }
            return Err(Error::NoModule {
                module: name.to_owned(),
                release: self.release.clone(),
            });
        };
        let plain = self.plain.join(format!("{name}.ko"));
        if order.contains(&plain) {
            return Ok(());
        }
        let info = self.decompressed(file, &plain)?;
        for soft in info.soft_depends.iter().filter(|soft| self.has(soft)) {
            self.add(soft, order)?;
        }
        for needed in &info.depends {
            self.add(needed, order)?;
        }
        order.push(plain);
        Ok(())
    }

    /// Reads a module through the cache of decompressed ones.
    fn decompressed(&self, file: &Path, plain: &Path) -> Result<ModInfo, Error> {
        let bytes = match fs::read(plain) {
            Ok(bytes) => bytes,
            Err(_) => {
                let bytes = compress::read(file)?;
                write_whole(plain, &bytes)?;
                bytes
            }
        };
        ModInfo::of_module(&bytes).ok_or_else(|| Error::contents(file, "it is not a kernel module"))
    }
}

/// `drivers/block/ublk_drv.ko.xz` is the module ublk_drv.
fn module_name(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let (stem, end) = name.split_once(".ko")?;
    matches!(end, "" | ".xz" | ".zst" | ".gz").then(|| normalize(stem))
}

fn collect(dir: &Path, files: &mut BTreeMap<String, PathBuf>) -> Result<(), Error> {
    if !dir.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(dir).at("read", dir)? {
        let path = entry.at("read", dir)?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if let Some(name) = module_name(&path) {
            files.insert(name, path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::write::Object as Writer;
    use object::{Architecture, BinaryFormat, Endianness, SectionKind};

    fn module(modinfo: &str) -> Vec<u8> {
        let mut object = Writer::new(BinaryFormat::Elf, Architecture::X86_64, Endianness::Little);
        let section =
            object.add_section(Vec::new(), b".modinfo".to_vec(), SectionKind::ReadOnlyData);
        object.append_section_data(section, modinfo.as_bytes(), 1);
        object.write().unwrap()
    }

    fn tree(modules: &[(&str, &str)], builtin: &str) -> (tempfile::TempDir, Modules) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("modules");
        for (path, modinfo) in modules {
            write_whole(&root.join("kernel").join(path), &module(modinfo)).unwrap();
        }
        write_whole(&root.join("modules.builtin"), builtin.as_bytes()).unwrap();
        let kernel = Kernel {
            release: "7.3.4-x".into(),
            image: PathBuf::new(),
            modules: Some(root),
            origin: String::new(),
            signed_modules: false,
            derived: dir.path().join("derived"),
        };
        let modules = Modules::of(&kernel).unwrap();
        (dir, modules)
    }

    fn names(paths: &[PathBuf]) -> Vec<String> {
        paths
            .iter()
            .map(|path| module_name(path).unwrap())
            .collect()
    }

    #[test]
    fn dependencies_come_first_and_once() {
        let (_dir, modules) = tree(
            &[
                (
                    "fs/btrfs.ko",
                    "name=btrfs\0depends=xor,raid6_pq\0softdep=pre: absent-one\0",
                ),
                ("lib/raid6_pq.ko", "name=raid6_pq\0depends=xor\0"),
                ("lib/xor.ko", "name=xor\0depends=\0"),
            ],
            "",
        );
        let closure = modules.closure(&["btrfs".into(), "xor".into()]).unwrap();
        assert_eq!(names(&closure), ["xor", "raid6_pq", "btrfs"]);
    }

    #[test]
    fn what_is_built_in_needs_no_file() {
        let (_dir, modules) = tree(
            &[(
                "drivers/block/null-blk.ko",
                "name=null_blk\0depends=configfs\0",
            )],
            "kernel/fs/configfs/configfs.ko\nkernel/fs/ext4/ext4.ko\n",
        );
        let closure = modules
            .closure(&["ext4".into(), "null_blk".into()])
            .unwrap();
        assert_eq!(names(&closure), ["null_blk"]);
        assert!(modules.has("null-blk") && modules.has("ext4") && !modules.has("xfs"));
    }

    #[test]
    fn an_unknown_module_is_named() {
        let (_dir, modules) = tree(&[], "");
        let error = modules
            .closure(&["ublk_drv".into()])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("ublk_drv") && error.contains("7.3.4-x"),
            "{error}"
        );
    }
}
