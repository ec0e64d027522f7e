//! Runs a scenario: makes what it needs, takes its steps, and puts everything right again, also when it is
//! interrupted.

mod commands;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Error, Result};
use api::fault::Rule;
use api::{
    Client, DeviceConfig, ReleaseRequest, RememberRequest, RuleFile, SwitchRequest, TargetConfig,
    Which, call,
};
use serde::de::DeserializeOwned;

use super::cleanup::Made;
use super::report::{Outcome, Report, StepReport, Verdict};
use super::step::{InWords, Wait};
use super::{Scenario, Step};
use crate::command::fault::{Condition, until};
use crate::context::refused;
use crate::exit::Failure;
use crate::interrupt::Interrupt;
use crate::output::Lines;
use crate::source::Source;
use crate::units::Span;

/// How often an interrupt is looked for.
const PATIENCE: Duration = Duration::from_millis(50);

/// Where and how a scenario runs.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) client: Client,
    pub(crate) socket: PathBuf,
    /// The device, for a scenario that makes none.
    pub(crate) device: Option<u32>,
    /// Where the files that it names are.
    pub(crate) directory: PathBuf,
    /// Whether each step is told as it ends.
    pub(crate) tells: bool,
}

/// How a step failed.
enum Failed {
    /// Something is not as expected.
    Expectation(String),
    /// It could not be done.
    Error(Error),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// Runs it to its end, or until it is interrupted. Nothing is left behind either way, unless the report says so.
///
/// # Errors
/// It could not begin: there is no device, or it cannot be made.
pub(crate) async fn run(
    scenario: &Scenario,
    stage: &Stage,
    interrupt: &Interrupt,
) -> Result<Report> {
    let begin = Instant::now();
    let mut report = Report::new(&scenario.name, scenario.seed);
    let mut made = Made::new()?;
    let prepared = tokio::select! {
        prepared = stage.prepare(scenario, &mut made) => prepared,
        () = raised(interrupt) => Err(Failure::Interrupted.into()),
    };
    let since = match prepared {
        Ok(since) => since,
        Err(error) => {
            made.clean_up(&stage.client, &scenario.finally).await;
            return Err(error);
        }
    };
    report.device = made.device.map(|(id, _)| id);
    let Span(limit) = scenario.timeout;
    tokio::select! {
        steps = stage.take_steps(scenario, &mut made, since, &mut report) => steps?,
        () = raised(interrupt) => report.verdict = Verdict::Interrupted,
        () = tokio::time::sleep(limit) => {
            let number = report.steps.len();
            let step = scenario.step.get(number);
            let detail = format!("the scenario took more than {}", scenario.timeout);
            report.verdict = Verdict::Failed;
            report.steps.extend(step.map(|step| StepReport {
                number: number + 1,
                step: step.word(),
                text: step.to_string(),
                outcome: Outcome::Failed,
                detail: Some(detail),
                duration_ns: nanoseconds(limit),
            }));
        }
    }
    if let Some(id) = report.device
        && let Ok(list) = stage.client.send(call::rules(id)).await
    {
        report.rules = list.rules;
    }
    report.left = made.clean_up(&stage.client, &scenario.finally).await;
    if !report.left.is_empty() && report.verdict == Verdict::Passed {
        report.verdict = Verdict::Failed;
    }
    report.duration_ns = nanoseconds(begin.elapsed());
    Ok(report)
}

/// The device's configuration with the scenario's directory for `$SCRATCH` in its file.
fn placed(config: &DeviceConfig, made: &Made) -> DeviceConfig {
    let mut config = config.clone();
    if let TargetConfig::Loop { file, .. } = &mut config.target
        && let Ok(rest) = file.strip_prefix("$SCRATCH")
    {
        *file = made.scratch.path().join(rest);
    }
    config
}

async fn raised(interrupt: &Interrupt) {
    while !interrupt.is_raised() {
        tokio::time::sleep(PATIENCE).await;
    }
}

impl Stage {
    /// Makes the device and puts the first rules in force. Returns the number of the latest event.
    async fn prepare(&self, scenario: &Scenario, made: &mut Made) -> Result<u64> {
        let tool = std::env::current_exe().unwrap_or_else(|_| "bvecctl".into());
        let tool = format!("{} --socket {}", tool.display(), self.socket.display());
        made.variables.push(("BVECCTL", tool));
        let here = self.directory.display().to_string();
        made.variables.push(("SCENARIO_DIR", here));
        for run in &scenario.before {
            self.run(run, made).await.map_err(|failed| match failed {
                Failed::Expectation(why) => Failure::NotMet(format!("run `{run}`: {why}")).into(),
                Failed::Error(error) => error,
            })?;
        }
        let device = match (&scenario.device, self.device) {
            (Some(config), _) => {
                let config = placed(config, made);
                self.ask("make the device", call::add_device(&config))
                    .await?
            }
            (None, Some(id)) => self.ask("show the device", call::device(id)).await?,
            (None, None) => {
                let message = "choose a device: the scenario makes none, expected --dev N";
                return Err(Failure::Input(message.to_owned()).into());
            }
        };
        if scenario.device.is_none() && device.rules > 0 {
            let message = format!(
                "run on device {}: it has rules, which the end would remove, expected none; \
                 `bvecctl heal` removes them",
                device.id
            );
            return Err(Failure::Input(message).into());
        }
        made.device = Some((device.id, scenario.device.is_some()));
        made.variables.push(("DEV", device.path.clone()));
        made.variables.push(("DEV_ID", device.id.to_string()));
        node(&device.path).await?;
        let mut since = 0;
        let mut events = self.client.events(None, false).await?;
        while let Some(event) = events.next().await? {
            since = event.seq;
        }
        if !scenario.rule.is_empty() {
            let call = call::apply_rules(device.id, &scenario.rules());
            self.ask("apply the scenario's rules", call).await?;
        }
        Ok(since)
    }

