//! The API: HTTP and JSON on a Unix socket, for root and the daemon's own user. It never touches a
//! ring; it publishes rules and leaves commands for the queues.

mod buffers;
mod connection;
mod devices;
mod engine;
mod events;
mod features;
mod hold_data;
mod holds;
mod lifecycle;
mod metrics;
mod peer;
mod problems;
mod reply;
mod rules;
mod stats;

use std::io;
use std::sync::Arc;

use api::{Problem, ProblemCode};
use axum::extract::DefaultBodyLimit;
use axum::{Json, Router, middleware, routing};
use tokio::net::{TcpListener, UnixListener};
use utoipa::OpenApi;
use utoipa::openapi::OpenApi as Document;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::devices::Devices;
use reply::Refusal;

/// The longest body: room for thousands of rules.
const MAX_BODY_BYTES: usize = 4 << 20;

#[derive(OpenApi)]
#[openapi(info(
    title = "bvecd",
    description = "Block devices that can be stopped in the middle of a request.",
    license(name = "MIT OR Apache-2.0")
))]
struct Root;

/// The routes and the document that describes them, made from one declaration.
fn routes() -> (Router<Arc<Devices>>, Document) {
    let (router, mut document) = OpenApiRouter::with_openapi(Root::openapi())
        .routes(routes!(features::show))
        .routes(routes!(devices::list, devices::add))
        .routes(routes!(devices::show, devices::delete))
        .routes(routes!(lifecycle::stop))
        .routes(routes!(lifecycle::quiesce))
        .routes(routes!(lifecycle::resume))
        .routes(routes!(lifecycle::resize))
        .routes(routes!(lifecycle::recover))
        .routes(routes!(lifecycle::adopt))
        .routes(routes!(lifecycle::reap))
        .routes(routes!(lifecycle::hand_over))
        .routes(routes!(rules::list, rules::add, rules::apply, rules::clear))
        .routes(routes!(rules::show, rules::replace, rules::remove))
        .routes(routes!(engine::switch))
        .routes(routes!(engine::explain))
        .routes(routes!(engine::memory, engine::remember))
        .routes(routes!(holds::list))
        .routes(routes!(holds::release))
        .routes(routes!(hold_data::peek, hold_data::poke))
        .routes(routes!(holds::heal_device))
        .routes(routes!(holds::heal))
        .routes(routes!(buffers::list, buffers::add))
        .routes(routes!(buffers::remove))
        .routes(routes!(stats::show))
        .routes(routes!(events::list))
        .split_for_parts();
    problems::describe(&mut document);
    (router, document)
}

/// The OpenAPI document.
#[must_use]
pub fn document() -> Document {
    routes().1
}

/// Everything under one roof: routes, refusals, the check of who asks.
pub(crate) fn router(devices: Arc<Devices>) -> Router {
    let (router, document) = routes();
    router
        .route(
            api::paths::OPENAPI,
            routing::get(move || async move { Json(document) }),
        )
        .route(api::paths::METRICS, routing::get(metrics::show))
        .fallback(|| async { no_such_path() })
        .method_not_allowed_fallback(|| async { wrong_method() })
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(devices)
}

/// Serves until the daemon is to leave, and answers what was asked until then.
///
/// # Errors
/// The listener failed.
pub async fn serve(listener: UnixListener, devices: Arc<Devices>) -> io::Result<()> {
    let leaving = until_leaving(&devices);
    let router = router(devices).layer(middleware::from_fn(peer::check));
    let service = router.into_make_service_with_connect_info::<peer::Peer>();
    axum::serve(connection::Listening(listener), service)
        .with_graceful_shutdown(leaving)
        .await
}

/// Serves the metrics, and nothing else of the API, until the daemon is to leave. Nobody is asked who they are.
///
/// # Errors
/// The listener failed.
pub async fn serve_metrics(listener: TcpListener, devices: Arc<Devices>) -> io::Result<()> {
    let leaving = until_leaving(&devices);
    let router = Router::new()
        .route(api::paths::METRICS, routing::get(metrics::show))
        .fallback(|| async { only_metrics() })
        .method_not_allowed_fallback(|| async { only_metrics() })
        .with_state(devices);
    axum::serve(listener, router)
        .with_graceful_shutdown(leaving)
        .await
}

