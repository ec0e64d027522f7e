//! Runs programs of the host.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::error::Error;

/// Finds a program by a path with a slash in it, or by its name on the search path and in the
/// system directories that an ordinary user's path leaves out.
#[must_use]
pub fn find(program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(|file| is_executable(file));
    }
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from))
        .map(|dir| dir.join(program))
        .find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// Finds a program, or says which package has it.
pub(crate) fn require(program: &str, package: &'static str) -> Result<PathBuf, Error> {
    find(program).ok_or_else(|| Error::MissingProgram {
        program: program.to_owned(),
        package,
    })
}

/// Runs a command to its end and returns what it wrote.
///
/// # Errors
/// If it cannot be started, or ends with anything but 0.
pub(crate) fn output(command: &mut Command) -> Result<Vec<u8>, Error> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|source| Error::File {
            action: "run",
            path: PathBuf::from(command.get_program()),
            source,
        })?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(failure(command, &output))
}

fn failure(command: &Command, output: &Output) -> Error {
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect();
    let stderr = String::from_utf8_lossy(&output.stderr);
    let tail: Vec<_> = stderr.lines().rev().take(8).collect();
    Error::Tool {
        command: words.join(" "),
        status: output.status.to_string(),
        message: tail.into_iter().rev().collect::<Vec<_>>().join("\n  "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_by_name() {
        assert!(find("sh").is_some());
        assert_eq!(find("no-such-program-anywhere"), None);
    }
}
