//! What every operation may answer beside what its handler says: refusals that are made before the handler, or that
//! any of them can meet. The document has them all, and their media type; it has a name of its own for each
//! operation, and says which bodies may be left out.

use api::PROBLEM_MEDIA_TYPE;
use utoipa::openapi::path::{Operation, Parameter, ParameterIn};
use utoipa::openapi::{Content, OpenApi, Ref, RefOr, Required, Response, ResponseBuilder};

/// The handlers that do without a body: each key of theirs may be left out, and so may all of them.
const BODY_OPTIONAL: [&str; 3] = ["stop", "quiesce", "hand_over"];

/// Completes the document.
pub(super) fn describe(document: &mut OpenApi) {
    for (path, item) in &mut document.paths.paths {
        let operations = [
            &mut item.get,
            &mut item.put,
            &mut item.post,
            &mut item.delete,
        ];
        for operation in operations.into_iter().flatten() {
            complete(operation);
            name(path, operation);
        }
    }
}

/// Names an operation by the resource and the handler: `devices_rules_list`.
fn name(path: &str, operation: &mut Operation) {
    let handler = operation.operation_id.take().unwrap_or_default();
    if let (true, Some(RefOr::T(body))) = (
        BODY_OPTIONAL.contains(&handler.as_str()),
        &mut operation.request_body,
    ) {
        body.required = Some(Required::False);
    }
    let resource = path
        .split('/')
        .skip(2)
        .filter(|step| !step.starts_with('{'));
    let steps: Vec<&str> = resource.chain([handler.as_str()]).collect();
    operation.operation_id = Some(steps.join("_").replace('-', "_"));
}

fn is_in_path(parameter: &RefOr<Parameter>) -> bool {
    matches!(parameter, RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Path)
}

fn complete(operation: &mut Operation) {
    let has_body = operation.request_body.is_some();
    let has_parameters = operation.parameters.iter().any(|all| !all.is_empty());
    let mut common = vec![
        (403, "The caller is neither root nor the daemon's own user."),
        (
            500,
            "A fault of the daemon, or an unexpected answer of the kernel.",
        ),
    ];
    if operation.parameters.iter().flatten().any(is_in_path) {
        common.push((404, "The path names nothing that there is."));
    }
    if has_body || has_parameters {
        common.push((400, "The path, the query or the body is malformed."));
    }
    if has_body {
        common.push((413, "The body is longer than any that makes sense."));
        common.push((
            422,
            "A field of the body cannot be used; `pointer` says which.",
        ));
    }
    let responses = &mut operation.responses.responses;
    for (status, description) in common {
        responses
            .entry(status.to_string())
            .or_insert_with(|| problem(description));
    }
    for (status, response) in responses {
        if let (true, RefOr::T(response)) = (status.as_str() >= "4", response) {
            let content = std::mem::take(&mut response.content);
            let named = content.into_values();
            response.content = named
                .map(|it| (PROBLEM_MEDIA_TYPE.to_owned(), it))
                .collect();
        }
    }
}

fn problem(description: &str) -> RefOr<Response> {
    let content = Content::new(Some(Ref::from_schema_name("Problem")));
    let response = ResponseBuilder::new()
        .description(description)
        .content(PROBLEM_MEDIA_TYPE, content);
    RefOr::T(response.build())
}
