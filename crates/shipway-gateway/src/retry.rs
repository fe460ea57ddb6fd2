//! What is done after an attempt failed. Pure.

use std::time::Duration;

use shipway_dialects::{ApiError, Cause};

use crate::model::Retries;

/// The longest that is waited before one deployment is tried again; whoever asks for more is passed over.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
const FIRST_WAIT: Duration = Duration::from_millis(50);

/// What is done after an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// The same deployment is tried again after a while.
    Again(Duration),
    /// The next one is.
    Next,
    /// Nobody else would answer otherwise.
    GiveUp,
}

/// Judges a failure of a deployment that was tried `tried` times, this one included. `asked` is how long its provider asks to wait.
pub(crate) fn judge(error: &ApiError, tried: u32, retries: &Retries, asked: Option<Duration>) -> Then {
    let most = match error.cause {
        Cause::InvalidRequest
        | Cause::TooLarge
        | Cause::Conflict
        | Cause::ContextWindow
        | Cause::ContentPolicy
        | Cause::Internal => return Then::GiveUp,
        // The secret, the account or the name at this provider is wrong, which says nothing about the next.
        Cause::Authentication | Cause::Permission | Cause::NotFound | Cause::Budget => return Then::Next,
        Cause::RateLimit => retries.rate_limit,
        Cause::Overloaded => retries.overloaded,
        Cause::Timeout => retries.timeout,
        Cause::Upstream if error.upstream_status.is_some() => retries.overloaded,
        Cause::Upstream => retries.connection,
    };
    if tried > most {
        return Then::Next;
    }
    let wait = asked.unwrap_or_else(|| FIRST_WAIT.saturating_mul(1 << tried.min(10)));
    match wait <= LONGEST_WAIT {
        true => Then::Again(wait),
        false if asked.is_none() => Then::Again(LONGEST_WAIT),
        false => Then::Next,
    }
}

/// Whether the failure speaks against the deployment, so that others should be tried before it for a while.
pub(crate) fn blames_deployment(cause: Cause) -> bool {
    match cause {
        Cause::Authentication
        | Cause::Permission
        | Cause::NotFound
        | Cause::Budget
        | Cause::RateLimit
        | Cause::Overloaded
        | Cause::Timeout
        | Cause::Upstream => true,
        Cause::InvalidRequest
        | Cause::TooLarge
        | Cause::Conflict
        | Cause::ContextWindow
        | Cause::ContentPolicy
        | Cause::Internal => false,
    }
}

/// What the caller is told. What a provider says about the gateway's own secret or account is not for them.
pub(crate) fn for_the_caller(error: ApiError) -> ApiError {
    let message = match error.cause {
        Cause::Authentication | Cause::Permission => "the provider refused the credentials of the gateway",
        Cause::NotFound => "the provider does not know the model",
        Cause::Budget => "the account of the gateway at the provider is used up",
        _ => return error,
    };
    ApiError::new(Cause::Upstream, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(cause: Cause, status: Option<u16>) -> ApiError {
        ApiError { upstream_status: status, ..ApiError::new(cause, "no") }
    }

    #[test]
    fn each_cause_has_its_own_retries() {
        let retries = Retries { rate_limit: 0, overloaded: 2, connection: 1, timeout: 0 };
        let then = |cause, status, tried| judge(&failed(cause, status), tried, &retries, None);
        assert_eq!(then(Cause::Overloaded, Some(503), 1), Then::Again(Duration::from_millis(100)));
        assert_eq!(then(Cause::Overloaded, Some(503), 3), Then::Next);
        assert_eq!(then(Cause::Upstream, Some(500), 2), Then::Again(Duration::from_millis(200)));
        assert_eq!(then(Cause::Upstream, None, 2), Then::Next);
        assert_eq!(then(Cause::RateLimit, Some(429), 1), Then::Next);
        assert_eq!(then(Cause::Timeout, None, 1), Then::Next);
        assert_eq!(then(Cause::Authentication, Some(401), 1), Then::Next);
        assert_eq!(then(Cause::InvalidRequest, Some(400), 1), Then::GiveUp);
    }

    #[test]
    fn a_provider_that_asks_for_a_long_wait_is_passed_over() {
        let retries = Retries { rate_limit: 5, ..Retries::default() };
        let error = failed(Cause::RateLimit, Some(429));
        let asked = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(judge(&error, 1, &retries, asked(1)), Then::Again(Duration::from_secs(1)));
        assert_eq!(judge(&error, 1, &retries, asked(30)), Then::Next);
    }

    #[test]
    fn what_a_provider_says_about_our_secret_is_not_passed_on() {
        let shown = for_the_caller(ApiError::new(Cause::Authentication, "incorrect key sk-abc"));
        assert_eq!(shown.cause, Cause::Upstream);
        assert!(!shown.message.contains("sk-abc"));
    }
}
