//! The guest's root file system: a newc archive, written in process.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use cpio::newc::{Builder, ModeFileType, trailer};

use crate::cache::Cache;
use crate::error::{At, Error};
use crate::program::Program;
use crate::slim::slim;

/// Directories of the guest that are links into /usr, as merged distributions have them. Paths are
/// rewritten accordingly, so a library is found at the host's path and at the merged one.
const MERGED: [(&str, &str); 5] = [
    ("bin", "usr/bin"),
    ("sbin", "usr/bin"),
    ("usr/sbin", "usr/bin"),
    ("lib", "usr/lib"),
    ("lib64", "usr/lib64"),
];

/// Directories on which the guest mounts file systems of the kernel: they hide what is packed there.
const HIDDEN: [&str; 3] = ["dev", "proc", "sys"];

/// Writes the archive of a guest's root file system.
#[derive(Debug)]
pub(crate) struct Initramfs {
    file: BufWriter<File>,
    /// Every name written so far, relative to the root.
    names: BTreeSet<PathBuf>,
}

impl Initramfs {
    /// Starts an archive with the directories and accounts that programs expect.
    ///
    /// The file has no name, so that it goes away with the processes that use it, however they end.
    pub(crate) fn create() -> Result<Self, Error> {
        let file = tempfile::tempfile().map_err(Error::system("make a temporary file"))?;
        let file = BufWriter::with_capacity(1 << 20, file);
        let mut archive = Self {
            file,
            names: BTreeSet::new(),
        };
        for dir in [
            "dev", "etc", "mnt", "proc", "root", "run", "sys", "tmp", "usr/bin", "usr/lib",
        ] {
            archive.directory(Path::new(dir))?;
        }
        for dir in ["usr/lib64", "var/log", "var/tmp"] {
            archive.directory(Path::new(dir))?;
        }
        for (link, target) in MERGED {
            let target = match link.split_once('/') {
                Some((_, _)) => target.trim_start_matches("usr/"),
                None => target,
            };
            archive.entry(
                Path::new(link),
                ModeFileType::Symlink,
                0o777,
                target.as_bytes(),
            )?;
        }
        archive.bytes(
            "/etc/passwd",
            b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n",
        )?;
        archive.bytes("/etc/group", b"root:x:0:\nnogroup:x:65534:\n")?;
        archive.bytes("/etc/hosts", b"127.0.0.1 localhost\n::1 localhost\n")?;
        Ok(archive)
    }

    /// Adds a program and its libraries at the host's paths, and a link to it in /usr/bin.
    ///
    /// # Errors
    /// If a file cannot be read, or is where the guest would not see it.
    pub(crate) fn program(&mut self, program: &Program, cache: &Cache) -> Result<(), Error> {
        for path in program.libraries.iter().chain([&program.path]) {
            visible(path, path)?;
        }
        self.host_file(&slim(&program.path, cache), &program.path)?;
        for library in &program.libraries {
            self.host_file(library, library)?;
        }
        let link = Path::new("/usr/bin").join(&program.name);
        if self.has(&link) {
            return Ok(());
        }
        self.link(&link, &program.path)
    }

    /// Adds a link to busybox for each of its applets that no program has taken.
    pub(crate) fn applets(&mut self, program: &Program, applets: &[String]) -> Result<(), Error> {
        for applet in applets {
            let link = Path::new("/usr/bin").join(applet);
            if !self.has(&link) {
                self.link(&link, &program.path)?;
            }
        }
        Ok(())
    }

    /// Adds a file or a directory of the host, with everything below it.
    ///
    /// # Errors
    /// If something cannot be read, is no file, directory or link, or would be hidden in the guest.
    pub(crate) fn tree(&mut self, from: &Path, to: &Path) -> Result<(), Error> {
        visible(from, to)?;
        let meta = fs::symlink_metadata(from).at("read", from)?;
        if meta.is_symlink() {
            let target = fs::read_link(from).at("read", from)?;
            return self.link(to, &target);
        }
        if !meta.is_dir() {
            return self.host_file(from, to);
        }
        self.directory(&inside(to))?;
        let mut entries: Vec<_> = fs::read_dir(from)
            .at("read", from)?
            .flatten()
            .map(|entry| entry.path())
            .collect();
        entries.sort();
        for entry in entries {
            if let Some(name) = entry.file_name() {
                self.tree(&entry, &to.join(name))?;
            }
        }
        Ok(())
    }

    /// Adds the contents of a host's file; what was added before under that name stays.
    pub(crate) fn host_file(&mut self, from: &Path, to: &Path) -> Result<(), Error> {
        if self.has(to) {
            return Ok(());
        }
        let meta = from.metadata().at("read", from)?;
        if !meta.is_file() {
            return Err(Error::contents(
                from,
                "only files, directories and links can be copied in",
            ));
        }
        let bytes = fs::read(from).at("read", from)?;
        self.entry(
            &inside(to),
            ModeFileType::Regular,
            meta.permissions().mode() & 0o7777,
            &bytes,
        )
    }

    /// Adds a file with these contents.
    pub(crate) fn bytes(&mut self, to: impl AsRef<Path>, bytes: &[u8]) -> Result<(), Error> {
        self.entry(&inside(to.as_ref()), ModeFileType::Regular, 0o644, bytes)
    }

    /// Adds a symbolic link.
    pub(crate) fn link(&mut self, to: &Path, target: &Path) -> Result<(), Error> {
        self.entry(
            &inside(to),
            ModeFileType::Symlink,
            0o777,
            target.as_os_str().as_bytes(),
        )
    }

    /// Says whether the guest has a file of that name.
    pub(crate) fn has(&self, path: &Path) -> bool {
        self.names.contains(&inside(path))
    }

