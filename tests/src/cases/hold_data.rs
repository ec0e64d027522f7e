//! Looking into held requests and storing into them, on every data path.

use std::time::Duration;

use api::{
    Content, DataPath, EventKind, Hex, PokeRequest, ProblemCode, ReleaseRequest, Which, call,
};

use crate::client_io::{Aligned, Disk, read_in_background};
use crate::daemon::Daemon;
use crate::model::pattern;
use crate::outcome::{Case, Outcome, need_data_path};
use crate::programs::{self, bvecctl};

pub(crate) const CASES: &[Case] = &[
    Case::new("hold_data::peek_and_poke_copy", || both(DataPath::Copy)),
    Case::new("hold_data::peek_and_poke_user_copy", || {
        both(DataPath::UserCopy)
    }),
    Case::new("hold_data::peek_and_poke_zero_copy", || {
        both(DataPath::ZeroCopy)
    }),
    Case::new("hold_data::peek_and_poke_auto_zero_copy", || {
        both(DataPath::AutoZeroCopy)
    }),
    Case::new("hold_data::peek_and_poke_shared_memory", || {
        both(DataPath::SharedMemory)
    }),
    Case::new("hold_data::a_poke_outlives_the_time_of_its_hold", expires),
    Case::new("hold_data::an_unstable_page_is_seen", unstable),
    Case::new("hold_data::what_cannot_be_done_is_told", refused),
    Case::new("hold_data::failed_and_in_part", fail_and_part),
    Case::new("hold_data::the_rest_of_a_part_is_sent_again", part),
    Case::new("hold_data::a_part_is_done_on_the_medium", part_of_medium),
];

const SIZE: u64 = 4 << 20;

fn both(path: DataPath) -> Outcome {
    let daemon = Daemon::start();
    need_data_path!(daemon, path);
    let (device, file) = daemon.add_loop(SIZE, path);
    // What the medium holds, so that a read that went there would show.
    std::fs::write(&file, vec![0xee; usize::try_from(SIZE).unwrap()]).unwrap();
    daemon.rule(device.id, "w", "hold where op=write,lba=8+16");
    daemon.rule(device.id, "r", "hold where op=read,lba=64+8");
    let data = pattern(7, 8192);
    let (disk, written) = (Disk::open(&device.path), data.clone());
    let writer = std::thread::spawn(move || disk.try_write(4096, &written));
    let hold = daemon.held(device.id, 1)[0].clone();
    let seen = daemon.ask(call::peek(device.id, hold.hold_id, 0, u32::MAX));
    assert!(seen.data.0 == data, "not what is written");
    assert_eq!(seen.length_bytes, 8192);
    assert_eq!(seen.sees_later_changes, path != DataPath::Copy);
    let part = daemon.ask(call::peek(device.id, hold.hold_id, 4000, 200));
    assert_eq!(
        (part.data.0.as_slice(), part.digest),
        (&data[4000..4200], seen.digest)
    );
    daemon.release(device.id, Which::All);
    writer.join().unwrap().unwrap();

    let reader = read_in_background(&device.path, 64 * 512, 4096);
    let hold = daemon.held(device.id, 1)[0].hold_id.to_string();
    let poke = |words: &[&str]| {
        let words = [&["hold", "poke", &hold], words].concat();
        bvecctl(&daemon.socket(), &words)
    };
    poke(&["--data", "deadbeef", "--offset", "512"]).good();
    poke(&["--fill", "0x41", "--offset", "1K", "--bytes", "1K"]).good();
    daemon.release(device.id, Which::All);
    let read = reader.join().unwrap().unwrap();
    let mut expected = vec![0; 4096];
    expected[512..516].copy_from_slice(&[0xde, 0xad, 0xbe, 0xef]);
    expected[1024..2048].fill(0x41);
    assert!(read == expected, "the client got something else");
    assert_eq!(
        std::fs::read(&file).unwrap()[64 * 512],
        0xee,
        "the medium was changed"
    );
    daemon.ask(call::heal(None));
    assert_eq!(Disk::open(&device.path).read(64 * 512, 4096), [0xee; 4096]);
    daemon.stop();
    Outcome::Passed
}

