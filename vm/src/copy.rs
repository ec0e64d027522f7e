//! Files into the guest and out of it.

use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use cpio::newc::Reader;
use tempfile::NamedTempFile;

use crate::error::{At, Error};

/// A file or directory of the host that the guest gets: `PATH[:GUESTPATH]`.
///
/// Without a guest path, an absolute path stays what it is, and a relative one appears under its
/// last name in the command's working directory, `/root`: the same words mean the same file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyIn {
    /// The host's file or directory.
    pub host: PathBuf,
    /// Its absolute path in the guest.
    pub guest: PathBuf,
}

impl FromStr for CopyIn {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = |reason: &str| Error::Option {
            option: format!("--copy-in {text}"),
            reason: reason.to_owned(),
        };
        let (host, guest) = match text.rsplit_once(':') {
            Some((host, guest)) => (PathBuf::from(host), PathBuf::from(guest)),
            None => {
                let host = PathBuf::from(text);
                let guest = match (host.is_absolute(), host.file_name()) {
                    (true, _) => host.clone(),
                    (false, Some(name)) => Path::new("/root").join(name),
                    (false, None) => {
                        return Err(wrong("name a file or directory, or write PATH:GUESTPATH"));
                    }
                };
                (host, guest)
            }
        };
        if !guest.is_absolute() {
            return Err(wrong("the guest's path begins with a slash"));
        }
        Ok(Self { host, guest })
    }
}

/// A file or directory of the guest that the host gets: `GUESTPATH[:DIR]`; `DIR` is the current
/// directory unless told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyOut {
    /// The absolute path in the guest.
    pub guest: PathBuf,
    /// The host's directory in which it appears under its last name.
    pub dir: PathBuf,
}

impl FromStr for CopyOut {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (guest, dir) = text.split_once(':').unwrap_or((text, "."));
        let guest = Path::new("/root").join(guest);
        if guest.file_name().is_none() || dir.is_empty() {
            return Err(Error::Option {
                option: format!("--copy-out {text}"),
                reason: "write GUESTPATH or GUESTPATH:DIR".into(),
            });
        }
        Ok(Self {
            guest,
            dir: PathBuf::from(dir),
        })
    }
}

/// Unpacks the archive that the guest sent. Its names begin with the number of the request.
///
/// The guest's kernel may have gone mad, so names are not trusted: nothing is written outside the
/// directory asked for, and links are made last.
pub(crate) fn unpack(archive: &mut dyn Read, requests: &[CopyOut]) -> Result<(), Error> {
    let mut links = Vec::new();
    let mut input = archive;
    loop {
        let place = Path::new("the guest's archive");
        let reader = Reader::new(input).at("read", place)?;
        if reader.entry().is_trailer() {
            break;
        }
        input = entry(reader, requests, &mut links).at("unpack", place)?;
    }
    for (path, target) in links {
        let _ = fs::remove_file(&path);
        std::os::unix::fs::symlink(&target, &path).at("make the link", &path)?;
    }
    Ok(())
}

fn entry<R: Read>(
    mut reader: Reader<R>,
    requests: &[CopyOut],
    links: &mut Vec<(PathBuf, PathBuf)>,
) -> io::Result<R> {
    const TYPE_MASK: u32 = 0o170_000;
    let mode = reader.entry().mode();
    let Some(path) = destination(Path::new(reader.entry().name()), requests) else {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("the name {:?} leads elsewhere", reader.entry().name()),
        ));
    };
    match mode & TYPE_MASK {
        0o040_000 => {
            fs::create_dir_all(&path)?;
            reader.finish()
        }
        0o120_000 => {
            let mut target = Vec::new();
            reader.read_to_end(&mut target)?;
            links.push((path, PathBuf::from(std::ffi::OsStr::from_bytes(&target))));
            reader.finish()
        }
        _ => {
            let parent = path.parent().unwrap_or(Path::new("."));
            fs::create_dir_all(parent)?;
            // Whole or not at all, where a guest ends meanwhile; and a link that is in the way is replaced.
            let file = NamedTempFile::new_in(parent)?;
            let permissions = fs::Permissions::from_mode(mode & 0o777);
            file.as_file().set_permissions(permissions)?;
            let input = reader.to_writer(file.as_file())?;
            file.persist(&path).map_err(|failed| failed.error)?;
            Ok(input)
        }
    }
}

