//! Requests to providers: where they go, with which headers, over pooled connections.
//!
//! Addresses come from the configuration of the server only, and redirects are not followed: no caller and no provider decides where a
//! secret is sent. Answers are asked for as they are, without compression, so that their bytes can be passed on.

mod socket;

use std::{fmt, sync::OnceLock, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use reqwest::{Client, ClientBuilder, RequestBuilder, Response, redirect::Policy};
use shipway_dialects::{ApiError, Cause, Dialect, for_vertex};

use crate::{
    address::{self, Target},
    credentials::{Credentials, Surroundings},
    error::GatewayError,
    model::{ProviderKind, ProviderSpec},
    vault::Vault,
};

/// Headers of a caller that mean something to a provider. Everything else stays here: credentials, cookies, addresses.
const PASSED_ON: [&str; 6] =
    ["accept", "anthropic-beta", "idempotency-key", "openai-beta", "anthropic-version", "user-agent"];
/// Those of them that mean the same to a provider with another API.
const PASSED_ACROSS: [&str; 2] = ["idempotency-key", "user-agent"];
/// What Anthropic's API demands of those who do not say which version they speak.
const ANTHROPIC_VERSION: &str = "2023-06-01";
const IDLE_CONNECTIONS: usize = 256;
const KEPT_IDLE: Duration = Duration::from_secs(60);

/// A provider with its connections.
pub(crate) struct Provider {
    spec: ProviderSpec,
    client: Client,
    /// For connections over which both sides speak: HTTP/1.1, and never shared. Made for the first of them.
    sockets: OnceLock<Client>,
    credentials: Credentials,
}

impl fmt::Debug for Provider {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.spec.fmt(formatter)
    }
}

impl Provider {
    pub(crate) fn new(spec: ProviderSpec, surroundings: &Surroundings) -> Result<Self, GatewayError> {
        let client =
            builder(&spec).pool_max_idle_per_host(IDLE_CONNECTIONS).pool_idle_timeout(KEPT_IDLE).build()?;
        let credentials = Credentials::new(&spec, &client, surroundings)?;
        Ok(Self { spec, client, sockets: OnceLock::new(), credentials })
    }

    /// Takes the secret that it refers to as it is kept now.
    pub(crate) fn take_secret(&self, vault: &Vault) {
        self.credentials.take_from(vault);
    }

    pub(crate) fn kind(&self) -> ProviderKind {
        self.spec.kind
    }

    /// Whether it is the one that `spec` describes.
    pub(crate) fn is_of(&self, spec: &ProviderSpec) -> bool {
        let own = &self.spec;
        (own.kind, &own.base_url, &own.api_version, &own.api_key, &own.cloud, own.connect_timeout)
            == (
                spec.kind,
                &spec.base_url,
                &spec.api_version,
                &spec.api_key,
                &spec.cloud,
                spec.connect_timeout,
            )
            && own.api_key_secret == spec.api_key_secret
    }

    /// Sends a call; returns with the head of the answer. A failure comes with whether the provider may have read the call.
    pub(crate) async fn send(
        &self,
        target: &Target<'_>,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response, (ApiError, bool)> {
        // Of a form the caller's says where its fields end.
        headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
        let url = address::url(&self.spec, target);
        let is_anthropic = target.dialect == Dialect::AnthropicMessages;
        let body = if self.spec.kind == ProviderKind::Vertex && is_anthropic {
            for_vertex(&body, target.path == address::COUNT_TOKENS)
        } else {
            body
        };
        self.execute(self.client.post(url).headers(self.own(headers)).body(body)).await
    }

    /// Shows who asks, and sends.
    async fn execute(&self, request: RequestBuilder) -> Result<Response, (ApiError, bool)> {
        let mut request = request.build().map_err(|error| (failure(&error), false))?;
        self.credentials.put(&mut request).await.map_err(|error| (error, false))?;
        let sent = self.client.execute(request).await;
        let response = sent.map_err(|error| (failure(&error), !error.is_connect()))?;
        if response.status() == StatusCode::UNAUTHORIZED {
            self.credentials.were_refused();
        }
        Ok(response)
    }

    /// Asks without a body; otherwise as [`Self::send`].
    pub(crate) async fn ask(
        &self,
        method: Method,
        target: &Target<'_>,
        query: Option<&str>,
        headers: HeaderMap,
    ) -> Result<Response, (ApiError, bool)> {
        let mut url = address::url(&self.spec, target);
        if let Some(query) = query.filter(|query| !query.is_empty()) {
            let all = url.query().map_or_else(|| query.to_owned(), |own| format!("{own}&{query}"));
            url.set_query(Some(&all));
        }
        self.execute(self.client.request(method, url).headers(self.own(headers))).await
    }

    /// With the headers that every request to the provider has.
    fn own(&self, mut headers: HeaderMap) -> HeaderMap {
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if self.spec.kind == ProviderKind::Anthropic {
            headers.entry("anthropic-version").or_insert(HeaderValue::from_static(ANTHROPIC_VERSION));
        }
        headers
    }
}

