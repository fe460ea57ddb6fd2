//! What every request leaves behind: an id, which its lines of the log carry, two metrics, and if it is sampled a span for a collector.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock, PoisonError, RwLock},
    time::Instant,
};

use axum::{
    extract::{FromRequestParts, MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderName, HeaderValue, Method, StatusCode, request::Parts};
use metrics::{Counter, Histogram};
use shipway_core::Kind;
use uuid::Uuid;

use crate::{
    Problem,
    current::{CurrentRequest, For},
    spans::{self, Asked, RequestSpan},
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const MAXIMUM_REQUEST_ID_BYTES: usize = 128;

/// The id of a request: the caller's `x-request-id` if it is presentable, else one of ours. Answered in the same header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(pub String);

impl<S: Sync> FromRequestParts<S> for RequestId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| {
            Problem::new(
                Kind::Internal,
                "web.no_request_id",
                "this route is not part of the router of the server",
            )
        })
    }
}

/// The metrics of every route of one router, each looked up once: by name that costs more than an empty handler.
#[derive(Debug)]
pub(crate) struct RouteMetrics {
    routes: HashMap<&'static str, OfRoute>,
    unmatched: OfRoute,
}

#[derive(Debug)]
struct OfRoute {
    /// The pattern of its path.
    route: &'static str,
    seconds: OnceLock<Histogram>,
    /// By method and status. A route has few of them.
    answered: RwLock<Vec<(&'static str, StatusCode, Counter)>>,
}

impl RouteMetrics {
    pub(crate) fn new(routes: impl IntoIterator<Item = &'static str>) -> Self {
        let routes = routes.into_iter().map(|route| (route, OfRoute::new(route))).collect();
        Self { routes, unmatched: OfRoute::new("unmatched") }
    }

    fn of(&self, request: &Request) -> &OfRoute {
        let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
        path.and_then(|path| self.routes.get(path)).unwrap_or(&self.unmatched)
    }
}

impl OfRoute {
    fn new(route: &'static str) -> Self {
        Self { route, seconds: OnceLock::new(), answered: RwLock::default() }
    }

    fn count(&self, method: &'static str, status: StatusCode, seconds: f64) {
        self.count_answer(method, status);
        let histogram = || metrics::histogram!("shipway_http_request_seconds", "route" => self.route);
        self.seconds.get_or_init(histogram).record(seconds);
    }

    fn count_answer(&self, method: &'static str, status: StatusCode) {
        let is_wanted = |(held_method, held_status, _): &&(&'static str, StatusCode, Counter)| {
            *held_method == method && *held_status == status
        };
        let answered = self.answered.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((.., counter)) = answered.iter().find(is_wanted) {
            counter.increment(1);
            return;
        }
        drop(answered);
        let counter = metrics::counter!(
            "shipway_http_requests_total",
            "route" => self.route, "method" => method, "status" => status.as_str().to_owned()
        );
        counter.increment(1);
        let mut answered = self.answered.write().unwrap_or_else(PoisonError::into_inner);
        if !answered.iter().any(|held| is_wanted(&held)) {
            answered.push((method, status, counter));
        }
    }
}

/// Names the request, lets the log know it, counts it, and measures the time until its answer begins.
///
/// Labels stay few: the route is its pattern, never the path that was asked, and unknown methods share one label.
pub(crate) async fn observe(
    State(routes): State<Arc<RouteMetrics>>,
    mut request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let method = method_label(request.method());
    let metrics = routes.of(&request);
    let (id, id_header) = request_id(&request);
    let sampled = RequestSpan::begin(&request, Asked { method, route: metrics.route, id: &id });
    request.extensions_mut().insert(RequestId(id));
    let trace_id = sampled.as_ref().map(RequestSpan::trace_id);
    let current = Arc::new(CurrentRequest { id: id_header.clone(), method, route: metrics.route, trace_id });

    let work = spans::under(sampled.as_ref().map(RequestSpan::span), next.run(request));
    let mut response = For::new(Arc::clone(&current), work).await;

    let (status, seconds) = (response.status(), started.elapsed().as_secs_f64());
    metrics.count(method, status, seconds);
    current.while_current(|| tracing::debug!(status = status.as_u16(), seconds, "answered"));
    response.headers_mut().insert(REQUEST_ID, id_header);
    match sampled {
        Some(sampled) => sampled.answered(response),
        None => response,
    }
}

/// Visible ASCII only: the id goes into logs and back into a header.
fn request_id(request: &Request) -> (String, HeaderValue) {
    let given = request.headers().get(REQUEST_ID).filter(|header| {
        let bytes = header.as_bytes();
        !bytes.is_empty() && bytes.len() <= MAXIMUM_REQUEST_ID_BYTES && bytes.iter().all(u8::is_ascii_graphic)
    });
    if let Some(header) = given {
        return (String::from_utf8_lossy(header.as_bytes()).into_owned(), header.clone());
    }
    let id = Uuid::now_v7().to_string();
    let header = HeaderValue::from_str(&id).unwrap_or(HeaderValue::from_static("unknown"));
    (id, header)
}

fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "OTHER",
    }
}
