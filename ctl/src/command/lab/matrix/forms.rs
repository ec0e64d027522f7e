//! The table in files, in every form.

use std::fs::{self, File};
use std::path::Path;

use ::bench::record::store::save_bytes;
use anyhow::{Context as _, Result};
use lab::matrix::Matrix;

use super::{junit, markdown, page};

/// Writes every form, each whole or not at all.
pub(super) fn write(matrix: &Matrix, out: &Path) -> Result<()> {
    write_json(matrix, out)?;
    for (name, text) in [
        ("matrix.md", markdown::render(matrix)),
        ("matrix.html", page::render(matrix)),
        ("matrix.xml", junit::render(matrix)),
    ] {
        save_bytes(text.as_bytes(), &out.join(name))?;
    }
    Ok(())
}

/// Writes the form that others are made of.
pub(super) fn write_json(matrix: &Matrix, out: &Path) -> Result<()> {
    let mut text = serde_json::to_string(matrix).context("write the table as JSON")?;
    text.push('\n');
    Ok(save_bytes(text.as_bytes(), &out.join("matrix.json"))?)
}

/// Writes what a kernel said when an experiment took it down.
pub(super) fn console(out: &Path, kernel: &str, experiment: &str, text: &str) -> Result<()> {
    let place = out.join(format!("{kernel}.{experiment}.txt"));
    Ok(save_bytes(text.as_bytes(), &place)?)
}

/// The file for what a kernel's runs say, empty.
pub(super) fn log(out: &Path, kernel: &str) -> Result<File> {
    let place = out.join(format!("{kernel}.jsonl"));
    fs::create_dir_all(out)
        .and_then(|()| File::create(&place))
        .with_context(|| format!("write {}", place.display()))
}
