//! What every command gets: where the daemon is, and where answers go.

use std::path::PathBuf;

use anyhow::{Error, Result};
use api::{BlockingClient, Call, ClientError, Device, call};
use serde::de::DeserializeOwned;

use crate::exit::Failure;
use crate::output::Output;

/// What every command gets.
#[derive(Debug)]
pub(crate) struct Context {
    /// The daemon's socket.
    pub(crate) socket: PathBuf,
    /// Where answers go.
    pub(crate) output: Output,
}

impl Context {
    /// For a daemon on this socket. Does not connect.
    pub(crate) const fn new(socket: PathBuf, output: Output) -> Self {
        Self { socket, output }
    }

    /// A client of the daemon. Does not connect.
    ///
    /// # Errors
    /// The system refuses what a client needs.
    pub(crate) fn client(&self) -> Result<BlockingClient> {
        Ok(BlockingClient::new(&self.socket)?)
    }

    /// Sends a call; `what` says what it is for, as in "failed to add the device".
    ///
    /// # Errors
    /// The daemon cannot be reached or refuses.
    pub(crate) fn ask<T: DeserializeOwned>(&self, what: &str, call: Call<T>) -> Result<T> {
        self.client()?
            .send(call)
            .map_err(|error| refused(what, error))
    }

    /// The device that is meant: the one of this number, or the only one there is.
    ///
    /// # Errors
    /// [`Failure::Input`] if there is none, or more than one; the daemon cannot be reached.
    pub(crate) fn device(&self, asked: Option<u32>) -> Result<u32> {
        match asked {
            Some(id) => Ok(id),
            None => only(&self.ask("list the devices", call::devices())?.devices),
        }
    }
}

/// Says what a refused call was for. An unreachable daemon is the same news whatever was asked.
pub(crate) fn refused(what: &str, error: ClientError) -> Error {
    match error {
        ClientError::Problem(mut problem) => {
            // Nobody who types commands has written the body that a JSON pointer points into.
            problem.pointer = problem.pointer.filter(|pointer| !pointer.starts_with('/'));
            Error::new(ClientError::Problem(problem)).context(what.to_owned())
        }
        _ => error.into(),
    }
}

/// The only device, or an error that says what to do.
fn only(devices: &[Device]) -> Result<u32> {
    match devices {
        [device] => Ok(device.id),
        [] => Err(Failure::Input(
            "choose a device: there is none; make one with `bvecctl dev add ram --size 256M`"
                .into(),
        )
        .into()),
        _ => {
            let known: Vec<String> = devices
                .iter()
                .map(|device| format!("{} ({})", device.id, device.target.name()))
                .collect();
            let count = devices.len();
            let message = format!(
                "choose a device: there are {count}, add --dev N: {}",
                known.join(", ")
            );
            Err(Failure::Input(message).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::dev::tests::device;

    #[test]
    fn one_device_need_not_be_named() {
        assert_eq!(only(&[device(7)]).unwrap(), 7);
        let none = only(&[]).unwrap_err().to_string();
        assert!(none.contains("bvecctl dev add"), "{none}");
        let two = only(&[device(0), device(3)]).unwrap_err().to_string();
        assert_eq!(
            two,
            "choose a device: there are 2, add --dev N: 0 (loop), 3 (loop)"
        );
    }
}