/// What all connections to a provider share.
fn builder(spec: &ProviderSpec) -> ClientBuilder {
    Client::builder()
        .connect_timeout(spec.connect_timeout)
        .redirect(Policy::none())
        .referer(false)
        .tcp_nodelay(true)
}

/// The headers of a caller that go on to a provider. `is_same_api`: what they mean for one API alone goes too.
pub(crate) fn passed_on(caller: &HeaderMap, is_same_api: bool) -> HeaderMap {
    let names: &[&'static str] = if is_same_api { &PASSED_ON } else { &PASSED_ACROSS };
    let mut headers = HeaderMap::with_capacity(PASSED_ON.len() + 4);
    for name in names {
        for value in caller.get_all(*name) {
            headers.append(HeaderName::from_static(name), value.clone());
        }
    }
    headers
}

/// What went wrong on the way, without the address: it is the operator's, not the caller's.
pub(crate) fn failure(error: &reqwest::Error) -> ApiError {
    if error.is_timeout() && !error.is_connect() {
        return ApiError::new(Cause::Timeout, "the provider did not answer in time");
    }
    let message = if error.is_connect() {
        "the provider could not be reached"
    } else {
        "the connection to the provider broke"
    };
    ApiError::new(Cause::Upstream, message)
}

/// Headers of a provider's answer that are passed on as they are.
const ANSWERED: [HeaderName; 1] = [header::CONTENT_TYPE];
/// Under this prefix go the others that say something.
const PREFIX: &str = "x-upstream-";
const PREFIXED: [&str; 6] =
    ["x-request-id", "request-id", "retry-after", "openai-processing-ms", "openai-version", "cf-ray"];

/// The headers of the answer to a caller, out of those of a provider's.
pub(crate) fn answer_headers(upstream: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for name in ANSWERED {
        if let Some(value) = upstream.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    for (name, value) in upstream {
        let name = name.as_str();
        let is_limit = name.starts_with("x-ratelimit-") || name.starts_with("anthropic-ratelimit-");
        if !is_limit && !PREFIXED.contains(&name) {
            continue;
        }
        if let Ok(name) = HeaderName::try_from(format!("{PREFIX}{name}")) {
            headers.insert(name, value.clone());
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_secret_is_shown_in_the_header_of_its_provider_and_never_printed() {
        for (kind, name, value) in [
            (ProviderKind::OpenAi, "authorization", "Bearer sk-hush"),
            (ProviderKind::Anthropic, "x-api-key", "sk-hush"),
            (ProviderKind::Gemini, "x-goog-api-key", "sk-hush"),
            (ProviderKind::Azure, "api-key", "sk-hush"),
            (ProviderKind::Bedrock, "authorization", "Bearer sk-hush"),
            (ProviderKind::Vertex, "authorization", "Bearer sk-hush"),
        ] {
            let spec = ProviderSpec {
                name: "p".to_owned(),
                kind,
                base_url: "http://127.0.0.1:1".parse().unwrap(),
                api_version: None,
                api_key: Some("sk-hush".to_owned()),
                api_key_secret: None,
                cloud: None,
                connect_timeout: Duration::from_secs(1),
            };
            let surroundings = Surroundings {
                clock: std::sync::Arc::new(shipway_core::SystemClock),
                tracker: tokio_util::task::TaskTracker::new(),
            };
            let provider = Provider::new(spec, &surroundings).unwrap();
            let mut request = provider.client.post("http://127.0.0.1:1").build().unwrap();
            provider.credentials.put(&mut request).await.unwrap();
            assert_eq!(request.headers()[name], value);
            assert!(!format!("{provider:?} {request:?}").contains("hush"));
        }
    }

    #[test]
    fn what_means_something_to_one_api_alone_does_not_go_to_another() {
        let mut caller = HeaderMap::new();
        for name in
            ["anthropic-beta", "openai-beta", "user-agent", "authorization", "x-goog-api-key", "cookie"]
        {
            caller.insert(HeaderName::from_static(name), HeaderValue::from_static("x"));
        }
        let names = |is_same_api| {
            let mut names: Vec<_> = passed_on(&caller, is_same_api).keys().map(ToString::to_string).collect();
            names.sort();
            names
        };
        assert_eq!(names(true), ["anthropic-beta", "openai-beta", "user-agent"]);
        assert_eq!(names(false), ["user-agent"]);
    }

    #[test]
    fn what_a_provider_says_of_its_own_limits_has_a_prefix() {
        let mut upstream = HeaderMap::new();
        for (name, value) in [
            ("content-type", "text/event-stream"),
            ("x-ratelimit-limit-requests", "5"),
            ("set-cookie", "a=b"),
            ("transfer-encoding", "chunked"),
            ("request-id", "r1"),
        ] {
            upstream.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let headers = answer_headers(&upstream);
        assert_eq!(headers["x-upstream-x-ratelimit-limit-requests"], "5");
        assert_eq!(headers["x-upstream-request-id"], "r1");
        assert_eq!(headers["content-type"], "text/event-stream");
        assert_eq!(headers.len(), 3);
    }
}
