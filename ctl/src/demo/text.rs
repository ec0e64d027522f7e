//! What the demo tells on the terminal.

use std::path::Path;

use api::Features;
use api::fault::Status;
use bench::Backing;
use lab::{Fault, HeldPage, PageCounts};

use super::report::{Measured, jobs_on};
use crate::command::bench::results_text;
use crate::output::{counted, table};
use bench::Machine;

/// Why the last table differs from those above.
pub(super) const DIRECT: &str = "\
Above, bvecd reads and writes its backing through the page cache and pins nothing: every pin is
the client's, one a page of its request, and none where its buffers are registered beforehand.
Below, the backing is opened with O_DIRECT, so that bvecd's own I/O pins, too: where bytes go
through its memory (copy, user-copy) it pins that memory; with auto-zero-copy it hands on the
client's pages, which are pinned already. The kernel does not count whose pins they are: in the
tables below, pins/IO is its rule for the client, and +daemon what was counted beyond that.";

/// What is about to be shown, and where.
pub(super) fn beginning(machine: &Machine, features: &Features) -> String {
    let accel = match machine.accel.as_str() {
        "tcg" => "emulated by QEMU: look at ratios, not at speed",
        "kvm" => "in a virtual machine (KVM)",
        _ => "no emulation",
    };
    let mut text = format!(
        "kernel {}, {}, {accel}\nfio jobs on a loop device of 256 MiB per data path:",
        features.kernel,
        counted(u64::try_from(machine.cpus).unwrap_or(u64::MAX), "CPU"),
    );
    for path in &features.data_paths {
        if let (false, Some(why)) = (path.usable, &path.why) {
            text.push_str(&format!("\n  not {}: {why}", path.name));
        }
    }
    text
}

/// The tables of the jobs.
pub(super) fn jobs(measured: &Measured) -> String {
    let table = |backing| results_text(&jobs_on(backing, &measured.devices, &measured.jobs));
    format!(
        "\n{}\n\n{DIRECT}\n\n{}",
        table(Backing::Buffered),
        table(Backing::Direct)
    )
}

/// A moment in the life of the held page, and what it shows.
pub(super) struct Moment {
    /// When.
    pub(super) name: &'static str,
    /// The page then.
    pub(super) page: PageCounts,
    /// What it means.
    pub(super) meaning: &'static str,
}

/// The held page's life, in order.
pub(super) fn moments(hold: &HeldPage) -> [Moment; 6] {
    let moment = |name, page, meaning| Moment {
        name,
        page,
        meaning,
    };
    [
        moment(
            "before the read",
            hold.before,
            "an ordinary page: mapped once, not pinned",
        ),
        moment(
            "in flight",
            hold.in_flight,
            "the read pinned it: the device may write to it",
        ),
        moment(
            "after fork, parent",
            hold.after_fork.parent,
            "the parent keeps the page the device writes to",
        ),
        moment(
            "after fork, child",
            hold.after_fork.child,
            "not shared: the child got a copy at once",
        ),
        moment(
            "after munmap",
            hold.after_munmap,
            "of another held read: the pin alone keeps it",
        ),
        moment(
            "after release",
            hold.after_release,
            "the read is done and the pin given back",
        ),
    ]
}

/// The held page and the injected error.
pub(super) fn observations(hold: &HeldPage, fault: &Fault) -> String {
    let rows = moments(hold).map(|moment| {
        [
            moment.name.to_owned(),
            format!("{:#x}", moment.page.pfn),
            moment.page.pin_count.to_string(),
            moment.page.ref_count.to_string(),
            moment.page.map_count.to_string(),
            moment.meaning.to_owned(),
        ]
    });
    let heads = ["page of a held read", "frame", "pins", "refs", "mapped", ""];
    format!(
        "\nA direct read of 4 KiB was held in bvecd, and its page looked at:\n\n{}\n\n{}",
        table(&heads, &["frame", "pins", "refs", "mapped"], rows),
        error_story(fault)
    )
}

/// The injected error, as a direct reader saw it.
pub(super) fn error_story(fault: &Fault) -> String {
    let before = fault.sector.saturating_sub(8);
    let saw = |failed: bool| if failed { "failed" } else { "4096 bytes" };
    let neighbours = if fault.neighbours_ok {
        "4096 bytes"
    } else {
        "failed"
    };
    format!(
        "A medium error was injected: {}\n\
         \x20 read of sector {before}: {neighbours}\n\
         \x20 read of sector {}: {}\n\
         \x20 read of sector {}: {neighbours}\n\
         \x20 read of sector {} again: {}",
        fault.rule,
        fault.sector,
        errno_text(fault.errno),
        fault.sector + 8,
        fault.sector,
        saw(!fault.again_ok),
    )
}

/// An errno with its name, as far as a block device can answer with it.
fn errno_text(errno: i32) -> String {
    if errno == 0 {
        return "4096 bytes".to_owned();
    }
    let status = Status::all().find(|status| status.errno() == errno);
    let name = status.map_or("an error", |status| status.errno_name());
    format!("{name} (errno {errno})")
}

/// How it went, and what to do next.
pub(super) fn end(wrong: &[String], out: &Path) -> String {
    let verdict = match wrong.len() {
        0 => "Everything is as it must be.".to_owned(),
        count => {
            let count = u64::try_from(count).unwrap_or(u64::MAX);
            format!(
                "{} not what it must be:\n  {}",
                counted(count, "number"),
                wrong.join("\n  ")
            )
        }
    };
    format!(
        "\n{verdict}\nThe report: {}/report.html and report.json\n\n{NEXT}",
        out.display()
    )
}

/// What to try next.
const NEXT: &str = "\
Try next:
  bvecctl vm shell                                      a guest with all of this inside; in it:
  bvecd &                                               the daemon
  bvecctl dev add ram --size 256M                       a disk
  bvecctl fault add stop 'hold:max=60s where op=read'   stop every read of it
  dd if=/dev/ublkb0 of=/dev/null count=1 iflag=direct & one that stops
  bvecctl hold list                                     there it is
  bvecctl heal                                          and off it goes";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::report::tests::good;

    fn fits(text: &str) {
        for line in text.lines() {
            assert!(line.chars().count() <= 100, "{line}");
        }
    }

    #[test]
    fn the_story_is_what_the_snapshot_shows() {
        let report = good();
        let observations = observations(&report.hold, &report.fault);
        let end = end(&[], Path::new("target/demo"));
        fits(&observations);
        fits(&end);
        fits(DIRECT);
        insta::assert_snapshot!(format!("{observations}\n{end}"));
    }

    #[test]
    fn both_backings_have_their_tables() {
        let report = good();
        let measured = Measured {
            devices: report.devices,
            jobs: report.jobs,
        };
        let text = jobs(&measured);
        fits(&text);
        let (above, below) = text.split_once(DIRECT).unwrap();
        assert_eq!(above.matches("/dev/ublkb").count(), 3);
        assert_eq!(below.matches("/dev/ublkb").count(), 3);
    }

    #[test]
    fn what_is_wrong_is_listed() {
        let text = end(&["a".to_owned(), "b".to_owned()], Path::new("x"));
        assert!(
            text.contains("2 numbers not what it must be:\n  a\n  b"),
            "{text}"
        );
    }
}
