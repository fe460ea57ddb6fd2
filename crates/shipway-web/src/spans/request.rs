//! The span of a request, under the trace that its caller says (W3C `traceparent`), with the attributes of OpenTelemetry's conventions
//! for servers of HTTP and gRPC.

use axum::{body::Body, extract::Request, response::Response};
use http::{HeaderMap, Version, header};

use super::{
    MAKER, Span, SpanAttribute, SpanKind,
    answer::Watched,
    open::cut,
    trace::{Said, said},
};
use crate::Problem;

const TRACE_PARENT: &str = "traceparent";

const TRACE_STATE: &str = "tracestate";

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
        MAKER.get()?;
        let span = Span::begin(asked.method, SpanKind::Server, said_by_caller(request.headers()))?;
        let is_grpc = is_grpc(request.headers());
        span.set(SpanAttribute::new("shipway.request_id", asked.id.to_owned()));
        if is_grpc {
            // The route of a service has a place for the method, which is in the path only.
            let known = asked.route.starts_with('/');
            let method = if known { request.uri().path().trim_start_matches('/') } else { "_OTHER" };
            span.rename(cut(method));
            span.set(SpanAttribute::new("rpc.system.name", "grpc"));
            span.set(SpanAttribute::new("rpc.method", cut(method)));
        } else {
            span.rename(format!("{} {}", asked.method, asked.route));
            span.set_all(of_http(request, asked));
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
        span.set(SpanAttribute::new("http.response.status_code", i64::from(status.as_u16())));
        if let Some(problem) = response.extensions().get::<Problem>() {
            span.set(SpanAttribute::new("shipway.code", problem.code()));
        }
        if status.is_server_error() {
            span.fail(status.as_str(), "");
        }
        let (parts, body) = response.into_parts();
        let watched = Watched::new(body, span, is_grpc);
        // What has its status in the headers has no trailers.
        let watched = watched.told_by(&parts.headers);
        Response::from_parts(parts, Body::new(watched))
    }
}

fn of_http(request: &Request, asked: Asked<'_>) -> Vec<SpanAttribute> {
    let mut attributes = vec![
        SpanAttribute::new(
            "http.request.method",
            if asked.method == "OTHER" { "_OTHER" } else { asked.method },
        ),
        SpanAttribute::new("url.scheme", "http"),
        // Never the query: what is in it may be a secret.
        SpanAttribute::new("url.path", cut(request.uri().path())),
    ];
    if asked.route.starts_with('/') {
        attributes.push(SpanAttribute::new("http.route", asked.route));
    }
    let version = match request.version() {
        Version::HTTP_2 => "2",
        Version::HTTP_10 => "1.0",
        _ => "1.1",
    };
    attributes.push(SpanAttribute::new("network.protocol.version", version));
    let text = |name: &header::HeaderName| request.headers().get(name)?.to_str().ok().map(cut);
    attributes
        .extend(text(&header::USER_AGENT).map(|agent| SpanAttribute::new("user_agent.original", agent)));
    let host = request.uri().authority().map(|authority| cut(authority.as_str()));
    if let Some(host) = host.or_else(|| text(&header::HOST)) {
        attributes.extend(of_host(&host));
    }
    attributes
}

/// The name and the port under which the caller knows the server.
fn of_host(host: &str) -> Vec<SpanAttribute> {
    let Ok(authority) = host.parse::<http::uri::Authority>() else { return Vec::new() };
    let port = authority.port_u16().map(|port| SpanAttribute::new("server.port", i64::from(port)));
    std::iter::once(SpanAttribute::new("server.address", authority.host().to_owned())).chain(port).collect()
}

/// The trace that the caller says; none where it says none, or nothing that can be read.
fn said_by_caller(headers: &HeaderMap) -> Option<Said> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    said(text(TRACE_PARENT)?, text(TRACE_STATE))
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
            of_host(host).iter().map(|pair| format!("{}={:?}", pair.key, pair.value)).collect::<Vec<_>>()
        };
        assert_eq!(
            shown("models.internal:8700"),
            ["server.address=Text(\"models.internal\")", "server.port=Integer(8700)"]
        );
        assert_eq!(shown("[::1]:1"), ["server.address=Text(\"[::1]\")", "server.port=Integer(1)"]);
        assert_eq!(shown("models"), ["server.address=Text(\"models\")"]);
        assert!(shown("no host at all").is_empty());
    }
}
