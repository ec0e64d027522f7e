//! What a kernel module says about itself in its `.modinfo` section.

use object::{Object, ObjectSection};

/// The fields of `.modinfo` that loading needs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ModInfo {
    /// The module's name.
    pub(crate) name: String,
    /// Modules that must be loaded before it.
    pub(crate) depends: Vec<String>,
    /// Modules that should be loaded before it, if there are any such (modprobe.d(5), softdep).
    pub(crate) soft_depends: Vec<String>,
}

impl ModInfo {
    /// Reads the section of a plain `.ko` file.
    pub(crate) fn of_module(module: &[u8]) -> Option<Self> {
        let file = object::File::parse(module).ok()?;
        let section = file.section_by_name(".modinfo")?;
        Some(Self::parse(section.data().ok()?))
    }

    /// Reads the section's contents: `key=value` strings with a NUL after each.
    pub(crate) fn parse(section: &[u8]) -> Self {
        let mut info = Self::default();
        for entry in section.split(|byte| *byte == 0) {
            let entry = String::from_utf8_lossy(entry);
            let Some((key, value)) = entry.split_once('=') else {
                continue;
            };
            match key {
                "name" => info.name = normalize(value),
                "depends" => {
                    info.depends.extend(
                        value
                            .split(',')
                            .filter(|name| !name.is_empty())
                            .map(normalize),
                    );
                }
                "softdep" => info.soft_depends.extend(soft_before(value)),
                _ => {}
            }
        }
        info
    }
}

/// Of `pre: a b post: c`, a and b.
fn soft_before(value: &str) -> Vec<String> {
    value
        .split_whitespace()
        .skip_while(|word| *word != "pre:")
        .skip(1)
        .take_while(|word| *word != "post:")
        .map(normalize)
        .collect()
}

/// Module names are the same with `-` and `_`; the kernel itself writes `_`.
pub(crate) fn normalize(name: &str) -> String {
    name.trim().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read() {
        let info = ModInfo::parse(
            b"alias=fs-btrfs\0depends=xor,raid6_pq\0softdep=pre: xxhash64 blake2b-256 post: z\0\
              name=btrfs\0vermagic=7.3.4 SMP\0",
        );
        assert_eq!(info.name, "btrfs");
        assert_eq!(info.depends, ["xor", "raid6_pq"]);
        assert_eq!(info.soft_depends, ["xxhash64", "blake2b_256"]);
    }

    #[test]
    fn no_dependencies_is_an_empty_list() {
        assert!(
            ModInfo::parse(b"depends=\0name=ublk_drv\0")
                .depends
                .is_empty()
        );
    }

    #[test]
    fn text_is_no_module() {
        assert_eq!(ModInfo::of_module(b"no elf"), None);
    }
}
