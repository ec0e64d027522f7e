//! `/v1/devices/{id}/buffers`

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use api::{
    Buffer, BufferConfig, BufferList, BufferRemoved, Problem, ProblemCode, SCHEMA, read_body,
};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use ublk::{BufferError, SharedBuffer};

use super::peer::Peer;
use super::reply::{Refusal, Reply, Subject, path_number};
use crate::device::BufferChange;
use crate::devices::Devices;

/// The shared buffers of a device, by number.
#[utoipa::path(get, path = api::paths::BUFFERS, params(("id" = u32, Path)), responses(
    (status = 200, body = BufferList), (status = 404, body = Problem), (status = 409, body = Problem),
))]
pub(super) async fn list(Subject(device): Subject) -> Reply<BufferList> {
    let id = device.id();
    let buffers = device.buffers().map_err(refusal)?.list();
    Ok(Json(BufferList {
        schema: SCHEMA,
        device: id,
        buffers: buffers.iter().map(|buffer| describe(id, buffer)).collect(),
    }))
}

/// Registers memory with a device. The memory is a file that is sent along with the request, or that the
/// body names. The answer comes when requests in it are served without a copy.
#[utoipa::path(post, path = api::paths::BUFFERS, params(("id" = u32, Path)),
    request_body = BufferConfig, responses(
        (status = 200, body = Buffer), (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem),
))]
pub(super) async fn add(
    Subject(device): Subject,
    ConnectInfo(peer): ConnectInfo<Peer>,
    body: Bytes,
) -> Reply<Buffer> {
    let sent = peer.files().take();
    let config: BufferConfig = read_body(&body)?;
    let file = memory(&config, sent)?;
    let id = device.id();
    let buffer = device
        .add_buffer(file, config.read_only)
        .await
        .map_err(refusal)?;
    Ok(Json(describe(id, &buffer)))
}

/// Removes a buffer. The answer comes when the daemon has let go of the memory.
#[utoipa::path(delete, path = api::paths::BUFFER,
    params(("id" = u32, Path), ("buffer" = u16, Path)), responses(
        (status = 200, body = BufferRemoved), (status = 404, body = Problem),
        (status = 409, body = Problem),
))]
pub(super) async fn remove(
    Subject(device): Subject,
    BufferNumber(buffer): BufferNumber,
) -> Reply<BufferRemoved> {
    let removed = device.remove_buffer(buffer).await.map_err(refusal)?;
    let device = device.id();
    if !removed {
        let detail = format!("device {device} has no buffer {buffer}");
        let problem = Problem::new(ProblemCode::NotFound, detail);
        return Err(Refusal(
            problem.expecting("one of those that `bvecctl buffer list` shows"),
        ));
    }
    Ok(Json(BufferRemoved {
        schema: SCHEMA,
        device,
        buffer,
    }))
}

/// The one file that is meant.
fn memory(config: &BufferConfig, mut sent: Vec<OwnedFd>) -> Result<File, Refusal> {
    match (&config.file, sent.pop()) {
        (None, Some(file)) if sent.is_empty() => Ok(file.into()),
        (Some(path), None) => open(path, config.read_only),
        (None, None) => {
            let problem =
                Problem::new(ProblemCode::InvalidField, "no memory came with the request");
            Err(Refusal(problem.at("/file").expecting(
                "an open file sent along (SCM_RIGHTS), as `bvecctl buffer add FILE` does, or a path",
            )))
        }
        (_, Some(_)) => {
            let problem = Problem::new(ProblemCode::InvalidField, "more than one file is meant");
            Err(Refusal(
                problem
                    .at("/file")
                    .expecting("one file, sent along or named"),
            ))
        }
    }
}

fn open(path: &Path, read_only: bool) -> Result<File, Refusal> {
    std::fs::OpenOptions::new()
        .read(true)
        .write(!read_only)
        .open(path)
        .map_err(|error| {
            let detail = format!("open {}: {error}", path.display());
            let problem = Problem::new(ProblemCode::InvalidField, detail);
            Refusal(problem.at("/file").expecting(
                "a file on tmpfs or hugetlbfs that was mounted before bvecd started; \
                 `bvecctl buffer add` opens it itself",
            ))
        })
}

fn describe(device: u32, buffer: &SharedBuffer) -> Buffer {
    Buffer {
        schema: SCHEMA,
        device,
        buffer: buffer.number(),
        file: buffer.name().to_owned(),
        size_bytes: buffer.len_bytes(),
        read_only: buffer.read_only(),
        sealed: buffer.fixed_size(),
    }
}

fn refusal(error: BufferChange) -> Refusal {
    let code = match error {
        BufferChange::Device(error) => return error.into(),
        BufferChange::DataPath { .. } | BufferChange::Held { .. } | BufferChange::NotServing(_) => {
            ProblemCode::Conflict
        }
        BufferChange::Buffer(BufferError::Registered | BufferError::TooMany) => {
            ProblemCode::Conflict
        }
        BufferChange::Buffer(BufferError::Driver(_) | BufferError::System { .. }) => {
            ProblemCode::Internal
        }
        BufferChange::Buffer(_) => ProblemCode::InvalidField,
    };
    Refusal(Problem::new(code, error.to_string()))
}

/// The buffer's number in the path.
#[derive(Debug)]
pub(super) struct BufferNumber(u16);

impl FromRequestParts<Arc<Devices>> for BufferNumber {
    type Rejection = Refusal;

    async fn from_request_parts(
        parts: &mut Parts,
        devices: &Arc<Devices>,
    ) -> Result<Self, Refusal> {
        let hint = "a number, as `bvecctl buffer list` shows it";
        let number = path_number(parts, devices, ("buffer", "buffer"), hint).await?;
        Ok(Self(number))
    }
}