    /// Takes the steps until one fails.
    async fn take_steps(
        &self,
        scenario: &Scenario,
        made: &mut Made,
        since: u64,
        report: &mut Report,
    ) -> Result<()> {
        for (index, step) in scenario.step.iter().enumerate() {
            let begin = Instant::now();
            let result = self.take(step, scenario, made, since).await;
            let (outcome, detail) = match result {
                Ok(()) => (Outcome::Passed, None),
                Err(Failed::Expectation(why)) => (Outcome::Failed, Some(why)),
                Err(Failed::Error(error)) => {
                    (Outcome::Failed, Some(format!("failed to {error:#}")))
                }
            };
            let taken = StepReport {
                number: index + 1,
                step: step.word(),
                text: step.to_string(),
                outcome,
                detail,
                duration_ns: nanoseconds(begin.elapsed()),
            };
            if self.tells {
                let mut lines = Lines::new();
                lines.line(taken.line())?;
                lines.flush()?;
            }
            report.steps.push(taken);
            if outcome == Outcome::Failed {
                report.verdict = Verdict::Failed;
                break;
            }
        }
        let rest = scenario.step.iter().enumerate().skip(report.steps.len());
        let rest = rest.map(|(index, step)| StepReport {
            number: index + 1,
            step: step.word(),
            text: step.to_string(),
            outcome: Outcome::NotRun,
            detail: None,
            duration_ns: 0,
        });
        report.steps.extend(rest);
        Ok(())
    }

