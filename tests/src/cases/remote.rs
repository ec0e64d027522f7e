//! The device at the other end of a network: exported by the kernel's NVMe target, and driven by fio's client. The
//! lines of docs/scale.md are what runs.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use api::fault::Op;
use serde_json::Value;

use crate::daemon::{Daemon, block_devices};
use crate::deadline::wait_for;
use crate::outcome::{Case, Outcome, need_program};
use crate::programs;

pub(crate) const CASES: &[Case] = &[
    Case::new("remote::a_disk_over_nvme_tcp_has_our_faults", over_nvme).within(120),
    Case::new("remote::fios_client_drives_the_device", by_fios_client).within(120),
];

const PAGE: &str = include_str!("../../../docs/scale.md");
const JOB: &str = include_str!("../../../fio-jobs/rand-destination-4k-qd32.fio");
const DISK: &str = "/dev/nvme0n1";
/// What the page says of a medium error: the initiator tries five times more.
const ATTEMPTS: u64 = 6;
const FIO_SERVER: &str = "127.0.0.1,8765";

/// The lines of a block of the page that has this word.
fn block(word: &str) -> Vec<&'static str> {
    let mut blocks = PAGE.split("```").skip(1).step_by(2);
    let block = blocks.find(|block| block.contains(word)).unwrap();
    block.lines().filter(|line| !line.is_empty()).collect()
}

/// Runs lines of the page as one script, `bvecctl` on the daemon's socket, and says how it ended.
fn typed(daemon: &Daemon, lines: &[&str]) -> (bool, String) {
    let program = programs::find("bvecctl").unwrap();
    let script = format!(
        "set -e\nbvecctl() {{ {} --socket {} \"$@\"; }}\n{}",
        program.display(),
        daemon.socket().display(),
        lines.join("\n"),
    );
    let ended = Command::new("sh").args(["-c", &script]).output().unwrap();
    let said = [ended.stdout, ended.stderr].concat();
    (
        ended.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

fn over_nvme() -> Outcome {
    for module in ["nvmet_tcp", "nvme_tcp"] {
        if !Path::new("/sys/module").join(module).exists() {
            return Outcome::NotApplicable(format!("no module {module} (CONFIG_NVME_TARGET_TCP)"));
        }
    }
    let daemon = Daemon::start();
    let mut lines = block("nvmet");
    let read = lines.pop().unwrap();
    assert!(read.starts_with("dd "), "{read}");
    let rule = lines.pop().unwrap();
    let (good, said) = typed(&daemon, &lines);
    assert!(good, "{said}");
    wait_for("the NVMe namespace", || {
        Path::new(DISK).exists().then_some(())
    });
    // What is written at one end is read at the other.
    let copy = format!(
        "echo over the wire | dd of={DISK} bs=4k conv=sync oflag=direct; \
         dd if=/dev/ublkb0 bs=4k count=1 iflag=direct | head -n 1"
    );
    let (good, said) = typed(&daemon, &[&copy]);
    assert!(good && said.contains("over the wire"), "{said}");

    let (good, said) = typed(&daemon, &[rule]);
    assert!(good, "{said}");
    let (good, said) = typed(&daemon, &[read]);
    let expected = read.rsplit_once("# ").unwrap().1;
    assert!(!good && said.contains(expected), "{said}");
    let rules = programs::bvecctl(&daemon.socket(), &["--json", "fault", "list"]).good();
    let rules: Value = serde_json::from_str(&rules).unwrap();
    let fired = rules.pointer("/rules/0/counters/fired").unwrap();
    assert_eq!(fired.as_u64(), Some(ATTEMPTS), "{rules}");

    let (good, said) = typed(&daemon, &block("delete_controller"));
    assert!(good, "{said}");
    assert_eq!(block_devices(), Vec::<String>::new());
    daemon.stop();
    Outcome::Passed
}

/// A server of fio's, ended when dropped.
struct Server(Child);

impl Server {
    fn start() -> Self {
        let server = programs::command("fio")
            .arg(format!("--server={FIO_SERVER}"))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let address = FIO_SERVER.replace(',', ":");
        wait_for("fio's server", || TcpStream::connect(&address).ok());
        Self(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn by_fios_client() -> Outcome {
    need_program!("fio");
    let daemon = Daemon::start();
    let device = daemon.add_ram(4 << 20, api::DataPath::Copy);
    let directory = tempfile::tempdir().unwrap();
    let job = directory.path().join("job.fio");
    fs::write(&job, format!("{JOB}number_ios=500\n")).unwrap();
    let server = Server::start();
    let ended = programs::command("fio")
        .arg(format!("--client={FIO_SERVER}"))
        .arg("--output-format=json+")
        .arg(&job)
        .env("DEV", &device.path)
        .output()
        .unwrap();
    drop(server);
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(ended.status.success(), "{said}");
    // The client says what it does before the report.
    let report: Value = serde_json::from_str(&said[said.find('{').unwrap()..]).unwrap();
    let stats = &report["client_stats"][0];
    assert_eq!(stats["error"], 0, "{said}");
    assert_eq!(stats["read"]["total_ios"], 500, "{said}");
    let stats = daemon.ask(api::call::stats(device.id));
    let reads = stats.ops.iter().find(|of| of.op == Op::Read);
    assert!(reads.is_some_and(|of| of.ios >= 500), "{stats:?}");
    daemon.ask(api::call::delete_device(device.id));
    daemon.stop();
    Outcome::Passed
}
