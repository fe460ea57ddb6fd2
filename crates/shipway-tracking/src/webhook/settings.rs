//! What the operator decides about webhooks.

use std::{borrow::Cow, fmt, time::Duration};

use shipway_core::{Failure, Kind};

/// The least length of a key that secrets are encrypted with.
const KEY_LENGTH: usize = 32;

/// What the operator decides about webhooks. The default is strict: only HTTPS, only public addresses.
#[derive(Clone)]
pub struct WebhookSettings {
    /// Hosts, by name or address, that may be reached although their addresses are private.
    pub allowed_hosts: Vec<String>,
    /// Whether receivers may be reached without encryption.
    pub allow_http: bool,
    /// What secrets are encrypted with before they are kept; without it they are kept as they are.
    pub secret_key: Option<String>,
    /// How long a receiver may take to answer, from the look-up of its name to the end of its answer.
    pub patience: Duration,
    /// The wait before the second attempt; it grows fourfold with each further one.
    pub first_wait: Duration,
}

impl Default for WebhookSettings {
    fn default() -> Self {
        Self {
            allowed_hosts: Vec::new(),
            allow_http: false,
            secret_key: None,
            patience: Duration::from_secs(10),
            first_wait: Duration::from_secs(1),
        }
    }
}

/// Says what is allowed, never the key.
impl fmt::Debug for WebhookSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("WebhookSettings")
            .field("allowed_hosts", &self.allowed_hosts)
            .field("allow_http", &self.allow_http)
            .field("encrypts_secrets", &self.secret_key.is_some())
            .finish_non_exhaustive()
    }
}

/// The settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WebhookSetupError {
    /// The key for secrets is short enough to be guessed.
    #[error("webhooks: the key for secrets has {length} characters; at least {KEY_LENGTH} are needed")]
    WeakKey {
        /// How long it is.
        length: usize,
    },
    /// The client for outgoing requests cannot be made.
    #[error("webhooks: the client for outgoing requests cannot be made: {reason}")]
    Client {
        /// Why not.
        reason: String,
    },
}

impl Failure for WebhookSetupError {
    fn kind(&self) -> Kind {
        match self {
            Self::WeakKey { .. } => Kind::Invalid,
            Self::Client { .. } => Kind::Internal,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::WeakKey { .. } => "tracking.webhook_key_weak",
            Self::Client { .. } => "tracking.webhook_client_failed",
        }
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::WeakKey { .. } => Some("make one with `openssl rand -base64 32`".into()),
            Self::Client { .. } => None,
        }
    }
}

impl WebhookSettings {
    pub(super) fn check(&self) -> Result<(), WebhookSetupError> {
        match self.secret_key.as_ref().map(|key| key.chars().count()) {
            Some(length) if length < KEY_LENGTH => Err(WebhookSetupError::WeakKey { length }),
            _ => Ok(()),
        }
    }
}
