//! `/v1/devices/{id}/rules`

use std::sync::Arc;

use api::{
    ChangeOptions, Problem, ProblemCode, RuleFile, RuleList, RuleStatus, RulesChanged, SCHEMA,
    read_body,
};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use fault::{Keep, Rule, RuleError, RuleSet};

use super::reply::{Refusal, Reply, Subject, malformed};
use crate::device::{Change, Device, Wanted};
use crate::devices::Devices;

/// How a change is to be made, as the query says it.
pub(super) struct Options(ChangeOptions);

impl FromRequestParts<Arc<Devices>> for Options {
    type Rejection = Refusal;

    async fn from_request_parts(
        parts: &mut Parts,
        devices: &Arc<Devices>,
    ) -> Result<Self, Refusal> {
        let query = Query::from_request_parts(parts, devices).await;
        query.map(|Query(options)| Self(options)).map_err(|error| {
            let expected = "expect_generation=N, and dry_run, drain and reset as true or false";
            Refusal(malformed(error.body_text()).0.expecting(expected))
        })
    }
}

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
#[utoipa::path(post, path = api::paths::RULES, params(("id" = u32, Path), ChangeOptions),
    request_body = Rule, responses((status = 200, body = RulesChanged),
        (status = 400, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn add(
    Subject(device): Subject,
    options: Options,
    body: Bytes,
) -> Reply<RulesChanged> {
    let rule: Rule = read_body(&body)?;
    let change = |set: &RuleSet| {
        if device.is_closing() {
            let detail = format!("device {} is being removed", device.id());
            return Err(Problem::new(ProblemCode::Conflict, detail));
        }
        if set.rules().any(|other| other.name == rule.name) {
            return Err(name_taken(&rule.name));
        }
        let rules: Vec<Rule> = set.rules().cloned().chain([rule]).collect();
        Ok(rules.into())
    };
    change_rules(&device, options, Problem::rule, change).await
}

/// Puts a set of rules in the place of what there is; nothing is changed if one of them is refused. The answer
/// comes when every queue decides by it.
#[utoipa::path(put, path = api::paths::RULES, params(("id" = u32, Path), ChangeOptions),
    request_body = RuleFile, responses((status = 200, body = RulesChanged),
        (status = 400, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn apply(
    Subject(device): Subject,
    options: Options,
    body: Bytes,
) -> Reply<RulesChanged> {
    let file: RuleFile = read_body(&body)?;
    let keep = match options.0.reset {
        true => Keep::Nothing,
        false => Keep::Unchanged,
    };
    let change = |_: &RuleSet| match device.is_closing() {
        true => {
            let detail = format!("device {} is being removed", device.id());
            Err(Problem::new(ProblemCode::Conflict, detail))
        }
        false => Ok(Wanted {
            rules: file.into_rules(),
            keep,
        }),
    };
    change_rules(&device, options, Problem::rule_of_file, change).await
}

/// Removes every rule, and lets go what they hold.
#[utoipa::path(delete, path = api::paths::RULES, params(("id" = u32, Path), ChangeOptions),
    responses((status = 200, body = RulesChanged), (status = 404, body = Problem),
        (status = 409, body = Problem)))]
pub(super) async fn clear(Subject(device): Subject, options: Options) -> Reply<RulesChanged> {
    change_rules(&device, options, Problem::rule, |_| Ok(Vec::new().into())).await
}

/// One rule, with what it has done.
#[utoipa::path(get, path = api::paths::RULE, params(("id" = u32, Path), ("name" = String, Path)),
    responses((status = 200, body = RuleStatus), (status = 404, body = Problem)))]
pub(super) async fn show(
    Subject(device): Subject,
    Path((_, name)): Path<(String, String)>,
) -> Reply<RuleStatus> {
    let found = status_of(&device, &name);
    found
        .map(Json)
        .ok_or_else(|| no_rule(&device, &name).into())
}

