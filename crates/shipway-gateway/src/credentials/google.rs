//! Access tokens of Google: fetched once for all who wait, kept until shortly before they expire, and renewed before that while calls
//! go on with the one that there is.

use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::HeaderValue;
use reqwest::{Client, header};
use serde::Deserialize;
use shipway_dialects::{ApiError, Cause};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use super::{Surroundings, service_account::ServiceAccount};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// How long one attempt to get a token may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// A token is renewed so long before it expires; one that lives shorter, in its last quarter.
const RENEWED_BEFORE: Duration = Duration::from_secs(300);
/// How long a token holds where nobody says it.
const USUAL_SECONDS: u64 = 300;
/// The longest answer that is read.
const MOST_BYTES: usize = 64 << 10;

/// The tokens of one service account.
pub(crate) struct Tokens {
    account: ServiceAccount,
    client: Client,
    surroundings: Surroundings,
    held: RwLock<Option<Token>>,
    /// One fetches at a time; with what came of the last attempt that failed, for those who waited for it.
    fetching: Mutex<Option<(Instant, ApiError)>>,
    is_renewing: AtomicBool,
}

#[derive(Clone)]
struct Token {
    value: HeaderValue,
    renew_at: Instant,
    expires_at: Instant,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: Option<u64>,
}

#[derive(Deserialize, Default)]
struct Denied {
    #[serde(default)]
    error: String,
    #[serde(default)]
    error_description: String,
}

impl Tokens {
    pub(super) fn new(account: ServiceAccount, client: Client, surroundings: Surroundings) -> Self {
        Self {
            account,
            client,
            surroundings,
            held: RwLock::default(),
            fetching: Mutex::default(),
            is_renewing: AtomicBool::new(false),
        }
    }

    /// The header that shows a token. Waits only where there is none that still holds.
    pub(super) async fn header(self: &Arc<Self>) -> Result<HeaderValue, ApiError> {
        let asked_at = Instant::now();
        if let Some(token) = self.held(asked_at) {
            if asked_at >= token.renew_at {
                self.renew();
            }
            return Ok(token.value);
        }
        self.fetch_once(asked_at).await
    }

    /// What is held is not shown again.
    pub(super) fn forget(&self) {
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn held(&self, now: Instant) -> Option<Token> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        held.clone().filter(|token| now < token.expires_at)
    }

    /// Fetches, unless somebody else has since `asked_at`: then theirs is the answer, also where it is a failure.
    async fn fetch_once(&self, asked_at: Instant) -> Result<HeaderValue, ApiError> {
        let mut failure = self.fetching.lock().await;
        if let Some(token) = self.held(Instant::now()) {
            return Ok(token.value);
        }
        if let Some((_, error)) = failure.as_ref().filter(|(failed_at, _)| *failed_at >= asked_at) {
            return Err(error.clone());
        }
        let fetched = self.fetch().await;
        *failure = fetched.as_ref().err().map(|error| (Instant::now(), error.clone()));
        fetched.map(|token| token.value)
    }

    /// Fetches another one while the present one still holds.
    fn renew(self: &Arc<Self>) {
        if self.is_renewing.swap(true, Ordering::AcqRel) {
            return;
        }
        let tokens = Arc::clone(self);
        self.surroundings.tracker.spawn(async move {
            if let Err(error) = tokens.fetch().await {
                tracing::warn!(
                    message = error.message,
                    "an access token could not be renewed; it is tried again"
                );
                tokens.later();
            }
            tokens.is_renewing.store(false, Ordering::Release);
        });
    }

    /// The next attempt to renew comes after half of what is left.
    fn later(&self) {
        let now = Instant::now();
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = held.as_mut() {
            token.renew_at = now + token.expires_at.saturating_duration_since(now) / 2;
        }
    }

    async fn fetch(&self) -> Result<Token, ApiError> {
        let late = |_| ApiError::new(Cause::Timeout, "the provider's token endpoint did not answer in time");
        let granted = timeout(PATIENCE, self.ask()).await.map_err(late)??;
        let now = Instant::now();
        let lives = Duration::from_secs(granted.expires_in.unwrap_or(USUAL_SECONDS));
        let mut value = HeaderValue::from_str(&format!("Bearer {}", granted.access_token))
            .map_err(|_| denied("it is no text"))?;
        value.set_sensitive(true);
        let token = Token {
            value,
            renew_at: now + lives.saturating_sub((lives / 4).min(RENEWED_BEFORE)),
            // It must still hold when the provider looks at it.
            expires_at: now + lives.saturating_sub((lives / 10).min(PATIENCE)),
        };
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = Some(token.clone());
        Ok(token)
    }