/// Returns when the devices were handed over.
fn until_leaving(devices: &Devices) -> impl Future<Output = ()> + use<> {
    let mut leaving = devices.leaving.subscribe();
    async move {
        // The sender lives as long as the devices, and so as long as the server.
        let _ = leaving.wait_for(|leaving| *leaving).await;
    }
}

fn only_metrics() -> Refusal {
    let problem = Problem::new(
        ProblemCode::NotFound,
        "this port has nothing but the metrics",
    );
    Refusal(problem.expecting(format!(
        "GET {}, or the API's socket for anything else",
        api::paths::METRICS
    )))
}

fn no_such_path() -> Refusal {
    let problem = Problem::new(ProblemCode::NotFound, "there is nothing at this path");
    Refusal(problem.expecting(format!(
        "one of those that GET {} lists",
        api::paths::OPENAPI
    )))
}

fn wrong_method() -> Refusal {
    let problem = Problem::new(
        ProblemCode::MethodNotAllowed,
        "the path does not take this method",
    );
    Refusal(problem.expecting(format!(
        "one of those that GET {} lists",
        api::paths::OPENAPI
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The committed document is the one that the routes and types make. When this fails after a wanted
    /// change, write the new one: `BVECD_WRITE_OPENAPI=1 cargo test -p daemon openapi`.
    #[test]
    fn the_committed_openapi_document_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../api/openapi.json");
        let made = document().to_pretty_json().unwrap() + "\n";
        if std::env::var_os("BVECD_WRITE_OPENAPI").is_some() {
            std::fs::write(path, &made).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap();
        assert!(
            made == committed,
            "api/openapi.json is not what the routes say"
        );
    }

    /// Whatever goes wrong is told in one form.
    #[test]
    fn every_refusal_is_a_problem() {
        let document = serde_json::to_value(document()).unwrap();
        let paths = document["paths"].as_object().unwrap();
        let mut names = std::collections::BTreeSet::new();
        for (path, item) in paths {
            for (method, operation) in item.as_object().unwrap() {
                let responses = operation["responses"].as_object().unwrap();
                assert!(responses.contains_key("403"), "{method} {path}");
                let id = operation["operationId"].as_str().unwrap();
                assert!(names.insert(id.to_owned()), "two are called {id}");
                for (status, response) in responses
                    .iter()
                    .filter(|(status, _)| status.as_str() >= "400")
                {
                    let content = response["content"].as_object().unwrap();
                    let types: Vec<&String> = content.keys().collect();
                    let place = format!("{method} {path} {status}");
                    assert_eq!(types, [api::PROBLEM_MEDIA_TYPE], "{place}");
                    let reference = &content[api::PROBLEM_MEDIA_TYPE]["schema"]["$ref"];
                    assert_eq!(reference, "#/components/schemas/Problem", "{place}");
                }
            }
        }
    }

    /// Every path of the client is served, and nothing else is.
    #[test]
    fn the_document_has_the_paths_that_clients_use() {
        let document = document();
        let mut served: Vec<&str> = document.paths.paths.keys().map(String::as_str).collect();
        let mut known = vec![
            api::paths::FEATURES,
            api::paths::DEVICES,
            api::paths::DEVICE,
            api::paths::STOP,
            api::paths::QUIESCE,
            api::paths::RESUME,
            api::paths::RESIZE,
            api::paths::RECOVER,
            api::paths::ADOPT,
            api::paths::REAP,
            api::paths::HAND_OVER,
            api::paths::RULES,
            api::paths::RULE,
            api::paths::SWITCH,
            api::paths::EXPLAIN,
            api::paths::MEMORY,
            api::paths::HOLDS,
            api::paths::RELEASE,
            api::paths::HOLD_DATA,
            api::paths::BUFFERS,
            api::paths::BUFFER,
            api::paths::STATS,
            api::paths::HEAL_DEVICE,
            api::paths::HEAL,
            api::paths::EVENTS,
        ];
        served.sort_unstable();
        known.sort_unstable();
        assert_eq!(served, known);
    }
}
