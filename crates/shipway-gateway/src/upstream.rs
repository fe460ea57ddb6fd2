//! Requests to providers: where they go, with which headers, over pooled connections.
//!
//! Addresses come from the configuration of the server only, and redirects are not followed: no caller and no provider decides where a
//! secret is sent. Answers are asked for as they are, without compression, so that their bytes can be passed on.

use std::{fmt, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use reqwest::{Client, Response, redirect::Policy};
use shipway_dialects::{ApiError, Cause};
use url::Url;

use crate::{
    error::GatewayError,
    model::{ProviderKind, ProviderSpec},
};

/// Headers of a caller that mean something to a provider. Everything else stays here: credentials, cookies, addresses.
const PASSED_ON: [&str; 6] =
    ["accept", "anthropic-beta", "idempotency-key", "openai-beta", "anthropic-version", "user-agent"];
/// What Anthropic's API demands of those who do not say which version they speak.
const ANTHROPIC_VERSION: &str = "2023-06-01";
const IDLE_CONNECTIONS: usize = 256;
const KEPT_IDLE: Duration = Duration::from_secs(60);

/// A provider with its connections.
pub(crate) struct Provider {
    spec: ProviderSpec,
    client: Client,
    /// The header that carries the secret.
    secret: Option<(HeaderName, HeaderValue)>,
}

impl fmt::Debug for Provider {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.spec.fmt(formatter)
    }
}

impl Provider {
    pub(crate) fn new(spec: ProviderSpec) -> Result<Self, GatewayError> {
        let client = Client::builder()
            .connect_timeout(spec.connect_timeout)
            .redirect(Policy::none())
            .referer(false)
            .tcp_nodelay(true)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .pool_idle_timeout(KEPT_IDLE)
            .build()?;
        let secret = match &spec.api_key {
            None => None,
            Some(key) => {
                let (name, text) = match spec.kind {
                    ProviderKind::OpenAi => (header::AUTHORIZATION, format!("Bearer {key}")),
                    ProviderKind::Anthropic => (HeaderName::from_static("x-api-key"), key.clone()),
                };
                let mut value = HeaderValue::from_str(&text).map_err(|_| {
                    GatewayError::invalid(
                        "providers",
                        format!("the key of {} cannot stand in a header", spec.name),
                    )
                })?;
                value.set_sensitive(true);
                Some((name, value))
            }
        };
        Ok(Self { spec, client, secret })
    }

    pub(crate) fn kind(&self) -> ProviderKind {
        self.spec.kind
    }

    /// Whether it is the one that `spec` describes.
    pub(crate) fn is_of(&self, spec: &ProviderSpec) -> bool {
        let own = &self.spec;
        (own.kind, &own.base_url, &own.api_key, own.connect_timeout)
            == (spec.kind, &spec.base_url, &spec.api_key, spec.connect_timeout)
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.spec.base_url.clone();
        let joined = format!("{}/{path}", url.path().trim_end_matches('/'));
        url.set_path(&joined);
        url
    }

    /// Sends a call; returns with the head of the answer. A failure comes with whether the provider may have read the call.
    pub(crate) async fn send(
        &self,
        path: &str,
        caller: &HeaderMap,
        body: Bytes,
    ) -> Result<Response, (ApiError, bool)> {
        let mut headers = self.headers(caller);
        // Of a form it names the boundary.
        let form =
            caller.get(header::CONTENT_TYPE).filter(|content| content.as_bytes().starts_with(b"multipart/"));
        let json = HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, form.cloned().unwrap_or(json));
        let sent = self.client.post(self.url(path)).headers(headers).body(body).send().await;
        sent.map_err(|error| (failure(&error), !error.is_connect()))
    }

    /// Asks without a body; otherwise as [`Self::send`].
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        query: Option<&str>,
        caller: &HeaderMap,
    ) -> Result<Response, (ApiError, bool)> {
        let mut url = self.url(path);
        url.set_query(query);
        let sent = self.client.request(method, url).headers(self.headers(caller)).send().await;
        sent.map_err(|error| (failure(&error), !error.is_connect()))
    }

    fn headers(&self, caller: &HeaderMap) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(PASSED_ON.len() + 4);
        for name in PASSED_ON {
            for value in caller.get_all(name) {
                headers.append(HeaderName::from_static(name), value.clone());
            }
        }
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if self.spec.kind == ProviderKind::Anthropic {
            headers.entry("anthropic-version").or_insert(HeaderValue::from_static(ANTHROPIC_VERSION));
        }
        if let Some((name, value)) = &self.secret {
            headers.insert(name.clone(), value.clone());
        }
        headers
    }
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

    fn provider(base_url: &str) -> Provider {
        Provider::new(ProviderSpec {
            name: "p".to_owned(),
            kind: ProviderKind::OpenAi,
            base_url: base_url.parse().unwrap(),
            api_key: Some("sk-hush".to_owned()),
            connect_timeout: Duration::from_secs(1),
        })
        .unwrap()
    }

    #[test]
    fn a_path_goes_behind_that_of_the_address() {
        for base in ["http://127.0.0.1:1/v1", "http://127.0.0.1:1/v1/"] {
            assert_eq!(
                provider(base).url("chat/completions").as_str(),
                "http://127.0.0.1:1/v1/chat/completions"
            );
        }
        assert!(!format!("{:?}", provider("http://127.0.0.1:1")).contains("hush"));
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
