use super::*;
use crate::fio_output::FioOutput;
use crate::{Backing, Limits, Quiet};

const READ: &str = include_str!("../../tests/data/rand-destination-4k-qd32.json");
const VERIFY_BAD: &str = include_str!("../../tests/data/verify-4k-qd32-bad.json");

fn setup() -> Setup {
    Setup {
        device: PathBuf::from("/dev/ublkb0"),
        data_path: "copy".to_owned(),
        backing: Backing::Buffered,
        max_io_bytes: 512 << 10,
        daemon_pid: None,
        shared_memory: None,
        limits: Limits::default(),
        seed: 1,
    }
}

fn run(report: &str, pins_per_io: u64) -> Run {
    let output = FioOutput::parse(report).unwrap();
    let ios = output.job().unwrap().ios();
    Run {
        fio: FioRun {
            raw: report.to_owned(),
            log: Log::default(),
            output,
            complaints: Vec::new(),
        },
        counted: Counted {
            pins: ios * pins_per_io,
            ios,
        },
        outstanding: 0,
        daemon_cpu_ns: ios * 1000,
        daemon_switches: ios,
        instructions: None,
    }
}

#[test]
fn a_result_joins_report_pins_and_cpu() {
    let job = Job::load("rand-destination-4k-qd32").unwrap();
    let result = result(&job, &setup(), &run(READ, 1), None).unwrap();
    assert!(result.is_good());
    assert!((result.pins_acquired_per_io - 1.0).abs() < f64::EPSILON);
    assert!(result.cpu_ns_per_io > 1000.0, "fio's own time is added");
    assert!(result.latency_ns.p50 <= result.latency_ns.p99);
    assert_eq!((result.depth, result.block_size_bytes), (32, 4096));
}

#[test]
fn a_cost_is_the_daemons_only_if_there_is_one() {
    let served = Setup {
        daemon_pid: Some(1),
        ..setup()
    };
    let run = run(READ, 1);
    assert_eq!(
        cost(&setup(), &run, None).unwrap().daemon_cpu_ns_per_io,
        None
    );
    let cost = cost(&served, &run, None).unwrap();
    assert_eq!(cost.daemon_switches_per_io, Some(1.0));
    assert!(cost.client_cpu_ns_per_io > 0.0);
}

#[test]
fn keys_are_those_of_the_report() {
    let job = Job::load("rand-destination-4k-qd32").unwrap();
    let result = result(&job, &setup(), &run(READ, 1), None).unwrap();
    let value = serde_json::to_value(&result).unwrap();
    for key in [
        "name",
        "device",
        "data_path",
        "direction",
        "block_size_bytes",
        "depth",
        "ios",
        "iops",
        "bandwidth_bytes_per_s",
        "latency_ns",
        "pins_acquired_per_io",
        "pins_outstanding",
        "daemon_pins_per_io",
        "cpu_ns_per_io",
        "verify_errors",
        "errors",
    ] {
        assert!(value.get(key).is_some(), "{key}");
    }
    assert_eq!(value["direction"], "destination");
    assert!(value["latency_ns"]["p99_9"].is_u64());
}

#[test]
fn wrong_data_is_a_bad_result_and_unread_data_none() {
    let job = Job::load("verify-4k-qd32").unwrap();
    let bad = result(&job, &setup(), &run(VERIFY_BAD, 1), None).unwrap();
    assert_eq!(bad.verify_errors, 2);
    assert!(!bad.is_good());
    let unread = VERIFY_BAD
        .replace("\"error\":84", "\"error\":0")
        .replace("\"first_error\":84", "\"first_error\":0")
        .replace("\"total_err\":2", "\"total_err\":0")
        .replacen("\"total_ios\":1024", "\"total_ios\":1000", 1);
    let error = result(&job, &setup(), &run(&unread, 1), None).unwrap_err();
    assert!(matches!(
        error,
        BenchError::NotVerified {
            read: 1000,
            written: 1024
        }
    ));
}

#[test]
fn what_is_no_device_is_refused_before_fio_runs() {
    let bench = Bench::new(Fio::at("/nowhere/fio"), &Roots::default());
    let job = Job::load("rand-source-4k-qd1").unwrap();
    for device in ["/dev/null", "/nowhere/device"] {
        let setup = Setup {
            device: PathBuf::from(device),
            ..setup()
        };
        let error = bench.run(&job, &setup, &mut Quiet).unwrap_err();
        assert!(matches!(error, BenchError::BadDevice { .. }), "{error}");
    }
}

#[test]
fn what_starting_costs_is_no_requests() {
    let with = |ios, instructions| Run {
        counted: Counted { pins: 0, ios },
        instructions,
        ..run(READ, 1)
    };
    let short = with(1, Some(50_000_000));
    let long = with(1001, Some(70_000_000));
    assert_eq!(slope(&long, &short), Some(20_000.0));
    // A run of one request says nothing of requests, nor does one that was not counted.
    assert_eq!(slope(&short, &short), None);
    assert_eq!(slope(&with(1001, None), &short), None);
}
