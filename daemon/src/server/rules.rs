//! `/v1/devices/{id}/rules`

use api::fault::Rule;
use api::{Problem, ProblemCode, RuleList, RuleStatus, RulesChanged, SCHEMA, read_body};
use axum::Json;
use axum::body::Bytes;
use axum::extract::Path;

use super::reply::{Refusal, Reply, Subject};
use crate::device::{Change, Device};

/// The rules of a device, in the order of evaluation, with what they have done.
#[utoipa::path(get, path = api::paths::RULES, params(("id" = u32, Path)), responses(
    (status = 200, body = RuleList), (status = 404, body = Problem),
))]
pub(super) async fn list(Subject(device): Subject) -> Json<RuleList> {
    Json(RuleList {
        schema: SCHEMA,
        device: device.id(),
        generation: device.shared.rules.load().set.generation(),
        seed: device.config.seed,
        rules: statuses(&device),
    })
}

/// Adds a rule at the end. The answer comes when every queue decides by it.
#[utoipa::path(post, path = api::paths::RULES, params(("id" = u32, Path)), request_body = Rule,
    responses((status = 200, body = RulesChanged), (status = 400, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn add(Subject(device): Subject, body: Bytes) -> Reply<RulesChanged> {
    let rule: Rule = read_body(&body)?;
    let change = device.change_rules(|mut rules| {
        if device.is_closing() {
            let detail = format!("device {} is being removed", device.id());
            return Err(Refusal(Problem::new(ProblemCode::Conflict, detail)));
        }
        if rules.iter().any(|other| other.name == rule.name) {
            return Err(Refusal(name_taken(&rule.name)));
        }
        rules.push(rule);
        Ok(rules)
    });
    Ok(answer(&device, change.await?))
}

/// Removes every rule, and lets go what they hold.
#[utoipa::path(delete, path = api::paths::RULES, params(("id" = u32, Path)), responses(
    (status = 200, body = RulesChanged), (status = 404, body = Problem),
))]
pub(super) async fn clear(Subject(device): Subject) -> Reply<RulesChanged> {
    let change = device
        .change_rules(|_| Ok::<_, Refusal>(Vec::new()))
        .await?;
    Ok(answer(&device, change))
}

/// One rule, with what it has done.
#[utoipa::path(get, path = api::paths::RULE, params(("id" = u32, Path), ("name" = String, Path)),
    responses((status = 200, body = RuleStatus), (status = 404, body = Problem)))]
pub(super) async fn show(
    Subject(device): Subject,
    Path((_, name)): Path<(String, String)>,
) -> Reply<RuleStatus> {
    let mut all = statuses(&device).into_iter();
    let found = all.find(|status| status.rule.name == name);
    found.map(Json).ok_or_else(|| no_rule(&device, &name))
}

/// Removes a rule, and lets go what it holds.
#[utoipa::path(delete, path = api::paths::RULE, params(("id" = u32, Path), ("name" = String, Path)),
    responses((status = 200, body = RulesChanged), (status = 404, body = Problem)))]
pub(super) async fn remove(
    Subject(device): Subject,
    Path((_, name)): Path<(String, String)>,
) -> Reply<RulesChanged> {
    let change = device.change_rules(|mut rules| {
        let before = rules.len();
        rules.retain(|rule| rule.name != name);
        if rules.len() == before {
            Err(no_rule(&device, &name))
        } else {
            Ok(rules)
        }
    });
    Ok(answer(&device, change.await?))
}

fn statuses(device: &Device) -> Vec<RuleStatus> {
    let held = device.shared.holds.list();
    let rules = device.shared.rules.load();
    let status = |report: fault::RuleReport| {
        let count = held
            .iter()
            .filter(|hold| *hold.rule == report.rule.name)
            .count();
        RuleStatus::new(report, u32::try_from(count).unwrap_or(u32::MAX))
    };
    rules.set.reports().map(status).collect()
}

fn answer(device: &Device, change: Change) -> Json<RulesChanged> {
    Json(RulesChanged {
        schema: SCHEMA,
        device: device.id(),
        generation: change.generation,
        rules: u32::try_from(change.rules).unwrap_or(u32::MAX),
        released: change.released,
    })
}

fn name_taken(name: &str) -> Problem {
    Problem::new(
        ProblemCode::Conflict,
        format!("there is a rule named `{name}` already"),
    )
    .at("/name")
    .expecting("another name, or `bvecctl fault rm` first")
}

fn no_rule(device: &Device, name: &str) -> Refusal {
    let rules = device.shared.rules.load();
    let known: Vec<&str> = rules.set.rules().map(|rule| rule.name.as_str()).collect();
    let detail = format!("device {} has no rule named `{name}`", device.id());
    let expected = match known.is_empty() {
        true => "a rule; it has none".to_owned(),
        false => format!("one of {}", known.join(", ")),
    };
    Refusal(Problem::new(ProblemCode::NotFound, detail).expecting(expected))
}
