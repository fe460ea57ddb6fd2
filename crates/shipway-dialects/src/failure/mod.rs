//! What goes wrong at a provider, in one vocabulary: read from one dialect, written in another.

mod limits;
mod read;
mod write;

use std::time::Duration;

pub use limits::{Limit, RateLimits, retry_after, retry_headers};

/// The longest message that is taken over from a provider, in bytes.
pub(crate) const LONGEST_MESSAGE: usize = 8 * 1024;

/// Why a call failed. It decides whether another attempt makes sense, and what the client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The request is wrong, and will be wrong again.
    InvalidRequest,
    /// The key is missing or wrong.
    Authentication,
    /// The account has nothing left to spend, here or at the provider.
    Budget,
    /// The key may not do this.
    Permission,
    /// There is no such model or thing.
    NotFound,
    /// Something else is happening to the same thing.
    Conflict,
    /// The body is too large.
    TooLarge,
    /// Too many requests or tokens in a time.
    RateLimit,
    /// The input and what may be written do not fit into the model's context.
    ContextWindow,
    /// A filter of the provider refused the input or the output.
    ContentPolicy,
    /// The provider has too much to do.
    Overloaded,
    /// The provider did not answer in time.
    Timeout,
    /// The provider broke: an error of its own, an answer that cannot be read, a connection or stream that was cut.
    Upstream,
    /// The gateway broke.
    Internal,
}

impl Cause {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::InvalidRequest,
        Self::Authentication,
        Self::Budget,
        Self::Permission,
        Self::NotFound,
        Self::Conflict,
        Self::TooLarge,
        Self::RateLimit,
        Self::ContextWindow,
        Self::ContentPolicy,
        Self::Overloaded,
        Self::Timeout,
        Self::Upstream,
        Self::Internal,
    ];

    /// The name in configuration, logs and metrics, such as `rate_limit`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::Authentication => "authentication",
            Self::Budget => "budget",
            Self::Permission => "permission",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::TooLarge => "too_large",
            Self::RateLimit => "rate_limit",
            Self::ContextWindow => "context_window",
            Self::ContentPolicy => "content_policy",
            Self::Overloaded => "overloaded",
            Self::Timeout => "timeout",
            Self::Upstream => "upstream",
            Self::Internal => "internal",
        }
    }

    /// Whether the very same request may succeed later or elsewhere under the same rules. A context window or a
    /// content policy may be another one elsewhere, which is a choice of its own.
    pub const fn is_transient(self) -> bool {
        matches!(
            self,
            Self::Conflict
                | Self::RateLimit
                | Self::Overloaded
                | Self::Timeout
                | Self::Upstream
                | Self::Internal
        )
    }
}

/// A failure of a call, as it is told from one API to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// Why.
    pub cause: Cause,
    /// In words, for the client.
    pub message: String,
    /// The provider's own code or type, if it gave one.
    pub code: Option<String>,
    /// The member of the request that is wrong.
    pub param: Option<String>,
    /// The status that the provider answered with; `None` if it was said within a stream, or was not said by a
    /// provider.
    pub upstream_status: Option<u16>,
    /// How long to wait before another attempt, where the body says so; headers are read by [`retry_after`].
    pub retry_after: Option<Duration>,
}

impl ApiError {
    /// A failure with its message, and nothing else known.
    pub fn new(cause: Cause, message: impl Into<String>) -> Self {
        Self {
            cause,
            message: message.into(),
            code: None,
            param: None,
            upstream_status: None,
            retry_after: None,
        }
    }

    /// A stream that ended before it was over.
    pub fn truncated() -> Self {
        Self::new(Cause::Upstream, "the provider's stream ended before the answer was complete")
    }
}

impl From<&crate::head::BadRequest> for ApiError {
    fn from(bad: &crate::head::BadRequest) -> Self {
        let mut error = Self::new(Cause::InvalidRequest, bad.to_string());
        error.param = bad.field().map(str::to_owned);
        error
    }
}
