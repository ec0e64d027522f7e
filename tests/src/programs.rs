//! The programs that the tests drive.

use std::path::PathBuf;
use std::process::Command;

/// A program: beside this one (a build directory), else on PATH.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let beside = std::env::current_exe().ok()?.parent()?.join(name);
    if beside.is_file() {
        return Some(beside);
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|file| file.is_file())
}

/// A command for a program that must be there.
pub(crate) fn command(name: &str) -> Command {
    Command::new(find(name).unwrap_or_else(|| panic!("the program `{name}` is missing")))
}