    async fn ask(&self) -> Result<Granted, ApiError> {
        let assertion = self.account.assertion(self.surroundings.clock.now());
        let assertion = assertion.ok_or_else(|| denied("the claim could not be signed"))?;
        // An assertion has no letter that a form would write otherwise.
        let body = format!("grant_type={}&assertion={assertion}", GRANT.replace(':', "%3A"));
        let unreachable =
            |_| ApiError::new(Cause::Upstream, "the provider's token endpoint could not be reached");
        let asked = self
            .client
            .post(self.account.token_uri().clone())
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body);
        let mut response = asked.send().await.map_err(unreachable)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > MOST_BYTES {
                return Err(denied("the answer is too long"));
            }
            body.extend_from_slice(&chunk);
        }
        if status.is_server_error() {
            let message = format!("the provider's token endpoint answered with status {}", status.as_u16());
            return Err(ApiError::new(Cause::Upstream, message));
        }
        if !status.is_success() {
            let Denied { error, error_description } = serde_json::from_slice(&body).unwrap_or_default();
            return Err(denied(&format!("{error} {error_description}")));
        }
        let granted: Granted = serde_json::from_slice(&body).map_err(|_| denied("the answer has none"))?;
        if granted.access_token.is_empty() { Err(denied("the answer has none")) } else { Ok(granted) }
    }
}

fn denied(why: &str) -> ApiError {
    ApiError::new(Cause::Authentication, format!("no access token was given: {}", why.trim()))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use axum::{Json, Router, http::StatusCode, routing::post};
    use futures::future::join_all;
    use serde_json::{Value, json};
    use shipway_core::SystemClock;
    use tokio_util::task::TaskTracker;

    use super::{super::service_account::tests::account, *};

    /// An endpoint that gives `answer` to everybody, and how often it was asked.
    async fn endpoint(status: u16, answer: Value) -> (Arc<Tokens>, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let (counts, status) = (Arc::clone(&asked), StatusCode::from_u16(status).unwrap());
        let handler =
            move |body: String| async move {
                assert!(body.starts_with(
                    "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion="
                ));
                counts.fetch_add(1, Ordering::AcqRel);
                // Whoever comes meanwhile waits.
                tokio::task::yield_now().await;
                (status, Json(answer))
            };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new().route("/token", post(handler));
        let tracker = TaskTracker::new();
        tracker.spawn(async move { axum::serve(listener, app).await });
        let (json, _) = account(&format!("http://{address}/token"));
        let surroundings = Surroundings { clock: Arc::new(SystemClock), tracker };
        let account = ServiceAccount::read(&json).unwrap();
        (Arc::new(Tokens::new(account, Client::new(), surroundings)), asked)
    }

    #[tokio::test]
    async fn all_who_wait_share_what_came_of_one_fetch() {
        let (tokens, asked) = endpoint(200, json!({"access_token": "ya29.a", "expires_in": 3600})).await;
        for header in join_all((0..8).map(|_| tokens.header())).await {
            assert_eq!(header.unwrap(), "Bearer ya29.a");
        }
        assert_eq!(asked.load(Ordering::Acquire), 1);
        tokens.forget();
        tokens.header().await.unwrap();
        assert_eq!(asked.load(Ordering::Acquire), 2);
    }

    #[tokio::test]
    async fn a_failure_is_shared_by_those_who_waited_and_tried_again_for_those_who_come_later() {
        let answer = json!({"error": "invalid_grant", "error_description": "Invalid JWT Signature."});
        let (tokens, asked) = endpoint(400, answer).await;
        for failed in join_all((0..8).map(|_| tokens.header())).await {
            let error = failed.unwrap_err();
            assert_eq!(error.cause, Cause::Authentication);
            assert!(error.message.contains("invalid_grant Invalid JWT Signature."), "{}", error.message);
        }
        assert_eq!(asked.load(Ordering::Acquire), 1);
        tokens.header().await.unwrap_err();
        assert_eq!(asked.load(Ordering::Acquire), 2);
    }

    #[tokio::test]
    async fn an_endpoint_that_is_broken_or_says_nothing_is_a_failure_with_its_reason() {
        let (broken, _) = endpoint(503, json!({})).await;
        assert_eq!(broken.header().await.unwrap_err().cause, Cause::Upstream);
        let (silent, _) = endpoint(200, json!({"token_type": "Bearer"})).await;
        assert_eq!(silent.header().await.unwrap_err().cause, Cause::Authentication);
    }
}
