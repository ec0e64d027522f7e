//! What fio is told on its command line.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use api::fault::Status;

use super::{Bound, Order};
use crate::fio_log::Logs;

/// The options that every run has. fio takes them as defaults that the job file may override.
pub(super) fn arguments(order: &Order<'_>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = [
        // One process, so that killing it ends all of fio.
        "--thread",
        // A device that vanished must not come back as a regular file in /dev.
        "--allow_file_create=0",
        "--verify_state_save=0",
        "--output-format=json+",
        "--eta=always",
        "--eta-newline=1000ms",
    ]
    .map(OsString::from)
    .to_vec();
    // Never beside the job file's own line: fio would take the device twice, as two files that overwrite each
    // other, and what it verifies would be wrong.
    if !order.job.names_device() {
        arguments.push(with_path("--filename=", &escaped(order.device)));
    }
    if let Some(file) = order.shared_memory {
        // The file stays as long as it is (`alloc_mem_mmap` in `memory.c`).
        arguments.push(with_path("--iomem=mmapshared:", file));
    }
    arguments.push(format!("--randseed={}", order.seed).into());
    if let Logs::Requests(_) = order.logs
        && !order.job.verifies
    {
        // Rules may fail requests, and it is the others that are looked at as well. A request that fails is in no
        // log, and counts as an error (`io_completed` in `io_u.c`). Of these alone fio would go on after EIO only
        // (`td_non_fatal_error` in `td_error.c`), so that each errno that a rule can give is named, by its number:
        // fio does not know all names.
        let errnos: Vec<String> = Status::all().map(|it| it.errno().to_string()).collect();
        let errnos = errnos.join(":");
        arguments.push("--continue_on_error=all".into());
        // Of reads, of writes, and EILSEQ, which fio takes for an error of verifying (`td_error_type`).
        arguments.push(format!("--ignore_error={errnos},{errnos},{errnos}").into());
    }
    match order.bound {
        Bound::Time(time) => {
            arguments.push("--time_based".into());
            arguments.push(format!("--runtime={}ms", time.as_millis()).into());
        }
        Bound::Ios(ios) => arguments.push(format!("--number_ios={ios}").into()),
        Bound::SizeBytes(bytes) => arguments.push(format!("--size={bytes}").into()),
    }
    arguments
}

/// fio separates file names by colons, unless they are escaped (`get_next_str` in `filesetup.c`).
pub(super) fn escaped(path: &Path) -> PathBuf {
    match path.to_str() {
        Some(text) => text.replace(':', "\\:").into(),
        None => path.to_owned(),
    }
}

pub(super) fn with_path(option: &str, path: &Path) -> OsString {
    let mut argument = OsString::from(option);
    argument.push(path);
    argument
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Job;
    use crate::fio_log::Logs;

    fn order(job: &Job) -> Order<'_> {
        Order {
            job,
            device: Path::new("/dev/a:b"),
            shared_memory: None,
            bound: Bound::Ios(1),
            seed: 7,
            limit: Duration::from_secs(60),
            logs: Logs::None,
        }
    }

    #[test]
    fn the_device_is_named_once() {
        let named = Job::load("verify-4k-qd32").unwrap();
        let text = named.text.replace("filename=${DEV}\n", "");
        let unnamed = Job::parse("x", &text).unwrap();
        for (job, by_option) in [(&named, false), (&unnamed, true)] {
            let arguments = arguments(&order(job));
            let option = std::ffi::OsStr::new("--filename=/dev/a\\:b");
            assert_eq!(arguments.iter().any(|a| a == option), by_option);
        }
    }

    #[test]
    fn bounds_and_devices_become_options() {
        let text = |bound| {
            let job = Job::load("rand-destination-4k-qd1").unwrap();
            let arguments = arguments(&Order {
                bound,
                ..order(&job)
            });
            let words: Vec<_> = arguments
                .iter()
                .map(|word| word.to_str().unwrap())
                .collect();
            words.join(" ")
        };
        let timed = text(Bound::Time(Duration::from_millis(1500)));
        assert!(timed.contains("--time_based --runtime=1500ms"), "{timed}");
        assert!(timed.contains("--randseed=7"));
        assert!(text(Bound::Ios(5)).ends_with("--number_ios=5"));
        assert!(!timed.contains("iomem"), "{timed}");
        let job = Job::load("rand-destination-4k-qd1").unwrap();
        let shared = arguments(&Order {
            shared_memory: Some(Path::new("/proc/7/fd/9")),
            ..order(&job)
        });
        assert!(shared.contains(&OsString::from("--iomem=mmapshared:/proc/7/fd/9")));
        assert!(text(Bound::SizeBytes(4096)).ends_with("--size=4096"));
    }
}