/// Puts a rule in the place of the one of the same name, whose counts go on unless told otherwise. The answer comes when every queue decides by it.
#[utoipa::path(put, path = api::paths::RULE,
    params(("id" = u32, Path), ("name" = String, Path), ChangeOptions), request_body = Rule,
    responses((status = 200, body = RulesChanged), (status = 400, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn replace(
    Subject(device): Subject,
    Path((_, name)): Path<(String, String)>,
    options: Options,
    body: Bytes,
) -> Reply<RulesChanged> {
    let rule: Rule = read_body(&body)?;
    if rule.name != name {
        let detail = format!("the rule is named `{}`, the path says `{name}`", rule.name);
        return Err(Problem::field("/name", detail, "the name of the path").into());
    }
    let keep = match options.0.reset {
        true => Keep::Except(name.clone()),
        false => Keep::Edited(name.clone()),
    };
    let change = |set: &RuleSet| {
        let mut rules: Vec<Rule> = set.rules().cloned().collect();
        let place = rules.iter_mut().find(|other| other.name == name);
        *place.ok_or_else(|| no_rule(&device, &name))? = rule;
        Ok(Wanted { rules, keep })
    };
    change_rules(&device, options, Problem::rule, change).await
}

/// Removes a rule, and lets go what it holds.
#[utoipa::path(delete, path = api::paths::RULE,
    params(("id" = u32, Path), ("name" = String, Path), ChangeOptions),
    responses((status = 200, body = RulesChanged), (status = 404, body = Problem),
        (status = 409, body = Problem)))]
pub(super) async fn remove(
    Subject(device): Subject,
    Path((_, name)): Path<(String, String)>,
    options: Options,
) -> Reply<RulesChanged> {
    let change = |set: &RuleSet| {
        if !set.rules().any(|rule| rule.name == name) {
            return Err(no_rule(&device, &name));
        }
        let others = set.rules().filter(|rule| rule.name != name);
        let rules: Vec<Rule> = others.cloned().collect();
        Ok(rules.into())
    };
    change_rules(&device, options, Problem::rule, change).await
}

/// Why a set of rules was not changed.
enum Refused {
    Rule(RuleError),
    Other(Problem),
}

impl From<RuleError> for Refused {
    fn from(error: RuleError) -> Self {
        Self::Rule(error)
    }
}

/// Makes the rules that `change` says, in the manner that was asked for. `locate` tells where in the body a rule
/// is that was refused.
async fn change_rules(
    device: &Device,
    Options(options): Options,
    locate: fn(&RuleError) -> Problem,
    change: impl FnOnce(&RuleSet) -> Result<Wanted, Problem>,
) -> Reply<RulesChanged> {
    let change = |set: &RuleSet| {
        if let Some(expected) = options.expect_generation
            && expected != set.generation()
        {
            return Err(Refused::Other(other_generation(set.generation(), expected)));
        }
        change(set).map_err(Refused::Other)
    };
    let changed = match options.dry_run {
        true => device.try_rules(change).await,
        false => device.change_rules(change).await,
    };
    let changed = changed.map_err(|refused| match refused {
        Refused::Rule(error) => locate(&error),
        Refused::Other(problem) => problem,
    })?;
    if options.drain && !options.dry_run {
        // Without the lock on changes: whoever heals meanwhile must not wait for this.
        device.drain().await;
    }
    Ok(answer(device, changed))
}

pub(super) fn status_of(device: &Device, name: &str) -> Option<RuleStatus> {
    let mut all = statuses(device).into_iter();
    all.find(|status| status.rule.name == name)
}

pub(super) fn statuses(device: &Device) -> Vec<RuleStatus> {
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

fn other_generation(found: u64, expected: u64) -> Problem {
    Problem::new(
        ProblemCode::Conflict,
        format!("generation {found} is in force, not {expected}"),
    )
    .expecting("the generation in force; look at the rules again")
}

pub(super) fn no_rule(device: &Device, name: &str) -> Problem {
    let rules = device.shared.rules.load();
    let known: Vec<&str> = rules.set.rules().map(|rule| rule.name.as_str()).collect();
    let detail = format!("device {} has no rule named `{name}`", device.id());
    let expected = match known.is_empty() {
        true => "a rule; it has none".to_owned(),
        false => format!("one of {}", known.join(", ")),
    };
    Problem::new(ProblemCode::NotFound, detail).expecting(expected)
}
