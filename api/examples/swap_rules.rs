//! Puts one set of rules in the place of another, every millisecond, while a command runs. No rule matches
//! what the command does, so that `cargo xtask cost --faults` can count what the changes themselves cost.
//!
//! `swap_rules SOCKET DEVICE REAL|DRY COMMAND...`: `DRY` asks for the same changes and has none made. At the
//! end it prints how many there were and how many nanoseconds the command took, and ends as the command did.

use std::error::Error;
use std::io::{Write, stdout};
use std::process::{Command, ExitCode};
use std::thread;
use std::time::{Duration, Instant};

use api::fault::Rule;
use api::{BlockingClient, ChangeOptions, RuleFile, call};

/// How long from one change to the next.
const PERIOD: Duration = Duration::from_millis(1);

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [socket, device, manner, program, arguments @ ..] = words.as_slice() else {
        return Err("expected SOCKET DEVICE REAL|DRY COMMAND...".into());
    };
    let device: u32 = device.parse()?;
    let options = ChangeOptions {
        dry_run: match manner.as_str() {
            "REAL" => false,
            "DRY" => true,
            other => return Err(format!("found {other}, expected REAL or DRY").into()),
        },
        ..ChangeOptions::default()
    };
    let sets = [set("fail:MEDIUM")?, set("fail:TIMEOUT")?];
    let client = BlockingClient::new(socket)?;
    let mut connection = client.connect()?;
    let start = Instant::now();
    let mut command = Command::new(program).args(arguments).spawn()?;
    let mut due = start;
    let mut changes = 0_u64;
    let status = loop {
        if let Some(status) = command.try_wait()? {
            break status;
        }
        for set in &sets {
            connection.send(call::apply_rules(device, set).under(&options))?;
            changes += 1;
            due += PERIOD;
            let now = Instant::now();
            // What could not be done in time is not made up for: that would be more than one at a time.
            due = due.max(now);
            thread::sleep(due - now);
        }
    };
    writeln!(stdout(), "{changes} {}", start.elapsed().as_nanos())?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(1)))
}

/// A rule about sectors that the command leaves alone.
fn set(action: &str) -> Result<RuleFile, Box<dyn Error>> {
    let words = format!("{action} where lba=64+8");
    Ok(RuleFile::new(vec![Rule::parse("never", &words)?]))
}
