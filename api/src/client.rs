//! The client of the daemon, over its Unix socket.

mod blocking;
mod error;
mod events;
mod stream;

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::call::Call;
use crate::paths;
use crate::problem::Problem;

pub use blocking::{BlockingClient, BlockingEvents};
pub use error::ClientError;
pub use events::EventStream;

/// How long an answer may take unless told otherwise. Making or removing a device is the slowest thing
/// there is, and takes milliseconds, or seconds under emulation.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// The longest answer that is read.
const MAX_ANSWER_BYTES: usize = 64 << 20;

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

    /// Sends a call and reads its answer.
    ///
    /// # Errors
    /// The daemon cannot be reached, is too slow, refuses, or answers something else than JSON of this type.
    pub async fn send<T: DeserializeOwned>(&self, call: Call<T>) -> Result<T, ClientError> {
        let body = match call.body {
            Some(Err(why)) => {
                return Err(ClientError::Unsendable {
                    path: call.path,
                    why,
                });
            }
            Some(Ok(body)) => Some(body),
            None => None,
        };
        let exchange = async {
            let exchange = self.exchange(call.method, &call.path, body, call.file);
            let response = exchange.await?;
            let body = self.collect(&call.path, response.into_body()).await?;
            serde_json::from_slice(&body).map_err(|e| garbled(&call.path, &e.to_string()))
        };
        match tokio::time::timeout(self.timeout, exchange).await {
            Ok(answer) => answer,
            Err(_) => Err(ClientError::TimedOut {
                path: call.path.clone(),
                seconds: self.timeout.as_secs(),
            }),
        }
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
        let exchange = self.exchange(Method::GET, &path, None, None);
        match tokio::time::timeout(self.timeout, exchange).await {
            Ok(response) => Ok(EventStream::new(path, response?.into_body())),
            Err(_) => Err(ClientError::TimedOut {
                path,
                seconds: self.timeout.as_secs(),
            }),
        }
    }

    /// Sends one request; an answer that is no success becomes an error here.
    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
        file: Option<Arc<OwnedFd>>,
    ) -> Result<Response<Incoming>, ClientError> {
        let stream =
            UnixStream::connect(&self.socket)
                .await
                .map_err(|source| ClientError::Unreachable {
                    path: self.socket.clone(),
                    source,
                })?;
        let lost = |source| ClientError::Lost {
            path: path.to_owned(),
            source,
        };
        let stream = TokioIo::new(stream::Stream::new(stream, file));
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream)
            .await
            .map_err(lost)?;
        // Ends by itself when the answer has been read; its error also reaches whoever reads.
        tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, "bvecd");
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(Bytes::from(body.unwrap_or_default())));
        let request = request.map_err(|error| ClientError::Unsendable {
            path: path.to_owned(),
            why: error.to_string(),
        })?;
        let response = sender.send_request(request).await.map_err(lost)?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let body = self.collect(path, response.into_body()).await?;
        Err(refusal(path, status, &body))
    }

    async fn collect(&self, path: &str, body: Incoming) -> Result<Bytes, ClientError> {
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
        body.map(|body| body.to_bytes())
            .map_err(|error| garbled(path, &error.to_string()))
    }
}

/// The error that an answer with this status stands for.
fn refusal(path: &str, status: StatusCode, body: &[u8]) -> ClientError {
    match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => ClientError::Problem(Box::new(problem)),
        Err(_) => garbled(path, &format!("status {status} without a problem")),
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