    /// Ends the archive and returns its file.
    pub(crate) fn finish(self) -> Result<File, Error> {
        trailer(self.file)
            .and_then(|file| file.into_inner().map_err(|error| error.into_error()))
            .map_err(Error::system("write the initramfs"))
    }

    /// Adds a directory and its parents.
    fn directory(&mut self, dir: &Path) -> Result<(), Error> {
        if dir.as_os_str().is_empty() || self.names.contains(dir) {
            return Ok(());
        }
        let mode = if dir == Path::new("tmp") || dir.ends_with("var/tmp") {
            0o1777
        } else {
            0o755
        };
        self.entry(dir, ModeFileType::Directory, mode, b"")
    }

    fn entry(
        &mut self,
        name: &Path,
        kind: ModeFileType,
        mode: u32,
        contents: &[u8],
    ) -> Result<(), Error> {
        if let Some(parent) = name.parent() {
            self.directory(parent)?;
        }
        let text = name
            .to_str()
            .ok_or_else(|| Error::contents(name, "the guest takes only names in UTF-8"))?;
        let size = u32::try_from(contents.len())
            .map_err(|_| Error::contents(name, "the guest takes only files below 4 GiB"))?;
        let ino = u32::try_from(self.names.len() + 1).unwrap_or(u32::MAX);
        let write = || -> std::io::Result<()> {
            let builder = Builder::new(text)
                .ino(ino)
                .mode(mode)
                .set_mode_file_type(kind);
            let mut writer = builder.write(&mut self.file, size);
            writer.write_all(contents)?;
            writer.finish().map(drop)
        };
        write().map_err(Error::system("write the initramfs"))?;
        self.names.insert(name.to_owned());
        Ok(())
    }
}

/// Refuses a place in the guest that is mounted over.
fn visible(from: &Path, to: &Path) -> Result<(), Error> {
    let hidden = inside(to);
    match HIDDEN.iter().find(|dir| hidden.starts_with(dir)) {
        None => Ok(()),
        Some(dir) => Err(Error::contents(
            from,
            format!(
                "the guest would not see it at {}: its own /{dir} is there",
                to.display()
            ),
        )),
    }
}

/// A guest's path relative to its root, with merged directories rewritten and `..` resolved.
fn inside(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            _ => {}
        }
    }
    for (from, to) in MERGED {
        if let Ok(rest) = clean.strip_prefix(from)
            && !rest.as_os_str().is_empty()
        {
            return Path::new(to).join(rest);
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;
    use cpio::newc::Reader;
    use std::io::{Read, Seek};

    fn contents(mut file: File) -> Vec<(String, u32, Vec<u8>)> {
        let mut bytes = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut bytes).unwrap();
        let mut input = std::io::Cursor::new(bytes);
        let mut found = Vec::new();
        loop {
            let mut reader = Reader::new(input).unwrap();
            if reader.entry().is_trailer() {
                return found;
            }
            let (name, mode) = (reader.entry().name().to_owned(), reader.entry().mode());
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes).unwrap();
            found.push((name, mode, bytes));
            input = reader.finish().unwrap();
        }
    }

    #[test]
    fn the_archive_reads_back_with_parents_before_children() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("in/deep")).unwrap();
        fs::write(dir.path().join("in/deep/file"), "hello").unwrap();
        let mut archive = Initramfs::create().unwrap();
        archive
            .tree(&dir.path().join("in"), Path::new("/opt/in"))
            .unwrap();
        archive.bytes("/lib/x/libc.so", b"lib").unwrap();
        let found = contents(archive.finish().unwrap());
        let at = |name: &str| {
            found
                .iter()
                .position(|(n, ..)| n == name)
                .unwrap_or(usize::MAX)
        };
        assert!(at("opt") < at("opt/in") && at("opt/in/deep") < at("opt/in/deep/file"));
        assert_eq!(found[at("opt/in/deep/file")].2, b"hello");
        assert_eq!(found[at("usr/lib/x/libc.so")].2, b"lib");
        assert_eq!(found[at("lib")].1, 0o120_777);
        assert_eq!(found[at("usr/sbin")].2, b"bin");
        assert_eq!(found[at("tmp")].1, 0o041_777);
    }

    #[test]
    fn paths_are_kept_inside_the_root() {
        for (path, expected) in [
            ("/bin/sh", "usr/bin/sh"),
            ("/usr/sbin/fio", "usr/bin/fio"),
            ("/lib64/ld.so", "usr/lib64/ld.so"),
            ("/a/../../etc/x", "etc/x"),
            ("/lib", "lib"),
        ] {
            assert_eq!(inside(Path::new(path)), Path::new(expected), "{path}");
        }
    }

    #[test]
    fn what_the_guest_would_not_see_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut archive = Initramfs::create().unwrap();
        for place in ["/dev/shm/x", "/proc/x", "/a/../sys/x"] {
            let error = archive.tree(file.path(), Path::new(place)).unwrap_err();
            assert!(error.to_string().contains("would not see it"), "{error}");
        }
        for place in ["/tmp/x", "/run/x", "/devices"] {
            archive.tree(file.path(), Path::new(place)).unwrap();
        }
    }

    #[test]
    fn the_first_file_of_a_name_stays() {
        let other = tempfile::NamedTempFile::new().unwrap();
        let mut archive = Initramfs::create().unwrap();
        archive.bytes("/usr/bin/sh", b"first").unwrap();
        archive
            .host_file(other.path(), Path::new("/bin/sh"))
            .unwrap();
        let shells: Vec<_> = contents(archive.finish().unwrap())
            .into_iter()
            .filter(|(name, ..)| name == "usr/bin/sh")
            .collect();
        assert_eq!(shells.len(), 1);
        assert_eq!(shells[0].2, b"first");
    }
}
