//! The DevTools protocol by pipe: JSON objects with a zero byte after each, on the browser's descriptors 3 and 4
//! (`--remote-debugging-pipe`). No port is opened.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Gives our pipes to the browser as it wants them, and ends one that hangs.
const SCRIPT: &str = "exec timeout 120 \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1";

/// A browser with one page.
#[derive(Debug)]
pub(super) struct Browser {
    child: Child,
    /// Closed to end the browser.
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
    session: Option<String>,
    asked: u64,
    events: Vec<Value>,
    /// How many events were waited for already.
    seen: usize,
    _profile: TempDir,
}

impl Browser {
    /// Starts it, with an empty page.
    pub(super) fn start(program: &Path) -> Result<Self> {
        let profile = tempfile::tempdir().context("failed to make a profile for the browser")?;
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT, "sh"]).arg(program).args([
            "--headless",
            // Root has no sandbox; what is opened is our own page.
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--remote-debugging-pipe",
        ]);
        command.arg(format!("--user-data-dir={}", profile.path().display()));
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("failed to start the browser")?;
        let to = child.stdin.take();
        let from = child.stdout.take().context("the browser has no pipe")?;
        let mut browser = Self {
            child,
            to,
            from: BufReader::new(from),
            session: None,
            asked: 0,
            events: Vec::new(),
            seen: 0,
            _profile: profile,
        };
        let made = browser.ask("Target.createTarget", json!({"url": "about:blank"}))?;
        let target = json!({"targetId": made["targetId"], "flatten": true});
        let attached = browser.ask("Target.attachToTarget", target)?;
        let session = attached["sessionId"].as_str();
        browser.session = Some(session.context("the browser has no page")?.to_owned());
        Ok(browser)
    }

    /// Sends a command and returns its result; what comes before it is kept.
    pub(super) fn ask(&mut self, method: &str, parameters: Value) -> Result<Value> {
        self.asked += 1;
        let mut message = json!({"id": self.asked, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        let to = self.to.as_mut().context("the browser has ended")?;
        to.write_all(&bytes)
            .with_context(|| format!("failed to send {method} to the browser"))?;
        loop {
            let mut message = self.next(method)?;
            if message["id"] == self.asked {
                let error = &message["error"];
                ensure!(error.is_null(), "the browser refuses {method}: {error}");
                return Ok(message["result"].take());
            }
            self.events.push(message);
        }
    }

    /// Waits for an event that no call has waited for yet.
    pub(super) fn wait_for(&mut self, method: &str) -> Result<()> {
        loop {
            while let Some(event) = self.events.get(self.seen) {
                self.seen += 1;
                if event["method"] == method {
                    return Ok(());
                }
            }
            let event = self.next(method)?;
            self.events.push(event);
        }
    }

    /// What a script says, which must end with JSON as text.
    pub(super) fn evaluate(&mut self, script: &str) -> Result<Value> {
        let question = json!({"expression": script, "returnByValue": true});
        let answer = self.ask("Runtime.evaluate", question)?;
        let text = answer["result"]["value"].as_str();
        let text = text.with_context(|| format!("the page has no answer: {answer}"))?;
        serde_json::from_str(text).context("failed to measure the page")
    }

    /// Everything that the browser told unasked.
    pub(super) fn events(&self) -> &[Value] {
        &self.events
    }

    /// Ends it.
    pub(super) fn end(mut self) -> Result<()> {
        self.to = None;
        self.child.wait().context("failed to end the browser")?;
        Ok(())
    }

    fn next(&mut self, method: &str) -> Result<Value> {
        let mut bytes = Vec::new();
        self.from
            .read_until(0, &mut bytes)
            .context("failed to hear from the browser")?;
        ensure!(
            bytes.pop() == Some(0),
            "the browser has ended without an answer to {method}"
        );
        serde_json::from_slice(&bytes).context("failed to understand the browser")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It ends when its pipe is closed.
        self.to = None;
        let _ = self.child.wait();
    }
}
