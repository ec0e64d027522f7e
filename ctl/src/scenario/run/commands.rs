//! The steps that run commands and wait for their end.

use super::{Failed, Stage};
use crate::scenario::cleanup::Made;
use crate::scenario::command::{Join, Run, Started};
use crate::units::Span;

impl Stage {
    pub(super) async fn run(&self, run: &Run, made: &mut Made) -> Result<(), Failed> {
        let started = Started::new(&run.command, made.scratch.path(), &made.variables)?;
        let name = run.background.clone().unwrap_or_else(|| run.to_string());
        // Kept there while it runs, so that it is found if this is interrupted.
        made.running.push((name, started));
        if run.background.is_some() {
            return Ok(());
        }
        let ended = end_of_last(made, run.timeout).await;
        judge(ended?, run.exit, run.says.as_deref())
    }

    pub(super) async fn join(&self, join: &Join, made: &mut Made) -> Result<(), Failed> {
        let place = made.running.iter().position(|(name, _)| *name == join.name);
        let Some(place) = place else {
            let why = format!("nothing runs in the background as `{}`", join.name);
            return Err(Failed::Expectation(why));
        };
        let last = made.running.len() - 1;
        made.running.swap(place, last);
        let ended = end_of_last(made, join.timeout).await;
        judge(ended?, join.exit, join.says.as_deref())
    }
}

/// Waits for the end of the command that is last in the list, and takes it out.
async fn end_of_last(made: &mut Made, limit: Span) -> Result<(i32, String), Failed> {
    let Some((_, started)) = made.running.last_mut() else {
        return Err(Failed::Expectation("nothing runs".to_owned()));
    };
    match tokio::time::timeout(limit.0, started.end()).await {
        Ok(ended) => {
            made.running.pop();
            Ok(ended?)
        }
        Err(_) => Err(Failed::Expectation(format!("it took more than {limit}"))),
    }
}

fn judge((code, said): (i32, String), exit: i32, says: Option<&str>) -> Result<(), Failed> {
    if code != exit {
        let why = format!("it ended with {code}, expected {exit}\n{said}");
        return Err(Failed::Expectation(why));
    }
    match says {
        Some(text) if !said.contains(text) => {
            let why = format!("it does not say `{text}`, but\n{said}");
            Err(Failed::Expectation(why))
        }
        _ => Ok(()),
    }
}
