//! One batch of spans to the collector: OTLP over HTTP, in protobuf.

use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use reqwest::{
    StatusCode, Url,
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT},
};
use shipway_web::spans::Recorded;
use uuid::Uuid;

use super::{
    messages::{Export, Exported, KeyValue, Resource, ResourceSpans, Scope, ScopeSpans},
    pairs,
};
use crate::failure::CommandFailure;

/// Where a collector takes spans.
const PATH: &str = "/v1/traces";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What is read of an answer.
const MOST_ANSWERED_BYTES: usize = 64 * 1024;

/// What is repeated of an answer.
const MOST_SHOWN_CHARACTERS: usize = 200;

/// A collector of spans.
pub(super) struct Collector {
    http: reqwest::Client,
    endpoint: Url,
    headers: HeaderMap,
    resource: Resource,
}

/// What a collector took.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    /// Spans that it refused, with its reason.
    pub(super) refused: u64,
    pub(super) reason: String,
}

/// Why a batch was not taken.
#[derive(Debug)]
pub(super) struct NotTaken {
    pub(super) why: String,
    /// Whether the same may be taken later.
    pub(super) may_help: bool,
}

impl Collector {
    pub(super) fn new(
        endpoint: &str,
        headers: Option<&str>,
        timeout: Duration,
        resource: Vec<KeyValue>,
    ) -> Result<Self, CommandFailure> {
        let wrong = |key: &str, why: &str| CommandFailure::new(format!("spans.{key}: {why}"));
        let mut endpoint =
            Url::parse(endpoint).map_err(|error| wrong("otlp_endpoint", &error.to_string()))?;
        if !matches!(endpoint.scheme(), "http" | "https") || endpoint.host().is_none() {
            return Err(wrong("otlp_endpoint", "it is not an address of http or https")
                .with_hint("such as http://collector:4318/v1/traces"));
        }
        if !endpoint.username().is_empty() || endpoint.password().is_some() {
            return Err(wrong("otlp_endpoint", "it holds credentials")
                .with_hint("give them as a header: spans.otlp_headers"));
        }
        if endpoint.path() == "/" {
            endpoint.set_path(PATH);
        }
        let pairs = pairs::parse(headers.unwrap_or_default()).map_err(|why| wrong("otlp_headers", &why))?;
        let mut sent = HeaderMap::new();
        for (name, value) in pairs {
            let (Ok(header), Ok(mut value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(&value))
            else {
                return Err(wrong("otlp_headers", &format!("{name} is no header of HTTP")));
            };
            value.set_sensitive(true);
            sent.append(header, value);
        }
        sent.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        sent.insert(USER_AGENT, HeaderValue::from_static(concat!("shipway/", env!("CARGO_PKG_VERSION"))));
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(timeout)
            // A collector says where it is; another one is not told what was meant for it.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| wrong("otlp_endpoint", &error.to_string()))?;
        Ok(Self { http, endpoint, headers: sent, resource: Resource { attributes: resource } })
    }

    /// Where it is, for people: without a query, which may be secret.
    pub(super) fn shown(&self) -> String {
        let mut shown = self.endpoint.clone();
        shown.set_query(None);
        shown.to_string()
    }

    /// The message for a batch. It is kept while it is sent again.
    pub(super) fn message(&self, spans: Vec<Recorded>) -> Bytes {
        let scope = Scope { name: "shipway".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() };
        let spans = spans.into_iter().map(Into::into).collect();
        let scope_spans = vec![ScopeSpans { scope: Some(scope), spans }];
        let resource_spans = vec![ResourceSpans { resource: Some(self.resource.clone()), scope_spans }];
        Export { resource_spans }.encode_to_vec().into()
    }

    /// Sends a message once.
    pub(super) async fn send(&self, message: Bytes) -> Result<Taken, NotTaken> {
        let request = self
            .http
            .post(self.endpoint.clone())
            .headers(self.headers.clone())
            .header("traceparent", not_sampled())
            .body(message);
        let answer = request.send().await.map_err(|error| NotTaken { why: chain(error), may_help: true })?;
        let status = answer.status();
        let body = beginning_of(answer).await;
        if status.is_success() {
            return Ok(taken(&body));
        }
        let text: String = String::from_utf8_lossy(&body)
            .chars()
            .filter(|it| !it.is_control())
            .take(MOST_SHOWN_CHARACTERS)
            .collect();
        Err(NotTaken { why: format!("the collector answered {status}: {text}"), may_help: may_help(status) })
    }
}

/// Sending makes no spans elsewhere either: a collector may have spans of its own, and may be this server.
fn not_sampled() -> String {
    let (_, span) = Uuid::new_v4().as_u64_pair();
    format!("00-{}-{span:016x}-00", Uuid::new_v4().simple())
}

/// What a collector says of a batch that it took.
fn taken(body: &[u8]) -> Taken {
    let said = Exported::decode(body).ok().and_then(|response| response.partial_success);
    said.map_or_else(Taken::default, |partial| Taken {
        refused: u64::try_from(partial.rejected_spans).unwrap_or(0),
        reason: partial.error_message.chars().take(MOST_SHOWN_CHARACTERS).collect(),
    })
}

/// The statuses that the protocol calls worth another try.
fn may_help(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

/// So much of an answer as is looked at; the rest is not waited for.
async fn beginning_of(mut answer: reqwest::Response) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        let room = MOST_ANSWERED_BYTES.saturating_sub(body.len());
        body.extend(chunk.iter().copied().take(room));
        if chunk.len() >= room {
            break;
        }
    }
    body
}

/// The whole of an error: what is at its end says why. Without the address, whose query may be secret.
fn chain(error: reqwest::Error) -> String {
    shipway_core::failure::chain(&error.without_url())
}

#[cfg(test)]
mod tests {
    use super::{super::messages::PartialSuccess, *};

    fn refused(endpoint: &str, headers: Option<&str>) -> String {
        let made = Collector::new(endpoint, headers, CONNECT_TIMEOUT, Vec::new());
        made.err().map(|failure| failure.message).unwrap_or_default()
    }

    #[test]
    fn a_collector_that_cannot_be_is_refused_and_its_secrets_are_not_repeated() {
        assert_eq!(refused("http://collector:4318", None), "");
        assert!(refused("grpc://collector:4317", None).contains("not an address of http"));
        assert!(refused("collector:4318", None).contains("not an address of http"));
        assert!(refused("http://", None).contains("spans.otlp_endpoint"));
        let named = refused("http://user:hush@collector", None);
        assert!(named.contains("credentials") && !named.contains("hush"), "{named}");
        let named = refused("http://collector", Some("api key=hush"));
        assert!(named.contains("api key") && !named.contains("hush"), "{named}");
    }

    #[tokio::test]
    async fn a_path_is_added_only_where_there_is_none() {
        let shown = |endpoint| Collector::new(endpoint, None, CONNECT_TIMEOUT, Vec::new()).unwrap().shown();
        assert_eq!(shown("http://collector:4318"), "http://collector:4318/v1/traces");
        assert_eq!(shown("https://collector/otlp?key=hush"), "https://collector/otlp");
    }

    #[test]
    fn what_a_collector_refuses_of_a_batch_is_understood() {
        let partial = PartialSuccess { rejected_spans: 3, error_message: "too old".to_owned() };
        let body = Exported { partial_success: Some(partial) }.encode_to_vec();
        assert_eq!(taken(&body), Taken { refused: 3, reason: "too old".to_owned() });
        assert_eq!(taken(b""), Taken::default());
        assert_eq!(taken(b"{\"partialSuccess\":{}}"), Taken::default());
    }
}
