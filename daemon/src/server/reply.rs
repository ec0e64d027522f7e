//! What the handlers share: the subject of a path, refusals, bodies.

use std::str::FromStr;
use std::sync::Arc;

use api::{PROBLEM_MEDIA_TYPE, Problem, ProblemCode};
use axum::Json;
use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::backing::BackingError;
use crate::device::{Device, DeviceError};
use crate::devices::Devices;
use crate::state::StateError;

/// What a handler answers.
pub(super) type Reply<T> = Result<Json<T>, Refusal>;

/// A problem as an answer.
#[derive(Debug)]
pub(super) struct Refusal(pub(super) Problem);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status);
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self.0)).into_response();
        let media_type = header::HeaderValue::from_static(PROBLEM_MEDIA_TYPE);
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, media_type);
        response
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl From<StateError> for Refusal {
    fn from(error: StateError) -> Self {
        DeviceError::from(error).into()
    }
}

impl From<fault::RuleError> for Refusal {
    fn from(error: fault::RuleError) -> Self {
        Self(Problem::rule(&error))
    }
}

impl From<DeviceError> for Refusal {
    fn from(error: DeviceError) -> Self {
        let text = error.to_string();
        Self(match error {
            DeviceError::Backing(error) => backing_problem(&error),
            DeviceError::Rule(error) => Problem::rule_of_list(&error),
            DeviceError::Ublk(error) => Problem::new(ublk_code(&error), text),
            DeviceError::Config { field, reason } => {
                Problem::new(ProblemCode::InvalidField, reason).at(field)
            }
            DeviceError::Unsupported { field, reason } => {
                Problem::new(ProblemCode::Unsupported, reason).at(field)
            }
            DeviceError::Stopping | DeviceError::Conflict(_) => {
                Problem::new(ProblemCode::Conflict, text)
            }
            DeviceError::Memory(_) | DeviceError::State(_) | DeviceError::System { .. } => {
                Problem::new(ProblemCode::Internal, text)
            }
        })
    }
}

fn ublk_code(error: &ublk::Error) -> ProblemCode {
    match error {
        ublk::Error::NoDriver | ublk::Error::MissingFeature { .. } => ProblemCode::Unsupported,
        ublk::Error::Denied => ProblemCode::Forbidden,
        ublk::Error::TooMany { .. } => ProblemCode::Conflict,
        _ if [Some(libc::EEXIST), Some(libc::EBUSY)].contains(&error.errno()) => {
            ProblemCode::Conflict
        }
        _ => ProblemCode::Internal,
    }
}

fn backing_problem(error: &BackingError) -> Problem {
    let code = match error {
        BackingError::InUse { .. } => ProblemCode::InUse,
        _ => ProblemCode::InvalidField,
    };
    Problem::new(code, error.to_string()).at("/target/loop/file")
}

/// A number in the path: the parameter's name in the route and in the message, and what would be right.
pub(super) async fn path_number<T: FromStr>(
    parts: &mut Parts,
    devices: &Arc<Devices>,
    (parameter, thing): (&str, &str),
    expected: &str,
) -> Result<T, Refusal> {
    let parameters = RawPathParams::from_request_parts(parts, devices).await;
    let parameters = parameters.map_err(|error| malformed(error.to_string()))?;
    let text = parameters
        .iter()
        .find(|(name, _)| *name == parameter)
        .map_or("", |(_, text)| text);
    text.parse().map_err(|_| {
        let problem = Problem::new(ProblemCode::Malformed, format!("found {thing} `{text}`"));
        Refusal(problem.expecting(expected))
    })
}

/// The number in the path.
#[derive(Debug)]
pub(super) struct DeviceId(pub(super) u32);

impl FromRequestParts<Arc<Devices>> for DeviceId {
    type Rejection = Refusal;

    async fn from_request_parts(
        parts: &mut Parts,
        devices: &Arc<Devices>,
    ) -> Result<Self, Refusal> {
        let hint = "a number, as in /dev/ublkbN";
        let id = path_number(parts, devices, ("id", "device"), hint).await?;
        Ok(Self(id))
    }
}

/// The device that the path names.
#[derive(Debug)]
pub(super) struct Subject(pub(super) Arc<Device>);

impl FromRequestParts<Arc<Devices>> for Subject {
    type Rejection = Refusal;

    async fn from_request_parts(
        parts: &mut Parts,
        devices: &Arc<Devices>,
    ) -> Result<Self, Refusal> {
        let DeviceId(id) = DeviceId::from_request_parts(parts, devices).await?;
        devices
            .get(id)
            .map(Self)
            .ok_or_else(|| no_device(devices, id))
    }
}

pub(super) fn no_device(devices: &Devices, id: u32) -> Refusal {
    let known: Vec<String> = devices
        .all()
        .iter()
        .map(|device| device.id().to_string())
        .collect();
    let problem = Problem::new(
        ProblemCode::NotFound,
        format!("this daemon has no device {id}"),
    );
    Refusal(if known.is_empty() {
        problem.expecting("a device; it has none, `bvecctl dev add` makes one")
    } else {
        problem.expecting(format!("one of {}", known.join(", ")))
    })
}

pub(super) fn malformed(detail: String) -> Refusal {
    Refusal(Problem::new(ProblemCode::Malformed, detail))
}
