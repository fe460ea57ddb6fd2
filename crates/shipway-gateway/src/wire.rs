//! How refusals are written for callers: in the words of the API that they call by, with the headers that its clients obey.

use std::time::Duration;

use axum::{
    body::Body,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use shipway_core::{Failure, Kind, Timestamp};
use shipway_dialects::{ApiError, Cause, Dialect, Family, Limit, RateLimits, retry_headers};
use shipway_web::Problem;

use crate::{
    error::{GatewayError, Thing},
    meter::{Bound, Standing},
};

/// Our own code of a refusal: the APIs have codes of theirs.
pub(crate) const OUR_CODE: &str = "x-shipway-error";
/// What was left out of a call, or changed, for the provider that answers it.
const DROPPED: &str = "x-shipway-dropped";
/// Of so many members at most; the call's record has all.
const MOST_DROPPED: usize = 20;
/// Tells clients whether to send the call again; OpenAI's and Anthropic's obey it.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
/// Who must wait longer than this is not told to try again by itself.
const LONGEST_RETRY_SECONDS: u64 = 120;

impl From<&GatewayError> for ApiError {
    fn from(error: &GatewayError) -> Self {
        let cause = match error {
            GatewayError::Limit { bound: Bound::Budget { .. }, .. } => Cause::Budget,
            GatewayError::NoProvider { .. } | GatewayError::LedgerBehind => Cause::Overloaded,
            _ => cause_of(error.kind()),
        };
        let message = match error.hint() {
            Some(hint) => format!("{error}: {hint}"),
            None => error.to_string(),
        };
        let is_unknown_model = matches!(error, GatewayError::Missing { thing: Thing::Model, .. });
        let code = match error {
            _ if is_unknown_model => "model_not_found",
            // What OpenAI itself says.
            GatewayError::UnknownPrevious { .. } => "previous_response_not_found",
            _ => error.code(),
        };
        let param = match error {
            GatewayError::Missing { thing: Thing::Model, .. }
            | GatewayError::ModelNotAllowed { .. }
            | GatewayError::NoSuchApi { .. } => Some("model"),
            GatewayError::UnknownPrevious { .. } | GatewayError::PreviousElsewhere { .. } => {
                Some("previous_response_id")
            }
            GatewayError::NoneWished { .. } => Some("provider"),
            GatewayError::NotTranslatable(bad) | GatewayError::NotFetched(bad) => bad.field(),
            _ => None,
        };
        Self { code: Some(code.to_owned()), param: param.map(str::to_owned), ..Self::new(cause, message) }
    }
}

fn cause_of(kind: Kind) -> Cause {
    match kind {
        Kind::Invalid => Cause::InvalidRequest,
        Kind::Unauthenticated => Cause::Authentication,
        Kind::Forbidden => Cause::Permission,
        Kind::NotFound => Cause::NotFound,
        Kind::Conflict => Cause::Conflict,
        Kind::TooLarge => Cause::TooLarge,
        Kind::Exhausted => Cause::RateLimit,
        Kind::Unavailable => Cause::Overloaded,
        Kind::Internal => Cause::Internal,
    }
}

/// The answer that says `error`.
pub(crate) fn refuse(
    dialect: Dialect,
    error: &ApiError,
    call: Option<&str>,
    wait: Option<Duration>,
) -> Response {
    let status = StatusCode::from_u16(error.status(dialect)).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, Body::from(error.body(dialect, call))).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(wait) = wait.or(error.retry_after) {
        for (name, value) in retry_headers(dialect, wait) {
            put(headers, name, &value);
        }
    }
    let waits_long = wait.is_some_and(|wait| wait.as_secs() > LONGEST_RETRY_SECONDS);
    if error.cause == Cause::Budget || waits_long {
        headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
    }
    identify(headers, dialect, call);
    response
}

/// The answer that says why the gateway itself refuses.
pub(crate) fn refuse_ours(dialect: Dialect, error: &GatewayError, call: Option<&str>) -> Response {
    if matches!(error.kind(), Kind::Internal | Kind::Unavailable) {
        tracing::error!(code = error.code(), error = %shipway_core::failure::chain(error), "a call could not be served");
    }
    let wait = match error {
        GatewayError::Limit { bound: Bound::Concurrency { .. }, .. } => Some(Duration::from_secs(1)),
        GatewayError::Limit { bound, .. } => bound.free_after_seconds().map(Duration::from_secs),
        _ => None,
    };
    let mut response = refuse(dialect, &ApiError::from(error), call, wait);
    put(response.headers_mut(), OUR_CODE, error.code());
    response
}

/// A problem of the guard or of an extractor, in the words of the API.
pub(crate) fn refuse_problem(dialect: Dialect, problem: &Problem) -> Response {
    let message = match problem.hint() {
        Some(hint) => format!("{}: {hint}", problem.detail()),
        None => problem.detail().to_owned(),
    };
    let error = ApiError {
        code: Some(problem.code().to_owned()),
        ..ApiError::new(cause_of(problem.kind()), message)
    };
    let mut response = refuse(dialect, &error, None, None);
    // What has a status of its own (405, 415) keeps it.
    *response.status_mut() = problem.status();
    put(response.headers_mut(), OUR_CODE, problem.code());
    response
}

/// Says which call it was, under the names that clients know.
pub(crate) fn identify(headers: &mut HeaderMap, dialect: Dialect, call: Option<&str>) {
    let Some(call) = call else { return };
    put(headers, "x-shipway-call", call);
    if dialect.family() == Family::Anthropic {
        put(headers, "request-id", call);
    }
}

/// The limits of the caller's key, under the names of the API.
pub(crate) fn put_limits(
    headers: &mut HeaderMap,
    dialect: Dialect,
    [requests, tokens]: [Option<Standing>; 2],
    now: Timestamp,
) {
    let limit = |standing: Standing| Limit {
        limit: standing.0,
        remaining: standing.1,
        reset: Duration::from_micros(u64::try_from(standing.2).unwrap_or(0)),
    };
    let limits =
        RateLimits { requests: requests.map(limit), tokens: tokens.map(limit), ..RateLimits::default() };
    for (name, value) in limits.headers(dialect, now) {
        put(headers, &name, &value);
    }
}

/// Says which members of the call were left out or changed.
pub(crate) fn put_dropped(headers: &mut HeaderMap, dropped: &[String]) {
    if dropped.is_empty() {
        return;
    }
    let is_plain = |letter: char| letter.is_ascii_graphic() && letter != ',';
    let plain = |field: &String| field.replace(|letter| !is_plain(letter), "?");
    let mut words: Vec<String> = dropped.iter().take(MOST_DROPPED).map(plain).collect();
    if dropped.len() > MOST_DROPPED {
        words.push(format!("and {} more", dropped.len() - MOST_DROPPED));
    }
    put(headers, DROPPED, &words.join(", "));
}

pub(crate) fn put(headers: &mut HeaderMap, name: &str, value: &str) {
    if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) {
        headers.insert(name, value);
    }
}
