//! The client for programs without a runtime of their own.

use std::path::PathBuf;
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::runtime::{Builder, Runtime};

use super::{Client, ClientError, Connection, EventStream};
use crate::call::Call;
use crate::event::Event;

/// Talks to one daemon and waits for each answer. Not for use within a tokio runtime.
#[derive(Debug)]
pub struct BlockingClient {
    client: Client,
    runtime: Runtime,
}

impl BlockingClient {
    /// A client of the daemon that listens on this socket. Does not connect yet.
    ///
    /// # Errors
    /// The system refuses what a runtime needs.
    pub fn new(socket: impl Into<PathBuf>) -> Result<Self, ClientError> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(ClientError::Runtime)?;
        Ok(Self {
            client: Client::new(socket),
            runtime,
        })
    }

    /// The same client with another limit on the time of an answer.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.client = self.client.with_timeout(timeout);
        self
    }

    /// Sends a call and reads its answer.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub fn send<T: DeserializeOwned>(&self, call: Call<T>) -> Result<T, ClientError> {
        self.runtime.block_on(self.client.send(call))
    }

    /// A connection that stays, for many calls in a row.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub fn connect(&self) -> Result<BlockingConnection<'_>, ClientError> {
        let connection = self.runtime.block_on(self.client.connect())?;
        Ok(BlockingConnection {
            connection,
            runtime: &self.runtime,
        })
    }

    /// The events from number `since` on, or those kept from the oldest on; with `follow`, also those to
    /// come, without end.
    ///
    /// # Errors
    /// As [`Client::send`], for the beginning of the answer.
    pub fn events(
        &self,
        since: Option<u64>,
        follow: bool,
    ) -> Result<BlockingEvents<'_>, ClientError> {
        let stream = self.runtime.block_on(self.client.events(since, follow))?;
        Ok(self.blocking(stream))
    }

    /// The events that are to come, without end, as [`Client::new_events`].
    ///
    /// # Errors
    /// As [`Client::send`], for the beginning of the answer.
    pub fn new_events(&self) -> Result<BlockingEvents<'_>, ClientError> {
        let stream = self.runtime.block_on(self.client.new_events())?;
        Ok(self.blocking(stream))
    }

    fn blocking(&self, stream: EventStream) -> BlockingEvents<'_> {
        BlockingEvents {
            stream,
            runtime: &self.runtime,
        }
    }
}

/// A [`Connection`] that waits for each answer.
#[derive(Debug)]
pub struct BlockingConnection<'c> {
    connection: Connection,
    runtime: &'c Runtime,
}

impl BlockingConnection<'_> {
    /// Sends a call and reads its answer.
    ///
    /// # Errors
    /// As [`Connection::send`].
    pub fn send<T: DeserializeOwned>(&mut self, call: Call<T>) -> Result<T, ClientError> {
        self.runtime.block_on(self.connection.send(call))
    }
}

/// Events of the daemon, as they come. Ends after the last event and after an error.
#[derive(Debug)]
pub struct BlockingEvents<'c> {
    stream: EventStream,
    runtime: &'c Runtime,
}

impl Iterator for BlockingEvents<'_> {
    type Item = Result<Event, ClientError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.runtime.block_on(self.stream.next()).transpose()
    }
}
