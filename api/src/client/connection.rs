//! One connection to the daemon: HTTP/1.1 on its Unix socket.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::stream::Stream;
use super::{Client, ClientError, garbled, within};
use crate::call::Call;
use crate::problem::Problem;

/// The longest answer that is read.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// A connection that stays from call to call, for who has many: a call on it costs about half of what
/// one of [`Client`]'s does. Once it is lost, because the daemon has gone or did not answer in time, every further
/// call on it says so; whether the call at which that happened was carried out is for its caller to ask.
#[derive(Debug)]
pub struct Connection {
    client: Client,
    sender: SendRequest<Full<Bytes>>,
}

impl Connection {
    /// Connects. The file goes with the first byte that is sent.
    pub(super) async fn open(
        client: &Client,
        file: Option<Arc<OwnedFd>>,
    ) -> Result<Self, ClientError> {
        let stream = UnixStream::connect(&client.socket).await;
        let stream = stream.map_err(|source| ClientError::Unreachable {
            path: client.socket.clone(),
            source,
        })?;
        let stream = TokioIo::new(Stream::new(stream, file));
        let (sender, connection) = http1::handshake(stream).await.map_err(lost("/"))?;
        // Ends by itself when the sender has gone and the answer has been read; its error also reaches
        // whoever reads.
        tokio::spawn(connection);
        Ok(Self {
            client: client.clone(),
            sender,
        })
    }

    /// Sends a call and reads its answer. One that brings a file goes on a connection of its own.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn send<T: DeserializeOwned>(&mut self, call: Call<T>) -> Result<T, ClientError> {
        if call.file.is_some() {
            return self.client.send(call).await;
        }
        let (timeout, path) = (self.client.timeout, call.path.clone());
        within(timeout, &path, self.call(call)).await
    }

    /// The same without a limit in time and without the call's file.
    pub(super) async fn call<T: DeserializeOwned>(
        &mut self,
        call: Call<T>,
    ) -> Result<T, ClientError> {
        let body = call.body.transpose();
        let body = body.map_err(|why| unsendable(&call.path, why))?;
        let response = self.exchange(call.method, &call.path, body).await?;
        let body = collect(&call.path, response.into_body()).await?;
        serde_json::from_slice(&body).map_err(|error| garbled(&call.path, &error.to_string()))
    }

    /// Sends one request; an answer that is no success becomes an error here.
    pub(super) async fn exchange(
        &mut self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Response<Incoming>, ClientError> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, "bvecd");
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(Bytes::from(body.unwrap_or_default())));
        let request = request.map_err(|error| unsendable(path, error.to_string()))?;
        self.sender.ready().await.map_err(lost(path))?;
        let response = self
            .sender
            .send_request(request)
            .await
            .map_err(lost(path))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let body = collect(path, response.into_body()).await?;
        Err(refusal(path, status, &body))
    }
}

async fn collect(path: &str, body: Incoming) -> Result<Bytes, ClientError> {
    let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
    body.map(|body| body.to_bytes())
        .map_err(|error| garbled(path, &error.to_string()))
}

/// The error that an answer with this status stands for.
fn refusal(path: &str, status: StatusCode, body: &[u8]) -> ClientError {
    match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => ClientError::Problem(Box::new(problem)),
        Err(_) => garbled(path, &format!("status {status} without a problem")),
    }
}

fn lost(path: &str) -> impl FnOnce(hyper::Error) -> ClientError {
    let path = path.to_owned();
    |source| ClientError::Lost { path, source }
}

fn unsendable(path: &str, why: String) -> ClientError {
    ClientError::Unsendable {
        path: path.to_owned(),
        why,
    }
}
