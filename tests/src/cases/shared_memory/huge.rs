//! Shared memory in huge pages.

use std::fs::File;
use std::path::PathBuf;

use api::{BufferConfig, DataPath, call};

use super::{SIZE, counts, follow};
use crate::daemon::{Daemon, shell};
use crate::outcome::{Case, Outcome, need_data_path, need_program};
use crate::sys::SharedMap;

pub(super) const CASES: &[Case] = &[
    Case::new("shared_memory::huge_pages_mixed_with_copies", huge_pages),
    Case::new("shared_memory::fio_verifies_in_huge_pages", fio_verifies).within(90),
];

/// A hugetlbfs file that both sides map, named by its path.
fn huge_pages() -> Outcome {
    let Some(huge) = HugePages::mount() else {
        return Outcome::NotApplicable("this kernel has no huge pages to give".into());
    };
    let daemon = Daemon::start();
    need_data_path!(daemon, DataPath::SharedMemory);
    let (path, file) = huge.file("shared");
    for device in [
        daemon.add_ram(SIZE as u64, DataPath::SharedMemory),
        daemon.add_loop(SIZE as u64, DataPath::SharedMemory).0,
    ] {
        let by_path = BufferConfig {
            file: Some(path.clone()),
            ..BufferConfig::default()
        };
        let buffer = daemon.ask(call::add_buffer(device.id, &by_path));
        assert_eq!((buffer.size_bytes, buffer.sealed), (2 << 20, false));
        let mut map = SharedMap::of(&file, true);
        follow(&daemon, &device, &mut map, 35);
        daemon.ask(call::delete_device(device.id));
    }
    daemon.stop();
    Outcome::Passed
}

/// Many requests at once, in a buffer of fio's own.
fn fio_verifies() -> Outcome {
    need_program!("fio");
    let Some(huge) = HugePages::mount() else {
        return Outcome::NotApplicable("this kernel has no huge pages to give".into());
    };
    let daemon = Daemon::start();
    need_data_path!(daemon, DataPath::SharedMemory);
    let (device, _) = daemon.add_loop(32 << 20, DataPath::SharedMemory);
    let (path, _file) = huge.file("fio");
    let (socket, shown) = (daemon.socket(), path.display());
    let ctl = crate::programs::command("bvecctl")
        .arg("--socket")
        .arg(&socket)
        .args(["buffer", "add"])
        .arg(&path)
        .output()
        .unwrap();
    assert!(ctl.status.success(), "{ctl:?}");
    // 16 requests of 64 KiB take 1 MiB of the huge page.
    shell(&format!(
        "fio --name=v --filename={} --direct=1 --ioengine=io_uring --iodepth=16 --rw=randwrite \
         --bs=64k --size=8M --verify=crc32c --do_verify=1 --verify_fatal=1 --mem=mmaphuge:{shown} \
         --output=/dev/null",
        device.path
    ));
    let counts = counts(&daemon, &device);
    assert!(
        counts.shared >= 256,
        "fio's requests were copied: {counts:?}"
    );
    daemon.stop();
    Outcome::Passed
}

/// Some huge pages and a hugetlbfs, gone again when the test ends.
struct HugePages {
    mount: tempfile::TempDir,
    before: String,
}

const NR_HUGE_PAGES: &str = "/proc/sys/vm/nr_hugepages";

impl HugePages {
    fn mount() -> Option<Self> {
        let before = std::fs::read_to_string(NR_HUGE_PAGES).ok()?;
        std::fs::write(NR_HUGE_PAGES, "8").ok()?;
        let mount = tempfile::Builder::new().prefix("huge").tempdir().unwrap();
        let huge = Self { mount, before };
        let given: u32 = std::fs::read_to_string(NR_HUGE_PAGES)
            .ok()?
            .trim()
            .parse()
            .ok()?;
        let none: Option<&str> = None;
        let flags = nix::mount::MsFlags::empty();
        nix::mount::mount(
            Some("none"),
            huge.mount.path(),
            Some("hugetlbfs"),
            flags,
            none,
        )
        .ok()?;
        (given >= 2).then_some(huge)
    }

    /// A file of one huge page.
    fn file(&self, name: &str) -> (PathBuf, File) {
        let path = self.mount.path().join(name);
        let file = File::create_new(&path).unwrap();
        drop(file);
        let file = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .unwrap();
        file.set_len(2 << 20).unwrap();
        (path, file)
    }
}

impl Drop for HugePages {
    fn drop(&mut self) {
        // Nothing is mounted if there is no hugetlbfs.
        let _ = nix::mount::umount2(self.mount.path(), nix::mount::MntFlags::MNT_DETACH);
        let _ = std::fs::write(NR_HUGE_PAGES, self.before.trim());
    }
}
