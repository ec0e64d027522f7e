//! `/v1/events`

use std::sync::Arc;

use api::Problem;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use http_body_util::StreamBody;
use hyper::body::Frame;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::reply::{Refusal, malformed};
use crate::devices::Devices;
use crate::events::{Event, EventLog};

/// How many events go into one piece of the answer.
const BATCH: usize = 512;

/// What to send.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Choice {
    /// Only events after this number.
    #[serde(default)]
    since: u64,
    /// Also those to come, without end.
    #[serde(default)]
    follow: bool,
    /// Only events after those that there are now.
    #[serde(default)]
    new: bool,
}

/// What happened, one JSON object a line.
#[utoipa::path(get, path = api::paths::EVENTS, params(Choice), responses(
    (status = 200, body = api::Event, content_type = api::paths::EVENTS_MEDIA_TYPE),
    (status = 400, body = Problem),
))]
pub(super) async fn list(
    State(devices): State<Arc<Devices>>,
    choice: Result<Query<Choice>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(mut choice) = choice.map_err(|error| {
        Refusal(
            malformed(error.body_text())
                .0
                .expecting("since=SEQ, and follow and new as true or false"),
        )
    })?;
    if choice.new {
        choice.since = choice.since.max(devices.events().latest());
    }
    let (sender, receiver) = mpsc::channel(4);
    tokio::spawn(send(Arc::clone(devices.events()), choice, sender));
    let body = Body::new(StreamBody::new(ReceiverStream::new(receiver)));
    Ok((
        [(header::CONTENT_TYPE, api::paths::EVENTS_MEDIA_TYPE)],
        body,
    )
        .into_response())
}

type Piece = Result<Frame<Bytes>, std::convert::Infallible>;

/// Sends until the reader is gone, or, without `follow`, until there is nothing more.
async fn send(log: Arc<EventLog>, choice: Choice, to: mpsc::Sender<Piece>) {
    let mut latest = log.watch();
    let mut since = choice.since;
    loop {
        latest.mark_unchanged();
        let batch = log.after(since, BATCH);
        if let Some(last) = batch.last() {
            since = last.seq;
            let lines: Vec<u8> = batch.iter().flat_map(line).collect();
            if to.send(Ok(Frame::data(lines.into()))).await.is_err() {
                return;
            }
        } else if !choice.follow {
            return;
        } else {
            tokio::select! {
                changed = latest.changed() => if changed.is_err() { return },
                () = to.closed() => return,
            }
        }
    }
}

fn line(event: &Event) -> Vec<u8> {
    let mut line = serde_json::to_vec(&event.to_api()).unwrap_or_default();
    line.push(b'\n');
    line
}