/// Nobody lets the request go: its time ends, and the client gets what was stored.
fn expires() -> Outcome {
    let daemon = Daemon::start();
    for path in [DataPath::Copy, DataPath::UserCopy] {
        need_data_path!(daemon, path);
        let device = daemon.add_ram(SIZE, path);
        daemon.rule(device.id, "r", "hold:max=4s where op=read,lba=0+8");
        let reader = read_in_background(&device.path, 0, 4096);
        let hold = daemon.held(device.id, 1)[0].hold_id;
        let poke = PokeRequest {
            offset_bytes: 0,
            content: Content::Data(Hex(vec![0x5a; 4096])),
        };
        daemon.ask(call::poke(device.id, hold, &poke));
        assert_eq!(reader.join().unwrap().unwrap(), [0x5a; 4096], "{path}");
        let ended = daemon.events(EventKind::Released);
        assert_eq!(ended.last().unwrap().hold_id, Some(hold));
        daemon.ask(call::delete_device(device.id));
    }
    daemon.stop();
    Outcome::Passed
}

/// A client changes the memory that it is writing from, which a direct write allows it to.
fn unstable() -> Outcome {
    let daemon = Daemon::start();
    need_data_path!(daemon, DataPath::UserCopy);
    let device = daemon.add_ram(SIZE, DataPath::UserCopy);
    daemon.rule(device.id, "w", "hold where op=write,lba=0+8");
    // A file of memory, mapped twice: once to write from, once to change it.
    let memory = tempfile::tempfile_in("/dev/shm").unwrap();
    memory.set_len(4096).unwrap();
    let (from, mut change) = (
        crate::sys::SharedMap::of(&memory, true),
        crate::sys::SharedMap::of(&memory, true),
    );
    let disk = Disk::open(&device.path);
    let writer = std::thread::spawn(move || {
        use std::os::unix::fs::FileExt;
        disk.file.write_all_at(from.bytes(), 0)
    });
    let hold = daemon.held(device.id, 1)[0].hold_id.to_string();
    let watch = |socket: &std::path::Path| {
        let words = [
            "--json",
            "hold",
            "peek",
            &hold,
            "--watch",
            "40",
            "--interval",
            "20ms",
        ];
        bvecctl(socket, &words)
    };
    let quiet = watch(&daemon.socket()).good();
    assert_eq!(quiet.lines().count(), 40, "{quiet}");
    let watcher = programs::command("bvecctl")
        .arg("--socket")
        .arg(daemon.socket())
        .args([
            "--json",
            "hold",
            "peek",
            &hold,
            "--watch",
            "100",
            "--interval",
            "20ms",
        ])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(700));
    change.bytes_mut()[1000..1004].fill(0x55);
    let output = watcher.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.contains(r#"[{"offset_bytes":1000,"length_bytes":4}]"#),
        "{said}"
    );
    daemon.ask(call::heal(None));
    writer.join().unwrap().unwrap();
    daemon.stop();
    Outcome::Passed
}

fn refused() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    daemon.rule(device.id, "r", "hold where op=read,lba=8+8");
    daemon.rule(device.id, "w", "hold where op=write,lba=8+8");
    let reader = read_in_background(&device.path, 4096, 4096);
    let read = daemon.held(device.id, 1)[0].hold_id;
    let disk = Disk::open(&device.path);
    let writer = std::thread::spawn(move || disk.try_write(4096, Aligned::new(4096).bytes()));
    let holds = daemon.held(device.id, 2);
    let write = holds
        .iter()
        .find(|hold| hold.hold_id != read)
        .unwrap()
        .hold_id;
    let poke = |offset_bytes, content| PokeRequest {
        offset_bytes,
        content,
    };
    let bytes = |count| Content::Data(Hex(vec![1; count]));
    let code = |problem: api::Problem| problem.code;
    let refused = |call| code(daemon.refused(call));
    assert_eq!(
        code(daemon.refused(call::peek(device.id, read, 0, 8))),
        ProblemCode::Conflict
    );
    assert_eq!(
        refused(call::poke(device.id, write, &poke(0, bytes(1)))),
        ProblemCode::Conflict
    );
    assert_eq!(
        refused(call::poke(device.id, read, &poke(4096, bytes(1)))),
        ProblemCode::InvalidField
    );
    assert_eq!(
        refused(call::poke(device.id, read, &poke(4000, bytes(97)))),
        ProblemCode::InvalidField
    );
    assert_eq!(
        refused(call::poke(device.id, read, &poke(0, bytes(0)))),
        ProblemCode::InvalidField
    );
    assert_eq!(
        refused(call::poke(device.id, 4711, &poke(0, bytes(1)))),
        ProblemCode::NotFound
    );
    assert_eq!(
        code(daemon.refused(call::peek(device.id, write, 4096, 8))),
        ProblemCode::InvalidField
    );
    let said = bvecctl(&daemon.socket(), &["hold", "peek", &read.to_string()]).ended_with(2);
    assert!(said.contains("expected a write"), "{said}");
    // Nothing of this changed anything.
    daemon.release(device.id, Which::All);
    assert_eq!(reader.join().unwrap().unwrap(), [0; 4096]);
    writer.join().unwrap().unwrap();
    daemon.stop();
    Outcome::Passed
}

