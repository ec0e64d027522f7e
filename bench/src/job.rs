//! A job: a fio job file and what the runner must know about it.

use std::fs;
use std::io;

use serde::{Deserialize, Serialize};

use crate::{BenchError, Result, catalogue};

/// Which way the data goes, seen from the pages of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The pages receive data: reads.
    Destination,
    /// The pages supply data: writes.
    Source,
    /// Both.
    Mixed,
}

/// The only device that a job file may name: the environment says which one it is.
const DEVICE: &str = "${DEV}";

/// A job file with one job and without a device of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The name of its only section.
    pub name: String,
    /// The file's text, as fio gets it.
    pub text: String,
    /// The comment at the top: what the job isolates.
    pub description: String,
    /// `rw`.
    pub direction: Direction,
    /// `bs`, in bytes.
    pub block_size_bytes: u64,
    /// `iodepth`.
    pub depth: u32,
    /// `numjobs`: clients that do the same beside each other.
    pub clients: u32,
    /// `ioengine`: how the client asks.
    pub engine: String,
    /// `direct`: past the page cache, so that the client's own pages are in the request.
    pub direct: bool,
    /// `fixedbufs`: the buffers are registered, so that their pages are pinned once.
    pub fixed_buffers: bool,
    /// `verify`: the job reads back and compares what it wrote.
    pub verifies: bool,
}

impl Job {
    /// Whether the file names its device itself, by the environment.
    #[must_use]
    pub fn names_device(&self) -> bool {
        let mut keys = self.text.lines().filter_map(|line| line.split_once('='));
        keys.any(|(key, _)| key.trim() == "filename")
    }

    /// The job of this name among the shipped ones, or else the job in the file of this path.
    ///
    /// # Errors
    /// [`BenchError::UnknownJob`], [`BenchError::BadJob`], [`BenchError::Io`].
    pub fn load(name_or_path: &str) -> Result<Self> {
        if let Some(text) = catalogue::text_of(name_or_path) {
            return Self::parse(name_or_path, text);
        }
        match fs::read_to_string(name_or_path) {
            Ok(text) => Self::parse(name_or_path, &text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(BenchError::UnknownJob {
                name: name_or_path.to_owned(),
                known: catalogue::names().collect(),
            }),
            Err(source) => Err(BenchError::Io {
                action: "read the job file",
                source,
            }),
        }
    }

    /// Understands a job file; `origin` is the name that errors use.
    ///
    /// # Errors
    /// [`BenchError::BadJob`] for what this crate cannot measure: several jobs, a device of its
    /// own, trims, mixed block sizes.
    pub fn parse(origin: &str, text: &str) -> Result<Self> {
        let bad = |detail: String| BenchError::BadJob {
            name: origin.to_owned(),
            detail,
        };
        let file = JobFile::read(text).map_err(bad)?;
        if let Some((line, name)) = file.option("filename").filter(|(_, name)| *name != DEVICE) {
            return Err(bad(format!(
                "line {line} has filename={name}, should be filename={DEVICE} or leave it out"
            )));
        }
        let required = |key| {
            file.option(key)
                .ok_or_else(|| bad(format!("{key} is missing")))
        };
        let (line, rw) = required("rw")?;
        let direction = match rw {
            "read" | "randread" => Direction::Destination,
            "write" | "randwrite" => Direction::Source,
            "rw" | "readwrite" | "randrw" => Direction::Mixed,
            _ => {
                return Err(bad(format!(
                    "line {line} has rw={rw}, should be read, write, rw or the same with rand"
                )));
            }
        };
        let (line, bs) = required("bs")?;
        let block_size_bytes = size_bytes(bs).ok_or_else(|| {
            bad(format!(
                "line {line} has bs={bs}, should be like 4k or 4096"
            ))
        })?;
        let depth = JobFile::count("iodepth", required("iodepth")?).map_err(bad)?;
        let clients = match file.option("numjobs") {
            Some(option) => JobFile::count("numjobs", option).map_err(bad)?,
            None => 1,
        };
        if clients > 1 && file.option("group_reporting").is_none() {
            return Err(bad(
                "it has numjobs but not group_reporting=1, should have both for one report"
                    .to_owned(),
            ));
        }
        Ok(Self {
            name: file.section.clone(),
            text: text.to_owned(),
            description: file.description.clone(),
            direction,
            block_size_bytes,
            depth,
            clients,
            engine: file
                .option("ioengine")
                .map_or("psync", |(_, engine)| engine)
                .to_owned(),
            direct: file.is_on("direct"),
            fixed_buffers: file.is_on("fixedbufs"),
            verifies: file.is_on("verify"),
        })
    }
}

/// The lines of a job file.
struct JobFile<'a> {
    section: String,
    description: String,
    /// Line number, key, value; a key without a value counts as `1`, as in fio.
    options: Vec<(usize, &'a str, &'a str)>,
}

