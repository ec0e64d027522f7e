//! How a run ends: its exit code, and the message of one that failed.

use std::fmt::Write as _;
use std::io::{Write as _, stderr};
use std::process::ExitCode;

use ::pages::PagesError;
use anyhow::Error;
use api::ClientError;
use api::fault::{DocumentError, WordsError};
use bench::BenchError;
use lab::LabError;

/// The code after Ctrl-C, as shells say it.
const INTERRUPTED: u8 = 130;

/// The end of a command that ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done: 0.
    Done,
    /// It ran, and the answer is bad: 1.
    Bad,
    /// It ran, and what came of it is not what was expected: 3.
    Differs,
    /// The code of a guest's command.
    Guest(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Done => Self::SUCCESS,
            Exit::Bad => Self::FAILURE,
            Exit::Differs => Self::from(3),
            Exit::Guest(code) => Self::from(code),
        }
    }
}

/// A failure that is found here. The messages fit "failed to ...".
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// What the user gave cannot be used: 2.
    #[error("{0}")]
    Input(String),
    /// Rule words that cannot be read: 2. The words and a caret follow the message.
    #[error("read the rule `{name}`: {error}")]
    Words {
        /// The rule's name.
        name: String,
        /// What is wrong, and where.
        error: WordsError,
    },
    /// What a file holds cannot be used: 2. The line and a caret follow the message.
    #[error("read {0}")]
    Located(Box<DocumentError>),
    /// What was waited for did not happen: 3.
    #[error("{0}")]
    NotMet(String),
    /// Something needed is missing: 4.
    #[error("{0}")]
    Missing(String),
    /// The user interrupted: 130, as shells say it.
    #[error("finish: it was interrupted")]
    Interrupted,
    /// Nobody reads the output any more, as in `bvecctl events | head`: 0, and no message.
    #[error("write: nobody reads the output")]
    OutputClosed,
}

impl From<DocumentError> for Failure {
    fn from(error: DocumentError) -> Self {
        Self::Located(Box::new(error))
    }
}

impl Failure {
    const fn code(&self) -> u8 {
        match self {
            Self::OutputClosed => 0,
            Self::Input(_) | Self::Words { .. } | Self::Located(_) => 2,
            Self::NotMet(_) => 3,
            Self::Missing(_) => 4,
            Self::Interrupted => INTERRUPTED,
        }
    }
}

/// Says why the command failed, and gives its exit code.
pub(crate) fn report(error: &Error) -> ExitCode {
    let code = code_of(error);
    let message = match code {
        0 => return ExitCode::SUCCESS,
        // What was going on at that moment is no news.
        INTERRUPTED => "bvecctl: interrupted".to_owned(),
        _ => message(error),
    };
    // Nobody can be told about a standard error that is closed.
    let _ = writeln!(stderr(), "{message}");
    ExitCode::from(code)
}

/// One line, and for rule words the words with a caret below.
fn message(error: &Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        // Some messages have their cause in them already.
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            // Writing to a string cannot fail.
            let _ = write!(text, ": {cause}");
        }
    }
    let mut text = format!("bvecctl: failed to {text}");
    if let Some(Failure::Located(located)) = error.downcast_ref() {
        text.push('\n');
        text.push_str(&located.excerpt());
    }
    if let Some(Failure::Words { error, .. }) = error.downcast_ref() {
        let rendered = error.render();
        for line in rendered.lines().skip(1) {
            text.push('\n');
            text.push_str(line);
        }
    }
    text
}

/// The documented code of an error; 125 where nobody but us is to blame.
fn code_of(error: &Error) -> u8 {
    error
        .chain()
        .find_map(|cause| {
            if let Some(failure) = cause.downcast_ref::<Failure>() {
                Some(failure.code())
            } else if let Some(error) = cause.downcast_ref::<ClientError>() {
                Some(error.exit_code())
            } else if let Some(error) = cause.downcast_ref::<::vm::Error>() {
                Some(error.exit_code())
            } else if let Some(error) = cause.downcast_ref::<BenchError>() {
                Some(code_of_bench(error))
            } else if let Some(error) = cause.downcast_ref::<LabError>() {
                Some(code_of_lab(error))
            } else {
                cause.downcast_ref::<PagesError>().map(code_of_pages)
            }
        })
        .unwrap_or(125)
}

