//! The client of the daemon, over its Unix socket.

mod blocking;
mod connection;
mod error;
mod events;
mod stream;

use std::path::PathBuf;
use std::time::Duration;

use hyper::Method;
use serde::de::DeserializeOwned;

use crate::call::Call;
use crate::paths;

pub use blocking::{BlockingClient, BlockingConnection, BlockingEvents};
pub use connection::Connection;
pub use error::ClientError;
pub use events::EventStream;

/// How long an answer may take unless told otherwise. Making or removing a device is the slowest thing
/// there is, and takes milliseconds, or seconds under emulation.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// Talks to one daemon, from within a tokio runtime. Each call opens a connection of its own.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
    timeout: Duration,
}

impl Client {
    /// A client of the daemon that listens on this socket. Does not connect yet.
    #[must_use]
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self {
            socket: socket.into(),
            timeout: DEFAULT_TIMEOUT,
        }
    }

    /// The same client with another limit on the time of an answer.
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// A connection that stays, for many calls in a row.
    ///
    /// # Errors
    /// The daemon cannot be reached.
    pub async fn connect(&self) -> Result<Connection, ClientError> {
        Connection::open(self, None).await
    }

    /// Sends a call and reads its answer.
    ///
    /// # Errors
    /// The daemon cannot be reached, is too slow, refuses, or answers something else than JSON of this type.
    pub async fn send<T: DeserializeOwned>(&self, mut call: Call<T>) -> Result<T, ClientError> {
        let (file, path) = (call.file.take(), call.path.clone());
        let exchange = async {
            let mut connection = Connection::open(self, file).await?;
            connection.call(call).await
        };
        within(self.timeout, &path, exchange).await
    }

    /// The events from number `since` on, or those kept from the oldest on; with `follow`, also those to
    /// come, without end.
    ///
    /// # Errors
    /// As [`Client::send`], for the beginning of the answer.
    pub async fn events(
        &self,
        since: Option<u64>,
        follow: bool,
    ) -> Result<EventStream, ClientError> {
        let mut path = format!("{}?follow={follow}", paths::EVENTS);
        if let Some(since) = since {
            path.push_str(&format!("&since={since}"));
        }
        self.stream(path).await
    }

    /// The events that are to come, without end. When this returns, none that happens later is missed.
    ///
    /// # Errors
    /// As [`Client::send`], for the beginning of the answer.
    pub async fn new_events(&self) -> Result<EventStream, ClientError> {
        self.stream(format!("{}?follow=true&new=true", paths::EVENTS))
            .await
    }

    async fn stream(&self, path: String) -> Result<EventStream, ClientError> {
        let exchange = async {
            let mut connection = Connection::open(self, None).await?;
            connection.exchange(Method::GET, &path, None).await
        };
        let response = within(self.timeout, &path, exchange).await?;
        Ok(EventStream::new(path, response.into_body()))
    }
}

/// What comes of an exchange, if it comes in time.
async fn within<T>(
    timeout: Duration,
    path: &str,
    exchange: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, ClientError> {
    match tokio::time::timeout(timeout, exchange).await {
        Ok(answer) => answer,
        Err(_) => Err(ClientError::TimedOut {
            path: path.to_owned(),
            seconds: timeout.as_secs(),
        }),
    }
}

fn garbled(path: &str, why: &str) -> ClientError {
    ClientError::Garbled {
        path: path.to_owned(),
        why: why.to_owned(),
    }
}

#[cfg(test)]
mod tests;