impl<'a> JobFile<'a> {
    fn read(text: &'a str) -> std::result::Result<Self, String> {
        let mut section = None;
        let mut description = Vec::new();
        let mut options = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let (number, line) = (index + 1, line.trim());
            if let Some(comment) = line.strip_prefix(['#', ';']) {
                if section.is_none() && options.is_empty() {
                    description.push(comment.trim());
                }
            } else if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
                if name == "global" {
                    continue;
                }
                if let Some(first) = section.replace(name) {
                    return Err(format!(
                        "line {number} begins a second job after [{first}], should be one a file"
                    ));
                }
            } else if !line.is_empty() {
                let (key, value) = line.split_once('=').unwrap_or((line, "1"));
                options.push((number, key.trim(), value.trim()));
            }
        }
        Ok(Self {
            section: section.ok_or("it has no [job] section")?.to_owned(),
            description: description.join(" "),
            options,
        })
    }

    /// A number from 1, as the option in this line has it.
    fn count(key: &str, (line, value): (usize, &str)) -> std::result::Result<u32, String> {
        let count = value.parse().ok().filter(|count| *count > 0);
        count.ok_or_else(|| format!("line {line} has {key}={value}, should be 1 or more"))
    }

    /// Whether an option is there and not 0.
    fn is_on(&self, key: &str) -> bool {
        self.option(key).is_some_and(|(_, value)| value != "0")
    }

    /// Line and value of an option; the last one counts, as in fio.
    fn option(&self, key: &str) -> Option<(usize, &'a str)> {
        self.options
            .iter()
            .rev()
            .find(|(_, name, _)| *name == key)
            .map(|(line, _, value)| (*line, *value))
    }
}

/// A size as fio writes it: digits and perhaps k, m or g, powers of 1024.
pub(crate) fn size_bytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return None,
    };
    let number: u64 = digits.parse().ok()?;
    number.checked_mul(1 << shift).filter(|bytes| *bytes > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "# What it\n# isolates.\n[global]\ndirect=1\n\n[one]\nrw=randread\nbs=4k\n\
                        iodepth=32\nfixedbufs\n";

    #[test]
    fn a_file_is_understood() {
        let job = Job::parse("x", GOOD).unwrap();
        assert_eq!(job.name, "one");
        assert_eq!(job.description, "What it isolates.");
        assert_eq!(job.direction, Direction::Destination);
        assert_eq!((job.block_size_bytes, job.depth), (4096, 32));
        assert!(job.fixed_buffers && !job.verifies);
        assert!(job.direct && job.clients == 1 && job.engine == "psync");
    }

    #[test]
    fn the_environments_device_is_accepted() {
        let text = GOOD.replace("direct=1", "filename=${DEV}");
        assert!(!Job::parse("x", &text).unwrap().direct);
    }

    #[test]
    fn bad_files_are_refused_with_a_line() {
        for (from, to, needle) in [
            (
                "direct=1",
                "filename=/dev/sda",
                "line 4 has filename=/dev/sda",
            ),
            ("fixedbufs", "numjobs=0", "line 10 has numjobs=0"),
            ("fixedbufs", "numjobs=2", "not group_reporting"),
            ("rw=randread", "rw=trim", "line 7 has rw=trim"),
            ("rw=randread", "", "rw is missing"),
            ("bs=4k", "bs=4k-8k", "line 8 has bs=4k-8k"),
            ("bs=4k", "bs=0", "line 8 has bs=0"),
            ("iodepth=32", "iodepth=0", "line 9 has iodepth=0"),
            (
                "fixedbufs",
                "[two]",
                "line 10 begins a second job after [one]",
            ),
            ("[one]", "", "no [job] section"),
        ] {
            let error = Job::parse("x", &GOOD.replace(from, to)).unwrap_err();
            assert!(error.to_string().contains(needle), "{error}");
        }
    }

    #[test]
    fn sizes_of_fio() {
        assert_eq!(size_bytes("4096"), Some(4096));
        assert_eq!(size_bytes("256K"), Some(256 << 10));
        assert_eq!(size_bytes("1MiB"), Some(1 << 20));
        for bad in [
            "",
            "k",
            "4x",
            "-4k",
            "99999999999999999999",
            "9999999999999g",
        ] {
            assert_eq!(size_bytes(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_path_is_read_and_a_wrong_name_shows_the_right_ones() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("own.fio");
        fs::write(&path, GOOD).unwrap();
        assert_eq!(Job::load(path.to_str().unwrap()).unwrap().name, "one");
        let error = Job::load("rand-read").unwrap_err().to_string();
        assert!(error.contains("rand-destination-4k-qd1"), "{error}");
    }
}