fn fail_and_part() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    daemon.rule(device.id, "h", "hold where op=read,lba=0+8");
    let reader = read_in_background(&device.path, 0, 4096);
    daemon.held(device.id, 1);
    let said = bvecctl(&daemon.socket(), &["hold", "fail", "h", "EPERM"]).ended_with(2);
    assert!(said.contains("EIO"), "{said}");
    bvecctl(&daemon.socket(), &["hold", "fail", "h", "MEDIUM"]).good();
    assert_eq!(
        crate::client_io::errno(reader.join().unwrap()),
        libc::ENODATA
    );
    for (request, pointer) in [
        (
            ReleaseRequest {
                bytes: Some(100),
                ..ReleaseRequest::of(Which::All)
            },
            "/bytes",
        ),
        (
            ReleaseRequest {
                bytes: Some(512),
                ..ReleaseRequest::of(Which::All).failing(Some("MEDIUM".parse().unwrap()))
            },
            "/bytes",
        ),
    ] {
        let problem = daemon.refused(call::release(device.id, &request));
        assert_eq!(problem.pointer.as_deref(), Some(pointer), "{problem}");
    }
    daemon.stop();
    Outcome::Passed
}

/// A read under `copy` is the one of which every kernel sends the rest again (docs/design/conformance.md).
fn part() -> Outcome {
    let daemon = Daemon::start();
    let device = daemon.add_ram(SIZE, DataPath::Copy);
    let bytes = pattern(3, 4096);
    Disk::open(&device.path).write(0, &bytes);
    daemon.rule(device.id, "h", "hold where op=read,lba=0+8 when count=1");
    let reader = read_in_background(&device.path, 0, 4096);
    let hold_id = daemon.held(device.id, 1)[0].hold_id.to_string();
    let words = ["hold", "poke", &hold_id, "--data", &"ab".repeat(512)];
    bvecctl(&daemon.socket(), &words).good();
    let words = ["hold", "release", "h", "--bytes", "512"];
    bvecctl(&daemon.socket(), &words).good();
    let got = reader.join().unwrap().unwrap();
    assert_eq!(got[..512], [0xab; 512], "the part that was done");
    assert_eq!(got[512..], bytes[512..], "the rest, which was sent again");
    let ended = daemon.events(EventKind::Completed);
    assert_eq!(ended.last().unwrap().result, Some(512));
    assert_eq!(daemon.ask(call::stats(device.id)).inflight, 0);
    daemon.stop();
    Outcome::Passed
}

/// What is answered as done is done: the part of a read comes from the medium, that of a write is on it.
fn part_of_medium() -> Outcome {
    let daemon = Daemon::start();
    let (device, file) = daemon.add_loop(SIZE, DataPath::Copy);
    let (old, new) = (pattern(3, 4096), pattern(4, 4096));
    std::fs::write(&file, vec![0x5a; usize::try_from(SIZE).unwrap()]).unwrap();
    let disk = Disk::open(&device.path);
    // The tags' memory has something else in it.
    (0..64).for_each(|n| disk.write(1 << 20, &vec![n; 4096]));
    disk.write(0, &old);

    daemon.rule(device.id, "r", "hold where op=read,lba=0+8 when count=1");
    let reader = read_in_background(&device.path, 0, 4096);
    daemon.held(device.id, 1);
    let words = ["hold", "release", "r", "--bytes", "512"];
    bvecctl(&daemon.socket(), &words).good();
    let got = reader.join().unwrap().unwrap();
    assert!(got == old, "not what the medium has");

    daemon.rule(device.id, "w", "hold where op=write,lba=0+8 when count=1");
    let (writing, data) = (Disk::open(&device.path), new.clone());
    let writer = std::thread::spawn(move || writing.try_write(0, &data));
    daemon.held(device.id, 1);
    let words = ["hold", "release", "w", "--bytes", "512"];
    bvecctl(&daemon.socket(), &words).good();
    writer.join().unwrap().unwrap();
    let medium = std::fs::read(&file).unwrap();
    assert_eq!(medium[..512], new[..512], "the part that was done");
    // Until 7.2 the kernel sends the rest again, since 7.3 it does not (docs/design/conformance.md).
    let rest = &medium[512..4096];
    assert!(rest == &old[512..] || rest == &new[512..], "neither");
    daemon.stop();
    Outcome::Passed
}
