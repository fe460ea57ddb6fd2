//! The steps in front of every handler, in order: the guard, the limit of the body, what the caller may do, the net for panics.

use std::{any::Any, panic::AssertUnwindSafe, sync::Arc};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures::FutureExt;
use shipway_core::Kind;

use crate::{
    Guard, Problem, ProblemRenderer, RouteDescription,
    access::{Locate, authorise},
    body::limit_body,
    credentials::{take_from_query, take_from_subprotocols},
};

/// What one route demands.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    pub(crate) guard: Arc<Guard>,
    pub(crate) route: RouteDescription,
    pub(crate) locator: Option<Arc<dyn Locate>>,
    pub(crate) renderer: Option<ProblemRenderer>,
    /// The parameter of the address that a token may stand in.
    pub(crate) key_in_query: Option<&'static str>,
    /// What stands before a token among the subprotocols of a WebSocket.
    pub(crate) key_in_subprotocol: Option<&'static str>,
}

/// Lets a request through to its handler, and gives every problem the body of its wire.
pub(crate) async fn pass(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let response = match gate.admit(request).await {
        Ok(request) => AssertUnwindSafe(next.run(request)).catch_unwind().await.unwrap_or_else(answer_panic),
        Err(problem) => problem.into_response(),
    };
    gate.render(response)
}

impl Gate {
    async fn admit(&self, mut request: Request) -> Result<Request, Problem> {
        if let Some(name) = self.key_in_query {
            let uri = request.uri().clone();
            take_from_query(name, &uri, request.headers_mut());
        }
        if let Some(prefix) = self.key_in_subprotocol {
            take_from_subprotocols(prefix, request.headers_mut());
        }
        let (permission, method) = (self.route.permission, request.method());
        let caller = self.guard.admit(permission, method, request.uri(), request.headers()).await?;
        request.extensions_mut().insert(caller.clone());
        let request = limit_body(request, self.route.body_limit_bytes)?;
        authorise(&caller, &self.route, self.locator.as_deref(), request).await
    }

    fn render(&self, mut response: Response) -> Response {
        let Some(renderer) = self.renderer else { return response };
        match response.extensions_mut().remove::<Problem>() {
            Some(problem) => renderer(problem),
            None => response,
        }
    }
}

/// A defect ends one request, not the server.
#[expect(clippy::needless_pass_by_value, reason = "the signature that `catch_unwind` hands over")]
fn answer_panic(panic: Box<dyn Any + Send>) -> Response {
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    tracing::error!(code = "web.panic", message, "a handler panicked");
    Problem::new(Kind::Internal, "web.panic", "the server met a defect while it answered")
        .with_hint("the log of the server has the details under the request id")
        .into_response()
}
