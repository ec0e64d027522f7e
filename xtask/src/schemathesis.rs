//! `cargo xtask schemathesis`: the daemon's API against its OpenAPI document. schemathesis makes up requests, well
//! formed and not, and looks whether each answer is one that the document allows.
//!
//! The daemon with its devices runs in a virtual machine, schemathesis on this one: under emulation it would
//! spend its time on itself. A port of the loopback leads into the guest, where a relay brings it to the socket.

use std::env;
use std::io::{self, Read, Write, stdout};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use vm::{Machine, Spec, Vm};

use crate::process::{self, cargo, root, say};
use crate::setup::{self, Missing};

/// The version that is run; another one makes up other requests.
const VERSION: &str = "4.32.5";
/// What the guest runs.
const SCRIPT: &str = include_str!("schemathesis.sh");
/// How long the guest may take until its relay answers. For guests that hang, and no verdict about speed.
const START: Duration = Duration::from_secs(300);
/// What the run may take beyond its own limit, to shrink what it found and to end.
const GRACE: Duration = Duration::from_secs(900);
/// What is left out: it ends the daemon, as it should; a stream that does not end.
const EXCLUDED: [&str; 2] = ["/v1/hand-over", "/v1/events"];

/// The check that is left out: it takes every request that fits the schemas for a good one, and what a rule or a
/// device must be beyond that (sectors within the device, `nth` or `every`) no schema says. Such a request gets 422.
const UNSAYABLE: &str = "positive_data_acceptance";

/// How long, on what.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// How long requests are made up, in seconds.
    #[arg(long, value_name = "N", default_value_t = 120, value_parser = clap::value_parser!(u32).range(30..))]
    seconds: u32,
    /// Repeats the requests of a run that told this seed.
    #[arg(long, value_name = "N")]
    seed: Option<String>,
    /// The kernel of the virtual machine: newest, a version such as 6.12, suite:NAME, or a path.
    #[arg(long, value_name = "SPEC", default_value = "newest")]
    kernel: Spec,
}

/// Runs it. What schemathesis says goes to standard output.
///
/// # Errors
/// If something needed is missing or does not compile, or the virtual machine fails. An answer that the document
/// does not allow is no error, and ends with 1.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    setup::ensure()?;
    let program = program()?;
    let build = [
        "build", "--bins", "-p", "daemon", "-p", "ctl", "-p", "tests", "-p", "vm",
    ];
    process::run(&mut cargo(&build))?;
    let port = free_port().context("failed to find a free port")?;
    let guest = guest(arguments, port);
    thread::scope(|scope| {
        let guest = scope.spawn(move || guest.run_into(stdout(), io::stderr()));
        let found = wait_for(port, || guest.is_finished()).and_then(|()| {
            let clean = ask(&program, arguments, port);
            // Whatever was found: the guest ends.
            let ended = TcpStream::connect((Ipv4Addr::LOCALHOST, port));
            ended
                .and_then(|mut stream| stream.write_all(b"END\n"))
                .context("failed to end the guest")?;
            clean
        });
        let outcome = guest
            .join()
            .map_err(|_| anyhow::anyhow!("the guest's thread panicked"))?;
        let clean = found?;
        let code = outcome?.exit_code;
        ensure!(
            code == 0,
            "the daemon did not end well: the guest ended with {code}"
        );
        say(format_args!(
            "schemathesis: {}",
            if clean {
                "every answer was one that the document allows"
            } else {
                "see above"
            }
        ));
        Ok(if clean {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    })
}

/// schemathesis, installed at the first call and kept in the cache of the virtual machines.
fn program() -> Result<PathBuf> {
    let place = vm::Cache::open()?.path(format!("schemathesis/{VERSION}"));
    let program = place.join("bin/schemathesis");
    if program.is_file() {
        return Ok(program);
    }
    say(format_args!("installing schemathesis {VERSION}"));
    let install = || {
        process::run(Command::new("python3").args(["-m", "venv"]).arg(&place))?;
        let package = format!("schemathesis=={VERSION}");
        process::run(Command::new(place.join("bin/pip")).args(["install", "--quiet", &package]))
    };
    install()
        .map_err(|error| Missing(format!("{error:#}; python3 with venv and pip is needed")))
        .with_context(|| format!("failed to get schemathesis {VERSION}"))?;
    Ok(program)
}

/// A port that nobody listens on. Somebody else may take it before QEMU does, which then says so.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}

/// Cargo's directory, which is not among the variables that it sets for us.
fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

fn guest(arguments: &Arguments, port: u16) -> Vm {
    let built = target().join("debug");
    let programs = ["bvecd", "bvecctl", "bvecd-suite"].map(|name| built.join(name));
    Vm {
        kernel: arguments.kernel.clone(),
        machine: Machine {
            cpus: 2,
            forward: Some(port),
            ..Machine::default()
        },
        programs: programs.to_vec(),
        modules: vec!["ublk_drv".into(), "virtio_net".into()],
        env: vec![
            ("ADDRESS".into(), vm::machine::GUEST_ADDRESS.into()),
            ("PORT".into(), port.to_string()),
        ],
        timeout: Some(START + Duration::from_secs(u64::from(arguments.seconds)) + GRACE),
        ..Vm::new(["sh", "-c", SCRIPT])
    }
}

/// Waits until the daemon answers. QEMU takes connections before the guest does, and closes them.
fn wait_for(port: u16, has_ended: impl Fn() -> bool) -> Result<()> {
    let begin = Instant::now();
    while begin.elapsed() < START {
        if has_ended() {
            bail!("the guest ended before its daemon answered");
        }
        if answers(port).unwrap_or(false) {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(500));
    }
    bail!(
        "the daemon in the guest did not answer for {} s",
        START.as_secs()
    )
}

fn answers(port: u16) -> io::Result<bool> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(b"GET /v1/devices HTTP/1.1\r\nHost: bvecd\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.starts_with("HTTP/1.1 200"))
}

/// Runs schemathesis; says whether it found nothing.
fn ask(program: &Path, arguments: &Arguments, port: u16) -> Result<bool> {
    let url = format!("http://127.0.0.1:{port}");
    let mut command = Command::new(program);
    command
        .current_dir(target())
        .arg("run")
        .arg(root().join("api/openapi.json"))
        .args(["--url", &url, "--max-time", &arguments.seconds.to_string()])
        .args(["--request-timeout", "60", "--suppress-health-check", "all"])
        .args(["--continue-on-failure", "--warnings", "off"])
        .args(["--exclude-checks", UNSAYABLE]);
    for path in EXCLUDED {
        command.args(["--exclude-path", path]);
    }
    if let Some(seed) = &arguments.seed {
        command.args(["--seed", seed]);
    }
    let words = process::words(&command);
    say(format_args!("$ {words}"));
    let status = command
        .status()
        .with_context(|| format!("failed to start `{words}`"))?;
    match status.code() {
        Some(0) => Ok(true),
        Some(1) => Ok(false),
        _ => bail!("`{words}` ended with {status}"),
    }
}
