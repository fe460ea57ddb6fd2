//! The span of a request, under the trace that its caller says (W3C `traceparent`), with the attributes of OpenTelemetry's conventions
//! for servers of HTTP and gRPC.

use axum::{body::Body, extract::Request, response::Response};
use http::{HeaderMap, Version, header};
use opentelemetry::{
    Context, KeyValue, global,
    propagation::Extractor,
    trace::{SpanBuilder, SpanKind, Status, TraceContextExt},
};

use super::{Span, TRACER, answer::Watched, begin, cut};
use crate::Problem;

const TRACE_PARENT: &str = "traceparent";

/// What other tracers keep in a trace; beyond this length, that the standard grants, it is left out.
const TRACE_STATE: &str = "tracestate";
const MOST_TRACE_STATE_BYTES: usize = 512;

/// What a request is for those who look at its span.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'request> {
    pub(crate) method: &'static str,
    /// The pattern of its path.
    pub(crate) route: &'static str,
    /// The id that it is answered with.
    pub(crate) id: &'request str,
}

/// The span of a request that is sampled.
pub(crate) struct RequestSpan {
    span: Span,
    is_grpc: bool,
}

impl RequestSpan {
    /// Begins the span, if spans are made and the request is sampled.
    pub(crate) fn begin(request: &Request, asked: Asked<'_>) -> Option<Self> {
        let tracer = TRACER.get()?;
        let builder = SpanBuilder::from_name(asked.method).with_kind(SpanKind::Server);
        let span = begin(tracer, builder, &said_by_caller(request.headers()))?;
        let is_grpc = is_grpc(request.headers());
        let described = span.0.span();
        described.set_attribute(KeyValue::new("shipway.request_id", asked.id.to_owned()));
        if is_grpc {
            // The route of a service has a place for the method, which is in the path only.
            let known = asked.route.starts_with('/');
            let method = if known { request.uri().path().trim_start_matches('/') } else { "_OTHER" };
            described.update_name(cut(method));
            described.set_attribute(KeyValue::new("rpc.system.name", "grpc"));
            described.set_attribute(KeyValue::new("rpc.method", cut(method)));
        } else {
            described.update_name(format!("{} {}", asked.method, asked.route));
            described.set_attributes(of_http(request, asked));
        }
        Some(Self { span, is_grpc })
    }

    /// The trace that it belongs to, in 32 hexadecimal digits.
    pub(crate) fn trace_id(&self) -> String {
        self.span.trace_id()
    }

    /// What runs for the request runs under this.
    pub(crate) fn span(&self) -> Span {
        self.span.clone()
    }

    /// The answer, with whose end the span ends.
    pub(crate) fn answered(self, response: Response) -> Response {
        let Self { span, is_grpc } = self;
        let status = response.status();
        let described = span.0.span();
        described.set_attribute(KeyValue::new("http.response.status_code", i64::from(status.as_u16())));
        if let Some(problem) = response.extensions().get::<Problem>() {
            described.set_attribute(KeyValue::new("shipway.code", problem.code()));
        }
        if status.is_server_error() {
            described.set_attribute(KeyValue::new("error.type", status.as_str().to_owned()));
            described.set_status(Status::error(""));
        }
        let (parts, body) = response.into_parts();
        let watched = Watched::new(body, span, is_grpc);
        // What has its status in the headers has no trailers.
        let watched = watched.told_by(&parts.headers);
        Response::from_parts(parts, Body::new(watched))
    }
}

fn of_http(request: &Request, asked: Asked<'_>) -> Vec<KeyValue> {
    let mut attributes = vec![
        KeyValue::new("http.request.method", if asked.method == "OTHER" { "_OTHER" } else { asked.method }),
        KeyValue::new("url.scheme", "http"),
        // Never the query: what is in it may be a secret.
        KeyValue::new("url.path", cut(request.uri().path())),
    ];
    if asked.route.starts_with('/') {
        attributes.push(KeyValue::new("http.route", asked.route));
    }
    let version = match request.version() {
        Version::HTTP_2 => "2",
        Version::HTTP_10 => "1.0",
        _ => "1.1",
    };
    attributes.push(KeyValue::new("network.protocol.version", version));
    let text = |name: &header::HeaderName| request.headers().get(name)?.to_str().ok().map(cut);
    attributes.extend(text(&header::USER_AGENT).map(|agent| KeyValue::new("user_agent.original", agent)));
    let host = request.uri().authority().map(|authority| authority.as_str().to_owned());
    if let Some(host) = host.or_else(|| text(&header::HOST)) {
        attributes.extend(of_host(&host));
    }
    attributes
}

/// The name and the port under which the caller knows the server.
fn of_host(host: &str) -> Vec<KeyValue> {
    let Ok(authority) = host.parse::<http::uri::Authority>() else { return Vec::new() };
    let port = authority.port_u16().map(|port| KeyValue::new("server.port", i64::from(port)));
    std::iter::once(KeyValue::new("server.address", authority.host().to_owned())).chain(port).collect()
}

/// The trace that the caller says; none where it says none, or nothing that can be read.
fn said_by_caller(headers: &HeaderMap) -> Context {
    let root = Context::new();
    if !headers.contains_key(TRACE_PARENT) {
        return root;
    }
    global::get_text_map_propagator(|propagator| propagator.extract_with_context(&root, &Said(headers)))
}

struct Said<'headers>(&'headers HeaderMap);

impl Extractor for Said<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        let value = self.0.get(key)?.to_str().ok()?;
        (key != TRACE_STATE || value.len() <= MOST_TRACE_STATE_BYTES).then_some(value)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(header::HeaderName::as_str).collect()
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_and_a_port() {
        let shown = |host: &str| {
            of_host(host).iter().map(|pair| format!("{}={}", pair.key, pair.value)).collect::<Vec<_>>()
        };
        assert_eq!(shown("models.internal:8700"), ["server.address=models.internal", "server.port=8700"]);
        assert_eq!(shown("[::1]:1"), ["server.address=[::1]", "server.port=1"]);
        assert_eq!(shown("models"), ["server.address=models"]);
        assert!(shown("no host at all").is_empty());
    }
}
