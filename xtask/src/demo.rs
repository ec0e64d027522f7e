//! `cargo xtask demo`: `bvecctl demo`, in a virtual machine unless told otherwise.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use vm::{CopyOut, Machine, Spec, Vm};

use crate::process::{self, cargo, root, say};
use crate::setup;

/// The programs that the demo needs beside fio and the guest's init.
const PROGRAMS: [&str; 2] = ["bvecd", "bvecctl"];
/// Where the report goes below cargo's directory.
const REPORT: &str = "demo";
/// Where the guest writes it: what the guest says of it is then true here, too.
const GUEST_REPORT: &str = "target/demo";
/// The backing file of 256 MiB lies in the guest's memory, where a tmpfs may take half of it.
const MEMORY_MIB: u64 = 1536;
/// Under emulation the demo takes two minutes.
const LIMIT: Duration = Duration::from_secs(15 * 60);

/// Where and how long the demo runs.
#[derive(Debug, Default, Args)]
pub(crate) struct Arguments {
    /// Run on this machine instead; needs root and a kernel with ublk.
    #[arg(long, conflicts_with = "kernel")]
    native: bool,
    /// The kernel of the virtual machine: newest, a version such as 6.12, suite:NAME, or a path.
    #[arg(long, value_name = "SPEC", default_value = "newest")]
    kernel: Spec,
    /// Half a second a job instead of one and a half.
    #[arg(long)]
    quick: bool,
}

/// Runs the demo; its exit code is ours.
///
/// # Errors
/// If something needed is missing, does not compile, or the virtual machine cannot be made.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    setup::ensure()?;
    let built = build()?;
    let out = target().join(REPORT);
    fs::create_dir_all(&out).with_context(|| format!("failed to make {}", out.display()))?;
    let mut words = vec![
        "demo".to_owned(),
        "--revision".to_owned(),
        process::revision(),
    ];
    words.extend(arguments.quick.then(|| "--quick".to_owned()));
    let code = if arguments.native {
        native(&built, &words, &out)?
    } else {
        guest(arguments, &built, &words)?
    };
    say(format_args!(
        "the report: {} and {}",
        out.join("report.html").display(),
        out.join("report.json").display()
    ));
    Ok(ExitCode::from(code))
}

/// Builds the programs as they are shipped, and says where they are. The guest's init is looked for
/// beside this program, so that it is built as this program is.
pub(crate) fn build() -> Result<PathBuf> {
    process::run(&mut cargo(&["build", "--package", "vm", "--bins"]))?;
    process::run(&mut cargo(&[
        "build",
        "--release",
        "--package",
        "daemon",
        "--package",
        "ctl",
        "--bins",
    ]))?;
    Ok(target().join("release"))
}

/// Cargo's directory, which is not among the variables that it sets for us.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

fn native(built: &Path, words: &[String], out: &Path) -> Result<u8> {
    let mut command = Command::new(built.join("bvecctl"));
    command.args(words).arg("--out").arg(out);
    let status = command.status().context("failed to start bvecctl")?;
    // A signal has no code; 125 says that the harness failed.
    Ok(status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .unwrap_or(125))
}

fn guest(arguments: &Arguments, built: &Path, words: &[String]) -> Result<u8> {
    let mut programs: Vec<PathBuf> = PROGRAMS.map(|name| built.join(name)).to_vec();
    programs.push("fio".into());
    let command = ["bvecctl"]
        .into_iter()
        .chain(words.iter().map(String::as_str));
    let guest_report = Path::new("/root").join(GUEST_REPORT);
    let vm = Vm {
        kernel: arguments.kernel.clone(),
        machine: Machine {
            memory_mib: Some(MEMORY_MIB),
            ..Machine::default()
        },
        programs,
        copy_out: vec![CopyOut {
            guest: guest_report,
            dir: target(),
        }],
        timeout: Some(LIMIT),
        ..Vm::new(command.chain(["--out", GUEST_REPORT]))
    };
    Ok(vm.run()?.exit_code)
}
