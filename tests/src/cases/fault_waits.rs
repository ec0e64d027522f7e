//! `fault wait` and the events it follows.

use std::time::{Duration, Instant};

use api::{DataPath, call};

use crate::client_io::{Disk, read_in_background};
use crate::daemon::Daemon;
use crate::outcome::{Case, Outcome};
use crate::programs::{self, bvecctl};

pub(crate) const CASES: &[Case] = &[
    Case::new("fault_waits::what_has_fired_already_counts", counted),
    Case::new("fault_waits::it_ends_when_the_rule_fires", fires),
    Case::new("fault_waits::it_ends_with_3_in_time", too_late),
    Case::new("fault_waits::a_rule_that_is_removed_ends_it", removed),
    Case::new("fault_waits::new_events_leave_out_the_old", new_events),
];

const SIZE: u64 = 1 << 20;

fn counted() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    daemon.rule(device.id, "bad", "fail where op=read when count=2");
    let disk = Disk::open(&device.path);
    assert!(disk.try_read(0, 512).is_err() && disk.try_read(0, 512).is_err());
    let said = bvecctl(
        &daemon.socket(),
        &["--json", "fault", "wait", "bad", "fired>=2"],
    )
    .good();
    assert!(said.contains(r#""fired":2"#), "{said}");
    daemon.stop();
    Outcome::Passed
}

fn fires() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    // A delay before a failure: the event names only the rule that decides, and the wait is for the other.
    daemon.rule(device.id, "slow", "delay:1ms where op=read");
    daemon.rule(device.id, "bad", "fail where op=read");
    daemon.rule(device.id, "stop", "hold where op=write");
    for (words, held) in [(["slow", "fired>=3"], false), (["stop", "held>=1"], true)] {
        let mut waiter = programs::command("bvecctl")
            .arg("--socket")
            .arg(daemon.socket())
            .args(["fault", "wait", "--timeout", "20s"])
            .args(words)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let disk = Disk::open(&device.path);
        if held {
            let writer = std::thread::spawn(move || disk.try_write(0, &[1; 512]));
            assert!(waiter.wait().unwrap().success(), "{words:?}");
            daemon.ask(call::heal(None));
            writer.join().unwrap().unwrap();
        } else {
            for _ in 0..3 {
                assert!(waiter.try_wait().unwrap().is_none());
                assert!(disk.try_read(0, 512).is_err());
            }
            assert!(waiter.wait().unwrap().success(), "{words:?}");
        }
    }
    daemon.stop();
    Outcome::Passed
}

fn too_late() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    daemon.rule(device.id, "bad", "fail where op=write");
    let begin = Instant::now();
    let words = ["fault", "wait", "bad", "fired>=1", "--timeout", "300ms"];
    let said = bvecctl(&daemon.socket(), &words).ended_with(3);
    let took = begin.elapsed();
    assert!(said.contains("after 300ms it is 0"), "{said}");
    let limits = Duration::from_millis(300)..Duration::from_secs(10);
    assert!(limits.contains(&took), "{took:?}");
    let said = bvecctl(&daemon.socket(), &["fault", "wait", "none"]).ended_with(2);
    assert!(said.contains("one of bad"), "{said}");
    bvecctl(&daemon.socket(), &["fault", "wait", "bad", "matched>=1"]).ended_with(2);
    daemon.stop();
    Outcome::Passed
}

fn removed() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    daemon.rule(device.id, "bad", "fail where op=write");
    let socket = daemon.socket();
    let waiter = std::thread::spawn(move || bvecctl(&socket, &["fault", "wait", "bad"]));
    // The wait may begin before or after; either way it is told apart from a time-out.
    std::thread::sleep(Duration::from_millis(500));
    daemon.ask(call::clear_rules(device.id));
    let ran = waiter.join().unwrap();
    assert!(matches!(ran.code, Some(2 | 3)), "{ran:?}");
    assert!(
        ran.code == Some(2) || ran.err.contains("it was removed"),
        "{ran:?}"
    );
    daemon.stop();
    Outcome::Passed
}

fn new_events() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    daemon.rule(device.id, "stop", "hold where op=read when count=1");
    let last = daemon.client.events(None, false).unwrap().count();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let client = api::Client::new(daemon.socket());
    let mut events = runtime.block_on(client.new_events()).unwrap();
    let reader = read_in_background(&device.path, 0, 4096);
    let first = runtime.block_on(events.next()).unwrap().unwrap();
    assert_eq!(first.seq, last as u64 + 1, "{first:?}");
    drop(events);
    daemon.ask(call::heal(None));
    reader.join().unwrap().unwrap();
    daemon.stop();
    Outcome::Passed
}
