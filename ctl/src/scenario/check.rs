//! Whether a scenario makes sense, as far as that can be said without running it.

use std::collections::BTreeSet;
use std::path::Path;

use api::RuleFile;
use api::fault::{Rule, RuleError, Written};

use super::step::{InWords, Wait};
use super::{Scenario, Step};
use crate::command::fault::alone;
use crate::exit::Failure;
use crate::source::Source;

/// Checks it. Files that steps name are beside the scenario's, in `directory`.
///
/// # Errors
/// [`Failure::Located`]: a step or a rule makes no sense, told where.
pub(crate) fn check(
    scenario: &Scenario,
    written: &Written,
    directory: &Path,
) -> Result<(), Failure> {
    alone(&scenario.rules()).map_err(|error| {
        let pointer = format!("/rule/{}{}", error.index, error.pointer());
        written.refuse(&pointer, &text_of(&error), "")
    })?;
    let mut background = BTreeSet::new();
    for (index, step) in scenario.step.iter().enumerate() {
        let at = |rest: &str, why: &str| {
            Failure::from(written.refuse(&format!("/step/{index}/{}{rest}", step.word()), why, ""))
        };
        match step {
            Step::Add(InWords(rules)) => {
                for (name, words) in rules {
                    let at = |why: &str| at(&format!("/{name}"), why);
                    let rule = Rule::parse(name, words).map_err(|error| at(&error.to_string()))?;
                    let alone = alone(&RuleFile::new(vec![rule]));
                    alone.map_err(|error| at(&text_of(&error)))?;
                }
            }
            Step::Apply(file) => {
                let other = Source::read(&directory.join(file))
                    .map_err(|failure| at("", &failure.to_string()))?;
                let document = other.rules()?;
                alone(&document.file).map_err(|error| document.locate(&error))?;
            }
            Step::Wait(wait) => wait.check().map_err(|why| at("", why))?,
            Step::Run(run) => {
                if let Some(name) = &run.background
                    && !background.insert(name.as_str())
                {
                    let why =
                        format!("`{name}` runs in the background already, expected another name");
                    return Err(at("/background", &why));
                }
            }
            Step::Join(join) if !background.remove(join.name.as_str()) => {
                let why = format!(
                    "nothing runs in the background as `{}`, expected the name of a command before \
                     this step",
                    join.name
                );
                return Err(at("", &why));
            }
            Step::Expect(expect) if !expect.says_something() => {
                return Err(at(
                    "",
                    "nothing is expected, expected a count, such as fired = 1",
                ));
            }
            _ => {}
        }
    }
    for (key, runs) in [("before", &scenario.before), ("finally", &scenario.finally)] {
        if let Some(index) = runs.iter().position(|run| run.background.is_some()) {
            let why = format!("a command of `{key}` cannot run in the background");
            let refused = written.refuse(&format!("/{key}/{index}/background"), &why, "");
            return Err(refused.into());
        }
    }
    Ok(())
}

fn text_of(error: &RuleError) -> String {
    let RuleError { rule, field, .. } = error;
    format!(
        "rule `{rule}`: {field}: {}, expected {}",
        error.problem, error.expected
    )
}

impl Wait {
    fn check(&self) -> Result<(), &'static str> {
        match (&self.rule, self.fired, self.held, self.time) {
            (Some(_), Some(1..), None, None)
            | (Some(_), None, Some(1..), None)
            | (None, None, None, Some(_)) => Ok(()),
            _ => Err(
                "found neither or both, expected `rule` with `fired` or `held` (a number from 1), or \
                 `time` alone",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use api::fault::Format;

    use super::*;

    fn wrong(steps: &str) -> String {
        let text = format!("version = 1\nname = \"x\"\n{steps}");
        let written = Written::parse("s.toml", &text, Format::Toml).unwrap();
        let checked = written
            .read::<Scenario>()
            .map_err(Failure::from)
            .and_then(|scenario| check(&scenario, &written, Path::new("/none")));
        match checked {
            Ok(()) => "right".to_owned(),
            Err(failure) => failure.to_string(),
        }
    }

    #[test]
    fn what_makes_no_sense_is_located() {
        for (steps, place, must_say) in [
            ("colour = 1", "3:1", "colour"),
            ("[[step]]\nburn = {}", "4:1", "burn"),
            ("[[step]]\nadd = { bad = \"fial\" }", "4:15", "an action"),
            (
                "[[step]]\nadd = { bad = \"fail where op=flush,lba=8\" }",
                "4:15",
                "no sectors",
            ),
            (
                "[[step]]\nwait = { rule = \"a\" }",
                "4:8",
                "`fired` or `held`",
            ),
            (
                "[[step]]\nwait = { rule = \"a\", fired = 0 }",
                "4:8",
                "from 1",
            ),
            (
                "[[step]]\nwait = { rule = \"a\", time = \"1s\" }",
                "4:8",
                "alone",
            ),
            (
                "[[step]]\nwait = { time = \"soon\" }",
                "4:17",
                "a whole number",
            ),
            ("[[step]]\njoin = \"writer\"", "4:8", "writer"),
            (
                "[[step]]\nrun = { command = \"true\", exits = 1 }",
                "4:27",
                "exits",
            ),
            (
                "[[step]]\nexpect = { rule = { name = \"a\" } }",
                "4:10",
                "nothing is expected",
            ),
            (
                "[[step]]\nexpect = { rule = { name = \"a\", fired = \"many\" } }",
                "4:41",
                "comparison",
            ),
            (
                "[[step]]\nfail = { which = \"all\", status = \"EPERM\" }",
                "4:34",
                "EIO",
            ),
            ("[[step]]\napply = \"none.toml\"", "4:9", "none.toml"),
            (
                "[[finally]]\ncommand = \"x\"\nbackground = \"y\"",
                "5:14",
                "background",
            ),
            (
                "[[rule]]\nname = \"a\"\naction = { fail = {} }\nwhen = { prob = 2.0 }",
                "6:17",
                "0 to 1",
            ),
            ("timeout = \"long\"", "3:11", "a whole number"),
        ] {
            let found = wrong(steps);
            assert!(
                found.contains(&format!("s.toml:{place}:")),
                "{steps}: {found}"
            );
            assert!(found.contains(must_say), "{steps}: {found}");
        }
    }

    #[test]
    fn what_makes_sense_passes() {
        let steps = "seed = 7\n[device]\ntarget = { ram = { size_bytes = 1048576 } }\n\
            [[before]]\ncommand = \"true\"\n\
            [[step]]\nadd = { b = \"fail where op=read\", a = \"hold where op=write\" }\n\
            [[step]]\nrun = { command = \"dd\", background = \"w\" }\n\
            [[step]]\nwait = { rule = \"a\", held = 1 }\n\
            [[step]]\nrelease = \"a\"\n[[step]]\nrelease = 7\n[[step]]\njoin = \"w\"\n\
            [[step]]\nfail = { which = \"all\", status = \"MEDIUM\" }\n[[step]]\nheal = {}\n\
            [[step]]\nexpect = { stats = { held = 0, errors = \"<3\" } }\n";
        assert_eq!(wrong(steps), "right");
    }
}
