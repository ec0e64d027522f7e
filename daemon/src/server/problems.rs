//! What every operation may answer beside what its handler says: refusals that are made before the handler, or that
//! any of them can meet. The document has them all, and their media type.

use api::PROBLEM_MEDIA_TYPE;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{Content, OpenApi, Ref, RefOr, Response, ResponseBuilder};

/// Completes the document.
pub(super) fn describe(document: &mut OpenApi) {
    for item in document.paths.paths.values_mut() {
        let operations = [
            &mut item.get,
            &mut item.put,
            &mut item.post,
            &mut item.delete,
        ];
        for operation in operations.into_iter().flatten() {
            complete(operation);
        }
    }
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
