//! One request to one receiver: to an address that was checked as it was looked up, once, without redirects, within bounds.

use std::{error::Error, sync::Arc, time::Duration};

use reqwest::{
    Client, StatusCode,
    header::{HeaderMap, RETRY_AFTER},
    redirect,
};

use shipway_outbound::{Allowed, CheckedLookup, NotPublic, NotReachable, Refused, Target, look_up};

use super::{
    WebhookSettings, WebhookSetupError,
    seal::{SealError, Sealer, signature},
};

/// The greatest part of an answer that is read.
const ANSWER_BYTES: usize = 64 * 1024;
/// The longest wait that a receiver may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(3_600);

/// Who sends: the client, what it may reach, and what opens the secrets.
pub(crate) struct Sender {
    client: Client,
    pub(crate) allowed: Arc<Allowed>,
    pub(crate) sealer: Sealer,
    pub(crate) patience: Duration,
    pub(crate) first_wait: Duration,
}

/// What is sent, and how it is signed.
#[derive(Clone, Copy)]
pub(crate) struct Letter<'a> {
    pub(crate) webhook_id: &'a str,
    pub(crate) url: &'a str,
    pub(crate) sealed_secret: &'a str,
    pub(crate) delivery_id: &'a str,
    pub(crate) body: &'a str,
    /// The moment of sending, in seconds since the epoch.
    pub(crate) seconds: i64,
}

/// What a receiver answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    /// The beginning of the answer.
    pub(crate) body: String,
    /// How long it asks to be left alone.
    pub(crate) wait: Option<Duration>,
}

/// Nothing was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NotSent {
    /// Without the receiver's address, which may be a secret.
    pub(crate) reason: String,
    /// Whether sending it again may help.
    pub(crate) may_pass: bool,
}

impl Answered {
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Whether the receiver may take it later.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(self.status, 408 | 425 | 429 | 500 | 502 | 503 | 504)
    }
}

impl Sender {
    pub(crate) fn new(settings: &WebhookSettings) -> Result<Self, WebhookSetupError> {
        settings.check()?;
        let allowed = Arc::new(Allowed::new(&settings.allowed_hosts, settings.allow_http));
        let client = Client::builder()
            .user_agent(concat!("shipway/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            // A proxy would connect to what it likes, so there is none.
            .no_proxy()
            // Each request looks its host up and is checked: no connection is kept for another one.
            .pool_max_idle_per_host(0)
            .timeout(settings.patience)
            .dns_resolver(Arc::new(CheckedLookup(Arc::clone(&allowed))))
            .build()
            .map_err(|error| WebhookSetupError::Client { reason: chain(&error) })?;
        Ok(Self {
            client,
            allowed,
            sealer: Sealer::new(settings.secret_key.as_deref()),
            patience: settings.patience,
            first_wait: settings.first_wait,
        })
    }

    /// Reads the address of a receiver and looks its host up, so that one which cannot be reached is refused when it is set.
    pub(crate) async fn check(&self, url: &str) -> Result<(), String> {
        let Target { host, is_allowed, .. } = self.allowed.target(url).map_err(refused)?;
        let found = tokio::time::timeout(self.patience, look_up(&host, is_allowed)).await;
        let found = found.map_err(|_| format!("Cannot resolve Webhook URL hostname '{host}' in time"))?;
        found.map(drop).map_err(not_reachable)
    }

    /// Sends once.
    pub(crate) async fn send(&self, letter: Letter<'_>) -> Result<Answered, NotSent> {
        let refuse = |reason: String| NotSent { reason, may_pass: false };
        let target = self.allowed.target(letter.url).map_err(|why| refuse(refused(why)))?;
        let secret = self.sealer.open(letter.webhook_id, letter.sealed_secret);
        let secret = secret.map_err(|error: SealError| refuse(error.to_string()))?;
        let mut request = self
            .client
            .post(target.url)
            .header("content-type", "application/json")
            .header("X-MLflow-Delivery-Id", letter.delivery_id)
            .header("X-MLflow-Timestamp", letter.seconds.to_string());
        if let Some(secret) = secret {
            let signed = signature(&secret, letter.delivery_id, letter.seconds, letter.body);
            request = request.header("X-MLflow-Signature", signed);
        }
        let mut response = request.body(letter.body.to_owned()).send().await.map_err(not_sent)?;
        let status = response.status();
        let wait = retry_after(status, response.headers());
        let mut body = Vec::new();
        // What is beyond the bound, or breaks off, is of no interest: the receiver has answered.
        while body.len() < ANSWER_BYTES {
            match response.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) | Err(_) => break,
            }
        }
        body.truncate(ANSWER_BYTES);
        let body = String::from_utf8_lossy(&body).into_owned();
        Ok(Answered { status: status.as_u16(), body, wait })
    }
}

