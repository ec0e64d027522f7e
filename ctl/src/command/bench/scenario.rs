//! A scenario during a run: rules that come and go at marked times.

use std::path::Path;

use ::bench::matrix::MarkSpec;
use api::fault::Written;

use crate::exit::Failure;
use crate::scenario::check::check;
use crate::scenario::{Scenario, Step};
use crate::source::Source;

/// Reads a scenario as marks of a run.
///
/// # Errors
/// [`Failure::Located`]: it makes no sense, or has what a run under fio cannot have.
pub(super) fn marks(file: &Path) -> Result<Vec<MarkSpec>, Failure> {
    let written = Source::read(file)?.written()?;
    let directory = file.parent().unwrap_or(Path::new("."));
    of(&written, directory)
}

fn of(written: &Written, directory: &Path) -> Result<Vec<MarkSpec>, Failure> {
    let scenario: Scenario = written.read().map_err(Failure::from)?;
    check(&scenario, written, directory)?;
    let refuse = |pointer: &str, why: &str| Failure::from(written.refuse(pointer, why, ""));
    for (key, there) in [
        ("device", scenario.device.is_some()),
        ("before", !scenario.before.is_empty()),
        ("finally", !scenario.finally.is_empty()),
        ("seed", scenario.seed.is_some()),
    ] {
        if there {
            let why = format!("a run under fio has its own; expected no `{key}`");
            return Err(refuse(&format!("/{key}"), &why));
        }
    }
    let mut marks = Marks::default();
    for rule in &scenario.rule {
        marks.now().add.insert(rule.name.clone(), rule.to_string());
    }
    for (index, step) in scenario.step.iter().enumerate() {
        marks
            .take(step)
            .map_err(|why| refuse(&format!("/step/{index}/{}", step.word()), &why))?;
    }
    let marks: Vec<MarkSpec> = marks.0.into_iter().filter(does_something).collect();
    if marks.is_empty() {
        return Err(refuse(
            "",
            "it changes no rule, expected a step such as add",
        ));
    }
    Ok(marks)
}

fn does_something(mark: &MarkSpec) -> bool {
    mark.heal || !mark.rm.is_empty() || !mark.add.is_empty()
}

/// Marks in the order of time; the last one is that of now.
#[derive(Debug, Default)]
struct Marks(Vec<MarkSpec>);

impl Marks {
    fn take(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Add(rules) => {
                for (name, words) in &rules.0 {
                    self.now().add.insert(name.clone(), words.clone());
                }
            }
            Step::Rm(name) => {
                // What was added now is not taken away by what is removed first.
                self.after_additions().rm.push(name.clone());
            }
            Step::Heal {} => self.after_additions().heal = true,
            Step::Wait(wait) => {
                let time = wait.time().ok_or(
                    "under fio only time is waited for, expected `wait = { time = \"500ms\" }`",
                )?;
                let ms = u64::try_from(time.as_millis()).map_err(|error| error.to_string())?;
                let at_ms = self.now().at_ms.saturating_add(ms);
                self.0.push(at(at_ms));
            }
            other => {
                return Err(format!(
                    "`{}` is for `bvecctl scenario run`; a run under fio has add, rm, heal and wait = {{ time }}",
                    other.word()
                ));
            }
        }
        Ok(())
    }

    fn now(&mut self) -> &mut MarkSpec {
        if self.0.is_empty() {
            self.0.push(at(0));
        }
        let last = self.0.len() - 1;
        &mut self.0[last]
    }

    /// A mark of now that has added nothing yet.
    fn after_additions(&mut self) -> &mut MarkSpec {
        if !self.now().add.is_empty() {
            let at_ms = self.now().at_ms;
            self.0.push(at(at_ms));
        }
        self.now()
    }
}

fn at(at_ms: u64) -> MarkSpec {
    MarkSpec {
        at_ms,
        ..MarkSpec::default()
    }
}

#[cfg(test)]
mod tests {
    use api::fault::Format;

    use super::*;

    fn read(body: &str) -> Result<Vec<MarkSpec>, String> {
        let text = format!("version = 1\nname = \"x\"\n{body}");
        let written = Written::parse("s.toml", &text, Format::Toml).unwrap();
        of(&written, Path::new("/none")).map_err(|failure| failure.to_string())
    }

    #[test]
    fn steps_become_marks_at_their_times() {
        let marks = read(
            "[[rule]]\nname = \"early\"\naction = { delay = { dist = \"1ms\" } }\n\
             [[step]]\nwait = { time = \"300ms\" }\n\
             [[step]]\nadd = { late = \"delay:50ms where op=read when prob=1%\" }\n\
             [[step]]\nrm = \"early\"\n[[step]]\nwait = { time = \"1s\" }\n[[step]]\nheal = {}",
        );
        let told: Vec<(u64, String)> = marks
            .unwrap()
            .iter()
            .map(|mark| (mark.at_ms, mark.name()))
            .collect();
        assert_eq!(
            told,
            [
                (0, "early: delay(dist=fixed:1ms)".to_owned()),
                (
                    300,
                    "late: delay:50ms where op=read when prob=1%".to_owned()
                ),
                (300, "rm early".to_owned()),
                (1300, "heal".to_owned()),
            ]
        );
    }

    #[test]
    fn what_a_run_cannot_do_is_located() {
        for (body, place, must_say) in [
            ("[[step]]\nrun = \"true\"", "4:7", "scenario run"),
            ("[[step]]\nadd = { a = \"fial\" }", "4:13", "an action"),
            (
                "[[step]]\nwait = { rule = \"a\", fired = 1 }",
                "4:8",
                "only time",
            ),
            ("[[step]]\nwait = { time = \"1s\" }", "", "changes no rule"),
            ("seed = 7\n[[step]]\nheal = {}", "3:8", "no `seed`"),
        ] {
            let error = read(body).unwrap_err();
            assert!(error.contains(place) && error.contains(must_say), "{error}");
        }
    }
}
