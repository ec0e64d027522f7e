//! Whether the report says what it must say.

use bench::{Backing, Job, JobResult, pins};
use lab::{Fault, HeldPage, PageCounts};

use super::report::{MeasuredDevice, Report, device_of};
use crate::command::bench as jobs;

/// How far the pins of a 4 KiB request may be from the kernel's rule: others pin meanwhile, too.
const TOLERANCE: f64 = 0.01;
/// Since this kernel direct I/O pins in both directions (`iov_iter_extract_user_pages`).
const PINS_SINCE: (u32, u32) = (6, 5);

/// What is wrong, a line each; nothing if all is right.
pub(super) fn wrong(report: &Report) -> Vec<String> {
    let has_rule = version(&report.kernel) >= Some(PINS_SINCE);
    let mut wrong = Vec::new();
    for job in &report.jobs {
        let name = format!("{} on {} ({})", job.name, job.device, job.data_path);
        if !job.is_good() {
            wrong.push(format!("{name}: {}", jobs::wrong(job)));
        }
        if let Some(device) = device_of(&report.devices, job)
            && has_rule
            && let Some(expected) = broken_rule(job, device)
        {
            let pins = job.pins_acquired_per_io;
            wrong.push(format!(
                "{name}: {pins:.3} pins per I/O, expected {expected}"
            ));
        }
    }
    wrong.extend(wrong_pages(&report.hold));
    wrong.extend(wrong_fault(&report.fault));
    wrong
}

/// The pins that a 4 KiB request must take, if it took others. Measured only where the daemon pins
/// nothing itself.
fn broken_rule(job: &JobResult, device: &MeasuredDevice) -> Option<u64> {
    if device.backing != Backing::Buffered || job.block_size_bytes != 4096 {
        return None;
    }
    let rule = pins::rule_per_io(&Job::load(&job.name).ok()?, device.max_io_bytes.into());
    let expected = f64::from(u32::try_from(rule).ok()?);
    let is_kept = (job.pins_acquired_per_io - expected).abs() <= TOLERANCE;
    (!is_kept).then_some(rule)
}

fn wrong_pages(hold: &HeldPage) -> Vec<String> {
    let frame = hold.before.pfn;
    let pins = |moment, page: &PageCounts, pins| {
        let found = page.pin_count;
        (found != pins).then(|| format!("held page {moment}: {found} pins, expected {pins}"))
    };
    let is_frame = |moment, is: bool, expected| {
        (!is).then(|| format!("held page {moment}: expected {expected}"))
    };
    let child = hold.after_fork.child.pfn;
    [
        pins("before", &hold.before, 0),
        pins("in flight", &hold.in_flight, 1),
        pins("after fork, parent", &hold.after_fork.parent, 1),
        pins("after fork, child", &hold.after_fork.child, 0),
        pins("after munmap", &hold.after_munmap, 1),
        pins("after release", &hold.after_release, 0),
        is_frame("in flight", hold.in_flight.pfn == frame, "the same frame"),
        is_frame(
            "after fork, parent",
            hold.after_fork.parent.pfn == frame,
            "the same frame",
        ),
        is_frame(
            "after fork, child",
            child != frame && child != 0,
            "a frame of its own",
        ),
        is_frame(
            "after munmap",
            hold.after_munmap.map_count == 0,
            "no mapping",
        ),
        is_frame(
            "after release",
            hold.after_release.pfn == frame,
            "the same frame",
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn wrong_fault(fault: &Fault) -> Option<String> {
    (!fault.is_exact()).then(|| {
        format!(
            "medium error: errno {} seen {} times, neighbours readable: {}, readable again: {}; \
             expected ENODATA once, and nothing else",
            fault.errno, fault.seen, fault.neighbours_ok, fault.again_ok
        )
    })
}

/// Major and minor number of a kernel's release.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::report::tests::good;

    #[test]
    fn a_good_report_has_nothing_wrong() {
        assert_eq!(wrong(&good()), Vec::<String>::new());
    }

    /// One defect at a time, each of which must be named.
    #[test]
    fn every_defect_is_found() {
        type Break = fn(&mut Report);
        let defects: [(Break, &str); 14] = [
            (|report| report.jobs[0].errors = 1, "1 errors"),
            (|report| report.jobs[1].verify_errors = 2, "2 verify errors"),
            (|report| report.jobs[2].iops = 0.0, "0 IOPS"),
            (|report| report.jobs[3].pins_outstanding = 1, "1 pins left"),
            (
                |report| report.jobs[0].pins_acquired_per_io = 1.02,
                "1.020 pins per I/O, expected 1",
            ),
            (
                |report| report.jobs[4].pins_acquired_per_io = 1.0,
                "expected 0",
            ),
            (
                |report| report.hold.before.pin_count = 1,
                "before: 1 pins, expected 0",
            ),
            (
                |report| report.hold.in_flight.pin_count = 0,
                "in flight: 0 pins, expected 1",
            ),
            (
                |report| report.hold.in_flight.pfn += 1,
                "in flight: expected the same frame",
            ),
            (
                |report| report.hold.after_fork.child.pfn = report.hold.before.pfn,
                "of its own",
            ),
            (
                |report| report.hold.after_munmap.map_count = 1,
                "no mapping",
            ),
            (
                |report| report.hold.after_release.pin_count = 1,
                "after release: 1 pins",
            ),
            (|report| report.fault.errno = 5, "errno 5"),
            (
                |report| report.fault.again_ok = false,
                "readable again: false",
            ),
        ];
        for (defect, needle) in defects {
            let mut report = good();
            defect(&mut report);
            let wrong = wrong(&report);
            assert!(
                wrong.iter().any(|line| line.contains(needle)),
                "{needle}: {wrong:?}"
            );
            assert_eq!(wrong.len(), 1, "{needle}: {wrong:?}");
        }
    }

    #[test]
    fn old_kernels_have_another_rule() {
        let mut report = good();
        report.jobs[0].pins_acquired_per_io = 0.0;
        report.kernel = "6.1.0-40-amd64".to_owned();
        assert_eq!(wrong(&report), Vec::<String>::new());
        assert_eq!(version("7.3.4+deb13"), Some((7, 3)));
        assert_eq!(version("unknown"), None);
    }
}