fn retry_after(status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    if !matches!(status.as_u16(), 429 | 503) {
        return None;
    }
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_WAIT))
}

fn not_sent(error: reqwest::Error) -> NotSent {
    let error = error.without_url();
    let mut source: Option<&(dyn Error + 'static)> = Some(&error);
    while let Some(inner) = source {
        if let Some(NotReachable::NotPublic(found)) = inner.downcast_ref() {
            return NotSent { reason: not_public(found), may_pass: false };
        }
        source = inner.source();
    }
    NotSent { reason: chain(&error), may_pass: true }
}

fn chain(error: &reqwest::Error) -> String {
    shipway_core::failure::chain(error)
}

/// Why a receiver's address may not be one, as MLflow says it.
fn refused(why: Refused) -> String {
    match why {
        Refused::Unreadable(error) => format!("Invalid webhook URL: {error}"),
        Refused::Scheme { scheme, taken } => {
            format!("Invalid webhook URL scheme: '{scheme}'. Allowed schemes are: {taken}.")
        }
        Refused::Credentials => "Webhook URL must not include credentials".to_owned(),
        Refused::NoHost => "Webhook URL must include a hostname".to_owned(),
        Refused::NotPublic(found) => not_public(&found),
    }
}

fn not_reachable(why: NotReachable) -> String {
    match why {
        NotReachable::NotPublic(found) => not_public(&found),
        NotReachable::Unknown { host, reason } => {
            format!("Cannot resolve Webhook URL hostname '{host}': {reason}")
        }
    }
}

fn not_public(NotPublic { host, address }: &NotPublic) -> String {
    format!("Webhook URL must not resolve to a non-public IP address: '{host}' resolves to {address}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_client_refuses_what_a_name_turned_out_to_be() {
        let settings = WebhookSettings { allow_http: true, ..WebhookSettings::default() };
        let sender = Sender::new(&settings).unwrap();
        let letter = Letter {
            webhook_id: "w-1",
            url: "http://localhost:9/hush",
            sealed_secret: "",
            delivery_id: "d-1",
            body: "{}",
            seconds: 1,
        };
        let refused = sender.send(letter).await.unwrap_err();
        assert!(!refused.may_pass && refused.reason.contains("non-public"), "{}", refused.reason);
        assert!(!refused.reason.contains("hush"), "{}", refused.reason);
    }

    #[test]
    fn a_receiver_may_ask_for_a_wait_within_bounds() {
        let headers = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, value.parse().unwrap());
            headers
        };
        let wait = |status, value| retry_after(status, &headers(value));
        assert_eq!(wait(StatusCode::TOO_MANY_REQUESTS, "7"), Some(Duration::from_secs(7)));
        assert_eq!(wait(StatusCode::SERVICE_UNAVAILABLE, "9999999"), Some(LONGEST_WAIT));
        assert_eq!(wait(StatusCode::OK, "7"), None);
        assert_eq!(wait(StatusCode::TOO_MANY_REQUESTS, "Wed, 21 Oct 2026 07:28:00 GMT"), None);
    }

    #[test]
    fn settings_that_cannot_be_used_are_refused() {
        let weak = WebhookSettings { secret_key: Some("short".into()), ..WebhookSettings::default() };
        assert!(matches!(Sender::new(&weak), Err(WebhookSetupError::WeakKey { length: 5 })));
        assert!(!format!("{weak:?}").contains("short"));
    }
}
