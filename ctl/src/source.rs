//! A file of rules or steps, or standard input. What is wrong with it is told by file, line and column.

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use api::fault::{Document, Format, Written};

use crate::exit::Failure;

/// The text of a file.
#[derive(Debug)]
pub(crate) struct Source {
    name: String,
    text: String,
}

impl Source {
    /// Reads a file, or standard input for `-`.
    ///
    /// # Errors
    /// [`Failure::Input`]: it cannot be read, or is no text.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let (name, text) = match path == Path::new("-") {
            true => {
                let mut text = String::new();
                let read = io::stdin().read_to_string(&mut text);
                ("standard input".to_owned(), read.map(|_| text))
            }
            false => (path.display().to_string(), fs::read_to_string(path)),
        };
        let text = text.map_err(|error| Failure::Input(format!("read {name}: {error}")))?;
        Ok(Self { name, text })
    }

    /// What messages call it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What it holds.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Reads rules, in any of their forms.
    ///
    /// # Errors
    /// [`Failure::Located`]: it does not hold rules.
    pub(crate) fn rules(&self) -> Result<Document, Failure> {
        let format = Format::of(&self.name, &self.text);
        Ok(Document::parse(&self.name, &self.text, format)?)
    }

    /// Takes a file apart that is not about rules alone: TOML, or JSON with the same keys.
    ///
    /// # Errors
    /// [`Failure::Located`]: it is neither.
    pub(crate) fn written(&self) -> Result<Written, Failure> {
        let format = match Format::of(&self.name, &self.text) {
            Format::Json => Format::Json,
            Format::Toml | Format::Words => Format::Toml,
        };
        Ok(Written::parse(&self.name, &self.text, format)?)
    }
}
