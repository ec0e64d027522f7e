//! A file of rules or steps in TOML or JSON. What is wrong with it is told by file, line and column.

mod place;

use std::fmt;
use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::exit::Failure;

/// The text of a file, kept so that what is wrong can be shown.
#[derive(Debug)]
pub(crate) struct Source {
    name: String,
    text: String,
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Toml,
    Json,
}

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Located {
    file: String,
    /// Counted from 1.
    line: usize,
    /// Counted from 1, in characters.
    column: usize,
    problem: String,
    /// The line itself.
    text: String,
}

impl Source {
    /// Reads a file, or standard input for `-`. JSON is what ends in `.json`, or begins with a brace on
    /// standard input; anything else is TOML.
    ///
    /// # Errors
    /// [`Failure::Input`]: it cannot be read, or is no text.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let is_input = path == Path::new("-");
        let text = if is_input {
            let mut text = String::new();
            io::stdin().read_to_string(&mut text).map(|_| text)
        } else {
            fs::read_to_string(path)
        };
        let text =
            text.map_err(|error| Failure::Input(format!("read {}: {error}", path.display())))?;
        let is_json = match is_input {
            true => text.trim_start().starts_with('{'),
            false => path
                .extension()
                .is_some_and(|extension| extension == "json"),
        };
        Ok(Self {
            name: match is_input {
                true => "standard input".to_owned(),
                false => path.display().to_string(),
            },
            text,
            format: if is_json { Format::Json } else { Format::Toml },
        })
    }

    /// A file of TOML with this text.
    #[cfg(test)]
    pub(crate) fn of_toml(name: &str, text: &str) -> Self {
        Self {
            name: name.to_owned(),
            text: text.to_owned(),
            format: Format::Toml,
        }
    }

    /// Reads what it holds.
    ///
    /// # Errors
    /// [`Failure::Located`]: it does not hold that.
    pub(crate) fn parse<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        match self.format {
            Format::Toml => {
                let document = toml::Deserializer::parse(&self.text);
                let document = document.map_err(|error| self.toml_error(&error, ""))?;
                serde_path_to_error::deserialize(document).map_err(|error| {
                    let pointer = api::pointer(error.path());
                    self.toml_error(error.inner(), &pointer)
                })
            }
            Format::Json => {
                let mut document = serde_json::Deserializer::from_str(&self.text);
                let value = serde_path_to_error::deserialize(&mut document).map_err(|error| {
                    let pointer = api::pointer(error.path());
                    self.json_error(error.inner(), &pointer)
                })?;
                document
                    .end()
                    .map_err(|error| self.json_error(&error, ""))?;
                Ok(value)
            }
        }
    }

    /// Says what is wrong with the value that a JSON pointer names; a pointer to nothing means its innermost
    /// part that is there.
    pub(crate) fn refuse(&self, pointer: &str, problem: impl fmt::Display) -> Failure {
        let at = match self.format {
            Format::Toml => place::in_toml(&self.text, pointer),
            Format::Json => place::in_json(&self.text, pointer),
        };
        self.located(at, problem.to_string())
    }

    fn toml_error(&self, error: &toml::de::Error, pointer: &str) -> Failure {
        // Its text goes on with lines of the file, which we show ourselves.
        let problem = error.message().trim_end().replace('\n', ", ");
        match error.span() {
            Some(span) => self.located(span.start, problem),
            None => self.refuse(pointer, problem),
        }
    }

    fn json_error(&self, error: &serde_json::Error, pointer: &str) -> Failure {
        let text = error.to_string();
        // The place follows the message, and is where reading stopped; the value began before it.
        let problem = text.split(" at line ").next().unwrap_or(&text).to_owned();
        match error.classify() {
            serde_json::error::Category::Data => self.refuse(pointer, problem),
            _ => {
                let line = error.line().saturating_sub(1);
                let before: usize = self
                    .text
                    .split_inclusive('\n')
                    .take(line)
                    .map(str::len)
                    .sum();
                self.located(before + error.column().saturating_sub(1), problem)
            }
        }
    }

    /// The place of a byte.
    fn located(&self, at: usize, problem: String) -> Failure {
        let mut at = at.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        let before = &self.text[..at];
        let begin = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = self.text[begin..].lines().next().unwrap_or("");
        Failure::Located(Box::new(Located {
            file: self.name.clone(),
            line: before.matches('\n').count() + 1,
            column: before[begin..].chars().count() + 1,
            problem,
            text: line.to_owned(),
        }))
    }
}

impl Located {
    /// The line with a caret below the place.
    pub(crate) fn excerpt(&self) -> String {
        // Tabs stay tabs, so that the caret stands where the eye looks for it.
        let before = self.text.chars().take(self.column - 1);
        let blanks: String = before.map(|c| if c == '\t' { c } else { ' ' }).collect();
        format!("  {}\n  {blanks}^", self.text)
    }
}

impl fmt::Display for Located {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file, line, column, ..
        } = self;
        write!(f, "{file}:{line}:{column}: {}", self.problem)
    }
}

#[cfg(test)]
mod tests;