fn code_of_bench(error: &BenchError) -> u8 {
    match error {
        BenchError::Pages(error) => code_of_pages(error),
        BenchError::UnknownJob { .. }
        | BenchError::BadJob { .. }
        | BenchError::BadMatrix { .. }
        | BenchError::BadRecord { .. }
        | BenchError::NotMergeable { .. }
        | BenchError::BadDevice { .. } => 2,
        BenchError::Device { source, .. } => source.exit_code(),
        BenchError::FioFailed { .. }
        | BenchError::TimedOut { .. }
        | BenchError::Stuck { .. }
        | BenchError::Vanished { .. }
        | BenchError::NotVerified { .. } => 1,
        BenchError::Interrupted => INTERRUPTED,
        _ if error.is_missing_requirement() => 4,
        _ => 125,
    }
}

fn code_of_lab(error: &LabError) -> u8 {
    match error {
        LabError::Client(error) => error.exit_code(),
        LabError::Pages(error) => code_of_pages(error),
        LabError::TooSmall { .. }
        | LabError::Sector { .. }
        | LabError::BadMatrix { .. }
        | LabError::NotMergeable { .. } => 2,
        LabError::Interrupted => INTERRUPTED,
        LabError::NotHeld { .. }
        | LabError::NotListed { .. }
        | LabError::HoldEnded { .. }
        | LabError::NotReturned { .. } => 1,
        _ if error.is_missing_requirement() => 4,
        _ => 125,
    }
}

fn code_of_pages(error: &PagesError) -> u8 {
    match error {
        PagesError::NoProcess { .. } | PagesError::NoFrame { .. } | PagesError::BadRange { .. } => {
            2
        }
        _ if error.is_missing_requirement() => 4,
        _ => 125,
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;
    use api::{Problem, ProblemCode};

    use super::*;

    fn unreachable() -> ClientError {
        ClientError::Unreachable {
            path: "/s".into(),
            source: std::io::ErrorKind::NotFound.into(),
        }
    }

    #[test]
    fn codes_are_the_documented_ones() {
        let problem = |code| ClientError::Problem(Box::new(Problem::new(code, "x")));
        for (error, code) in [
            (Error::new(Failure::Input(String::new())), 2),
            (Error::new(Failure::NotMet(String::new())), 3),
            (Error::new(Failure::Missing(String::new())), 4),
            (Error::new(unreachable()), 5),
            (Error::new(unreachable()).context("x"), 5),
            (Error::new(problem(ProblemCode::InUse)), 2),
            (Error::new(problem(ProblemCode::Unsupported)), 4),
            (
                Error::new(BenchError::NoFio {
                    program: "fio".into(),
                }),
                4,
            ),
            (Error::new(LabError::Client(unreachable())), 5),
            (Error::new(PagesError::NoProcess { pid: 1 }), 2),
            (Error::new(Failure::OutputClosed), 0),
            (anyhow::anyhow!("anything else"), 125),
        ] {
            assert_eq!(code_of(&error), code, "{error:?}");
        }
    }

    #[test]
    fn a_cause_is_said_once() {
        let error = Error::new(unreachable());
        let message = message(&error);
        assert_eq!(message.matches("entity not found").count(), 1, "{message}");
        assert!(
            message.starts_with("bvecctl: failed to reach bvecd at /s: "),
            "{message}"
        );
        assert_eq!(message.lines().count(), 1);
        let io: std::io::Result<()> = Err(std::io::ErrorKind::NotFound.into());
        let error = io.context("read /x").unwrap_err();
        assert_eq!(
            super::message(&error),
            "bvecctl: failed to read /x: entity not found"
        );
    }

    #[test]
    fn bad_words_get_a_caret() {
        let error = api::fault::Rule::parse("bad", "fail wher op=read").unwrap_err();
        let error = Error::new(Failure::Words {
            name: "bad".to_owned(),
            error,
        });
        insta::assert_snapshot!(message(&error), @r"
        bvecctl: failed to read the rule `bad`: column 6: found `wher`, expected a comma after parameters, `where`, `when` or `with`
          fail wher op=read
               ^
        ");
    }
}