fn destination(name: &Path, requests: &[CopyOut]) -> Option<PathBuf> {
    let mut parts = name.components();
    let index: usize = parts.next()?.as_os_str().to_str()?.parse().ok()?;
    let below = parts.as_path();
    let inside = below
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    (inside && below.file_name().is_some()).then_some(())?;
    Some(requests.get(index)?.dir.join(below))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cpio::newc::{Builder, trailer};
    use std::io::Write;

    fn archive(entries: &[(&str, u32, &str)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (name, mode, contents) in entries {
            let size = u32::try_from(contents.len()).unwrap();
            let mut writer = Builder::new(name).mode(*mode).write(&mut bytes, size);
            writer.write_all(contents.as_bytes()).unwrap();
            writer.finish().unwrap();
        }
        trailer(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn copy_in_forms() {
        let read = |text: &str| text.parse::<CopyIn>().unwrap().guest;
        assert_eq!(read("fio-jobs"), Path::new("/root/fio-jobs"));
        assert_eq!(read("../x/fio-jobs"), Path::new("/root/fio-jobs"));
        assert_eq!(read("/etc/hosts"), Path::new("/etc/hosts"));
        assert_eq!(read("a:/opt/b"), Path::new("/opt/b"));
        assert!("a:b".parse::<CopyIn>().is_err());
        assert!("..".parse::<CopyIn>().is_err());
    }

    #[test]
    fn copy_out_forms() {
        let read = |text: &str| text.parse::<CopyOut>().unwrap();
        assert_eq!(read("r.json").guest, Path::new("/root/r.json"));
        assert_eq!(read("/tmp/x:out").dir, Path::new("out"));
        assert_eq!(read("/tmp/x").dir, Path::new("."));
        assert!("/".parse::<CopyOut>().is_err());
    }

    #[test]
    fn an_archive_is_unpacked() {
        let dir = tempfile::tempdir().unwrap();
        let requests = [CopyOut {
            guest: "/tmp/r".into(),
            dir: dir.path().join("out"),
        }];
        let bytes = archive(&[
            ("0/r", 0o040_755, ""),
            ("0/r/file", 0o100_640, "text"),
            ("0/r/link", 0o120_777, "file"),
        ]);
        unpack(&mut bytes.as_slice(), &requests).unwrap();
        assert_eq!(fs::read(dir.path().join("out/r/file")).unwrap(), b"text");
        assert_eq!(
            fs::read_link(dir.path().join("out/r/link")).unwrap(),
            Path::new("file")
        );
    }

    #[test]
    fn half_a_file_replaces_none() {
        let dir = tempfile::tempdir().unwrap();
        let requests = [CopyOut {
            guest: "/tmp/r".into(),
            dir: dir.path().into(),
        }];
        fs::write(dir.path().join("r"), "of an earlier run").unwrap();
        let bytes = archive(&[("0/r", 0o100_644, "of a guest that ends meanwhile")]);
        assert!(unpack(&mut &bytes[..130], &requests).is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert_eq!(
            fs::read(dir.path().join("r")).unwrap(),
            b"of an earlier run"
        );
        unpack(&mut bytes.as_slice(), &requests).unwrap();
        assert!(
            fs::read(dir.path().join("r"))
                .unwrap()
                .starts_with(b"of a guest")
        );
    }

    #[test]
    fn nothing_is_written_outside() {
        let dir = tempfile::tempdir().unwrap();
        let requests = [CopyOut {
            guest: "/tmp/r".into(),
            dir: dir.path().join("out"),
        }];
        for name in ["0/../evil", "/etc/evil", "7/evil", "0", "x/evil"] {
            let bytes = archive(&[(name, 0o100_644, "evil")]);
            assert!(unpack(&mut bytes.as_slice(), &requests).is_err(), "{name}");
        }
        assert!(!dir.path().join("evil").exists());
    }
}
