//! Bodies that come packed are unpacked before the routes see them, so that body limits count what comes out.

use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use axum::{
    Router,
    extract::Request,
    http::{StatusCode, header},
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
};
use tower::Service;
use tower_http::decompression::RequestDecompressionLayer;

/// The routes, and in front of them what unpacks. Most requests are not packed, and go by it.
#[derive(Clone)]
pub(super) struct Unpacking {
    routes: Router,
    packed: Router,
}

impl Unpacking {
    pub(super) fn new(routes: Router) -> Self {
        let packed = Router::new()
            .fallback_service(routes.clone())
            .layer(from_fn(refuse_packed))
            .layer(RequestDecompressionLayer::new().pass_through_unaccepted(true));
        Self { routes, packed }
    }
}

impl Service<Request> for Unpacking {
    type Response = Response;
    type Error = Infallible;
    type Future = <Router as Service<Request>>::Future;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // A router always is.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        match request.headers().contains_key(header::CONTENT_ENCODING) {
            true => self.packed.call(request),
            false => self.routes.call(request),
        }
    }
}

/// Refuses a body that is still packed here, but where the handler unpacks it: others would take it for what it is not.
async fn refuse_packed(request: Request, next: Next) -> Response {
    let packed = request.headers().get(header::CONTENT_ENCODING).is_some_and(|packing| packing != "identity");
    let path = request.uri().path();
    let unpacked_there = path == shipway_tracking::UNPACKING_PATH || shipway_serving::unpacks(path);
    if packed && !unpacked_there {
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, [(header::ACCEPT_ENCODING, "gzip")]).into_response();
    }
    next.run(request).await
}