    async fn take(
        &self,
        step: &Step,
        scenario: &Scenario,
        made: &mut Made,
        since: u64,
    ) -> Result<(), Failed> {
        let device = made.device.map_or(0, |(id, _)| id);
        match step {
            Step::Add(rules) => self.add(rules, scenario.seed, device).await?,
            Step::Apply(file) => {
                let source = Source::read(&self.directory.join(file)).map_err(Error::from)?;
                let rules = source.rules().map_err(Error::from)?.file;
                self.ask("apply the rules", call::apply_rules(device, &rules))
                    .await?;
            }
            Step::Rm(name) => {
                self.ask("remove the rule", call::remove_rule(device, name))
                    .await?;
            }
            Step::Arm(name) => {
                let request = SwitchRequest {
                    armed: Some(true),
                    ..SwitchRequest::default()
                };
                let call = call::switch_rule(device, name, &request);
                self.ask("arm the rule", call).await?;
            }
            Step::Mark(label) => {
                let request = RememberRequest {
                    mark: Some(label.clone()),
                    ..RememberRequest::default()
                };
                let call = call::remember(device, &request);
                self.ask("set the mark", call).await?;
            }
            Step::State(name) => {
                let request = RememberRequest {
                    state: Some(name.clone()),
                    ..RememberRequest::default()
                };
                let call = call::remember(device, &request);
                self.ask("enter the state", call).await?;
            }
            Step::Wait(wait) => self.wait(wait, device).await?,
            Step::Run(run) => self.run(run, made).await?,
            Step::Join(join) => self.join(join, made).await?,
            Step::Release(choice) => self.release(device, &choice.0, None).await?,
            Step::Fail(fail) => {
                self.release(device, &fail.which.0, Some(fail.status))
                    .await?
            }
            Step::Heal {} => {
                self.ask("heal", call::heal(Some(device))).await?;
            }
            Step::Expect(expect) => {
                if let Some(wrong) = expect.judge(&self.client, device, since).await? {
                    return Err(Failed::Expectation(wrong));
                }
            }
        }
        Ok(())
    }

    async fn add(&self, InWords(rules): &InWords, seed: Option<u64>, device: u32) -> Result<()> {
        for (name, words) in rules {
            let rule = Rule::parse(name, words).map_err(|error| Failure::Words {
                name: name.clone(),
                error,
            })?;
            let file = RuleFile {
                seed,
                ..RuleFile::new(vec![rule])
            };
            for rule in file.into_rules() {
                self.ask("add the rule", call::add_rule(device, &rule))
                    .await?;
            }
        }
        Ok(())
    }

    async fn release(
        &self,
        device: u32,
        which: &Which,
        fail: Option<api::fault::Status>,
    ) -> Result<(), Failed> {
        let request = ReleaseRequest::of(which.clone()).failing(fail);
        self.ask("let go", call::release(device, &request)).await?;
        Ok(())
    }

    async fn wait(&self, wait: &Wait, device: u32) -> Result<(), Failed> {
        let (condition, rule) = match (&wait.rule, wait.fired, wait.held) {
            (Some(rule), Some(least), _) => (Condition::fired(least), rule),
            (Some(rule), None, Some(least)) => (Condition::held(least), rule),
            _ => {
                let Span(time) = wait.time.unwrap_or(Span(Duration::ZERO));
                tokio::time::sleep(time).await;
                return Ok(());
            }
        };
        let met = until(&self.client, device, rule, condition);
        match tokio::time::timeout(wait.timeout.0, met).await {
            Ok(met) => Ok(met.map(drop)?),
            Err(_) => Err(Failed::Expectation(format!(
                "not so after {}",
                wait.timeout
            ))),
        }
    }

    async fn ask<T: DeserializeOwned>(&self, what: &str, call: api::Call<T>) -> Result<T> {
        let answer = self.client.send(call).await;
        answer.map_err(|error| refused(what, error))
    }
}

/// Waits for the block device's node, which udev or devtmpfs makes.
async fn node(path: &str) -> Result<()> {
    for _ in 0..200 {
        if Path::new(path).exists() {
            return Ok(());
        }
        tokio::time::sleep(PATIENCE).await;
    }
    Err(Failure::Missing(format!("find {path}: nobody has made this node")).into())
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
