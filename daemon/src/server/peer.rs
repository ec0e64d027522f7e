//! Who asks. The socket's mode keeps others out; the credentials of each connection are checked all
//! the same, since a mode can be changed and a socket can be handed on.

use api::{Problem, ProblemCode};
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::serve::IncomingStream;

use super::connection::{Files, Listening};
use super::reply::Refusal;

/// The other end of a connection (`SO_PEERCRED`); none if the system does not tell.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    uid: Option<u32>,
    files: Files,
}

impl Peer {
    /// The open files that came on the connection.
    pub(super) fn files(&self) -> &Files {
        &self.files
    }
}

impl Connected<IncomingStream<'_, Listening>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Listening>) -> Self {
        Self {
            uid: stream.io().peer().ok().map(|credentials| credentials.uid()),
            files: stream.io().files(),
        }
    }
}

/// Lets root and the daemon's own user pass.
pub(super) async fn check(
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Request,
    next: Next,
) -> Response {
    let own = nix::unistd::geteuid().as_raw();
    if may_ask(peer.uid, own) {
        return next.run(request).await;
    }
    let detail = match peer.uid {
        Some(uid) => format!("user {uid} may not use this daemon"),
        None => "the system does not tell which user asks".into(),
    };
    let problem = Problem::new(ProblemCode::Forbidden, detail);
    Refusal(problem.expecting(format!("user 0 or {own}"))).into_response()
}

fn may_ask(uid: Option<u32>, own: u32) -> bool {
    uid.is_some_and(|uid| uid == 0 || uid == own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_root_and_the_daemons_user_may_ask() {
        assert!(may_ask(Some(0), 1000));
        assert!(may_ask(Some(1000), 1000));
        assert!(!may_ask(Some(1001), 1000));
        assert!(!may_ask(None, 0));
    }
}
