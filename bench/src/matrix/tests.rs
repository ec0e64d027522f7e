use api::{DataPathSupport, Features, SCHEMA, TransportSupport};

use super::*;

const HEAD: &str = "version = 1\nname = \"x\"\nruntime_ms = 100\n";

fn support() -> Support {
    let path = |name| DataPathSupport {
        name,
        usable: name != DataPath::ZeroCopy,
        why: (name == DataPath::ZeroCopy).then(|| "kernel < 6.15".to_owned()),
    };
    let way = |name| TransportSupport {
        name,
        usable: true,
        why: None,
    };
    Support {
        features: Some(Features {
            schema: SCHEMA,
            kernel: "7.3".to_owned(),
            mask: 0,
            flags: Vec::new(),
            data_paths: DataPath::ALL.map(path).to_vec(),
            transports: [Transport::PerIo, Transport::Batch].map(way).to_vec(),
            drivers: Vec::new(),
            table: Vec::new(),
        }),
        cpus: 2,
    }
}

fn cells(group: &str) -> (Vec<String>, Vec<Missing>) {
    let matrix = Matrix::parse("x", &format!("{HEAD}[[group]]\n{group}")).unwrap();
    let (cells, missing) = matrix.cells(&support()).unwrap();
    (
        cells.iter().map(|it| it.cell.to_string()).collect(),
        missing,
    )
}

#[test]
fn lists_are_multiplied() {
    let (cells, missing) = cells(
        "target = ['ram', 'null']\ndata_path = ['copy', 'user-copy']\ntransport = ['per-io', 'batch']\n\
         queues = [1, 2]\ndepth = [1, 32]\nblock_size = ['4k', '8k']\ndirection = ['destination', 'source']",
    );
    assert_eq!(cells.len(), 2 * 2 * 2 * 2 * 2 * 2 * 2);
    assert!(missing.is_empty());
    assert!(
        cells.contains(&"bvecd null user-copy batch 2q: rand-source-8k-qd32".to_owned()),
        "{cells:?}"
    );
}

#[test]
fn peers_have_what_they_have() {
    let (cells, _) = cells(
        "peer = ['bvecd', 'rublk', 'null_blk', 'loop']\ntarget = ['ram', 'null']\n\
         data_path = ['copy', 'user-copy', 'auto-zero-copy']\ntransport = ['per-io', 'batch']",
    );
    let of = |peer: &str| cells.iter().filter(|cell| cell.starts_with(peer)).count();
    // Kernel drivers are there once, whatever the lists are; rublk has neither ram nor batches.
    assert_eq!(
        (of("bvecd "), of("rublk "), of("null_blk:"), of("loop:")),
        (12, 2, 1, 1)
    );
}

#[test]
fn what_is_not_here_is_named_once() {
    let (cells, missing) = cells(
        "data_path = ['copy', 'zero-copy', 'shared-memory']\nqueues = [1, 8]\n\
         job = ['rand-destination-4k-qd1', 'jobs4-source-4k-qd8']",
    );
    assert_eq!(cells.len(), 3, "{cells:?}");
    let named: Vec<&str> = missing.iter().map(|it| it.what.as_str()).collect();
    assert_eq!(
        named,
        [
            "zero-copy",
            "bvecd with 8 queues",
            "data path shared-memory with 4 clients",
        ]
    );
    assert_eq!(missing[0].reason, "kernel < 6.15");
}

#[test]
fn more_in_flight_than_the_device_has_is_left_out() {
    let (cells, _) = cells("block_size = ['1m']\ndepth = [1, 256]");
    assert_eq!(cells, ["bvecd ram copy: rand-destination-1m-qd1"]);
}

#[test]
fn shipped_jobs_are_used_where_there_are_some() {
    let matrix = Matrix::parse("x", &format!("{HEAD}[[group]]\ndepth = [1, 3]")).unwrap();
    let (cells, _) = matrix.cells(&support()).unwrap();
    assert!(cells[0].job.description.contains("Good:"));
    assert_eq!(
        (cells[1].job.depth, cells[1].job.description.as_str()),
        (3, "Made by a matrix.")
    );
}

#[test]
fn faults_make_another_cell() {
    let group = "[[group.mark]]\nat_ms = 5\nadd = { slow = 'delay:50ms where op=read when prob=1%' }\n\
                 [[group]]\n";
    let (cells, _) = cells(group);
    assert_eq!(cells.len(), 2, "{cells:?}");
    assert!(cells[0].contains("slow: delay:50ms"), "{cells:?}");
}

#[test]
fn bad_files_say_where() {
    for (text, needle) in [
        ("version = 1", "missing field"),
        (
            "version = 2\nname = 'x'\nruntime_ms = 1\ngroup = []",
            "version 2",
        ),
        (
            "version = 1\nname = 'x'\nruntime_ms = 0\ngroup = []",
            "runtime_ms is 0",
        ),
        (
            "version = 1\nname = 'x'\nruntime_ms = 1\n[[group]]\ndepht = [1]",
            "line 5",
        ),
        (
            "version = 1\nname = 'x'\nruntime_ms = 1\n[[group]]\ndata_path = ['copi']",
            "copi",
        ),
        (
            "version = 1\nname = 'x'\nruntime_ms = 1\n[[group]]\nblock_size = ['4x']",
            "4x",
        ),
        (
            "version = 1\nname = 'x'\nruntime_ms = 1\n[[group]]\njob = ['nope']",
            "nope",
        ),
        (
            "version = 1\nname = 'x'\nruntime_ms = 1\n[[group]]\n[[group.mark]]\nat_ms = 1\nadd = { a = 'dely:1s' }",
            "the rule `a`",
        ),
    ] {
        let error = Matrix::parse("m.toml", text).unwrap_err().to_string();
        assert!(
            error.contains(needle) && error.contains("m.toml"),
            "{needle}: {error}"
        );
    }
    assert!(Matrix::load("/nowhere.toml").is_err());
}

#[test]
fn the_shipped_ones_are_right() {
    for (name, _) in SHIPPED {
        let matrix = Matrix::load(name).unwrap();
        let (cells, missing) = matrix.cells(&support()).unwrap();
        assert_eq!(matrix.name, name);
        assert!(
            cells.len() > 10 && missing.iter().all(|it| it.what != "bvecd"),
            "{name}"
        );
    }
    // Under emulation a run costs a second beside its time, and a device half of one.
    let quick = Matrix::load("quick").unwrap();
    let (cells, _) = quick.cells(&support()).unwrap();
    let a_run = quick.runtime() + quick.warm_up() + Duration::from_millis(1500);
    let runs = quick.rounds * u32::try_from(cells.len()).unwrap();
    assert!(
        a_run * runs < Duration::from_secs(180),
        "{} cells",
        cells.len()
    );
    assert!(Matrix::is_meant("quick") && Matrix::is_meant("a.toml") && !Matrix::is_meant("a.fio"));
}
