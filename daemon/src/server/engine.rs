//! What the engine is asked and told beside its rules: switching them, explaining them, marks and states.

use api::{
    ExplainRequest, Explanation, Problem, ProblemCode, RememberRequest, Remembered, RuleStatus,
    SCHEMA, SwitchRequest, read_body,
};
use axum::Json;
use axum::body::Bytes;
use axum::extract::Path;

use super::reply::{Reply, Subject};
use super::rules::{no_rule, status_of};
use crate::clock::now_ns;
use crate::device::Device;

/// Arms, disarms, enables or disables a rule. It is in force at once; the generation stays.
#[utoipa::path(post, path = api::paths::SWITCH, params(("id" = u32, Path), ("name" = String, Path)),
    request_body = SwitchRequest, responses((status = 200, body = RuleStatus),
        (status = 400, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn switch(
    Subject(device): Subject,
    Path((_, name)): Path<(String, String)>,
    body: Bytes,
) -> Reply<RuleStatus> {
    let request: SwitchRequest = read_body(&body)?;
    let rules = device.shared.rules.load_full();
    let mut known = rules.set.rules().any(|rule| rule.name == name);
    match request.armed {
        Some(true) => known &= rules.set.arm(&name, now_ns()),
        Some(false) => known &= rules.set.disarm(&name),
        None => {}
    }
    if let Some(on) = request.enabled {
        known &= rules.set.enable(&name, on);
    }
    let status = status_of(&device, &name).filter(|_| known);
    status
        .map(Json)
        .ok_or_else(|| no_rule(&device, &name).into())
}

/// What the rules would do to a request, and why not. Nothing is counted.
#[utoipa::path(post, path = api::paths::EXPLAIN, params(("id" = u32, Path)),
    request_body = ExplainRequest, responses((status = 200, body = Explanation),
        (status = 400, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn explain(Subject(device): Subject, body: Bytes) -> Reply<Explanation> {
    let request: ExplainRequest = read_body(&body)?;
    let rules = device.shared.rules.load_full();
    let history = rules.set.history();
    let subject = fault::Request {
        ordinal: history.ordinal(),
        epoch: history.epoch(),
        ..request.subject()
    };
    let data = request.data.as_ref().map(|data| data.0.as_slice());
    let explained = rules.set.explain(&subject, now_ns(), data);
    Ok(Json(Explanation {
        schema: SCHEMA,
        device: device.id(),
        generation: rules.set.generation(),
        rules: explained.rules,
    }))
}

/// What a device remembers for its rules.
#[utoipa::path(get, path = api::paths::MEMORY, params(("id" = u32, Path)), responses(
    (status = 200, body = Remembered), (status = 404, body = Problem),
))]
pub(super) async fn memory(Subject(device): Subject) -> Json<Remembered> {
    Json(remembered(&device))
}

/// Sets a mark, enters a state, or forgets both. Rules that wait for it see it with the next request.
#[utoipa::path(post, path = api::paths::MEMORY, params(("id" = u32, Path)),
    request_body = RememberRequest, responses((status = 200, body = Remembered),
        (status = 400, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
pub(super) async fn remember(Subject(device): Subject, body: Bytes) -> Reply<Remembered> {
    let request: RememberRequest = read_body(&body)?;
    let rules = device.shared.rules.load_full();
    let history = rules.set.history();
    if request.forget {
        history.clear_state();
        history.clear_marks();
    }
    if let Some(state) = &request.state {
        history.set_state(state);
    }
    if let Some(mark) = &request.mark
        && !history.set_mark(mark)
    {
        let detail = format!("device {} has {} marks", device.id(), fault::MAX_MARKS);
        let problem = Problem::new(ProblemCode::Conflict, detail).at("/mark");
        return Err(problem
            .expecting("no more than that; `forget` removes them")
            .into());
    }
    device.remember_history();
    Ok(Json(remembered(&device)))
}

fn remembered(device: &Device) -> Remembered {
    let rules = device.shared.rules.load_full();
    let history = rules.set.history();
    Remembered {
        schema: SCHEMA,
        device: device.id(),
        state: history.state(),
        marks: history.marks(),
        requests: history.ordinal(),
        epoch: history.epoch(),
    }
}
