//! How each provider reads a request, and words an answer, a stream and an error.
//!
//! - `openai/`, `anthropic/`, `gemini/`, `bedrock/`: the dialects
//! - `counts`, `vectors`: the counting of tokens, and embeddings, of all of them
//! - `sse`, `event_stream`: events as the bytes of a stream

pub(crate) mod anthropic;
pub(crate) mod bedrock;
pub(crate) mod counts;
pub(crate) mod event_stream;
pub(crate) mod gemini;
pub(crate) mod openai;
pub(crate) mod sse;
pub(crate) mod vectors;

use crate::script::{ErrorKind, Failure};

/// Who is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum House {
    OpenAi,
    Anthropic,
    Gemini,
    Bedrock,
}

/// The moment at which everything was created, in seconds: answers must not depend on the clock.
pub(crate) const CREATED: u64 = 1_767_225_600;

/// The status of an error, where the script gives none.
pub(crate) const fn status_of(house: House, kind: ErrorKind) -> u16 {
    match (house, kind) {
        (House::Bedrock, ErrorKind::Auth) => return 403,
        (House::Bedrock, ErrorKind::Timeout) => return 408,
        (House::Bedrock, ErrorKind::Quota) => return 400,
        _ => {}
    }
    match kind {
        ErrorKind::Invalid | ErrorKind::Context | ErrorKind::ContentPolicy => 400,
        ErrorKind::Auth => 401,
        ErrorKind::Permission => 403,
        ErrorKind::NotFound => 404,
        ErrorKind::TooLarge => 413,
        ErrorKind::RateLimit | ErrorKind::Quota => 429,
        ErrorKind::Server => 500,
        ErrorKind::BadGateway => 502,
        ErrorKind::Unavailable => 503,
        ErrorKind::Overloaded => match house {
            House::Anthropic => 529,
            House::OpenAi | House::Gemini | House::Bedrock => 503,
        },
        ErrorKind::Timeout => match house {
            House::OpenAi => 408,
            House::Anthropic | House::Gemini | House::Bedrock => 504,
        },
    }
}

/// The error that a script asks for.
pub(crate) fn scripted(failure: &Failure) -> Option<ErrorKind> {
    failure.kind.or_else(|| failure.status.filter(|status| *status >= 400).map(ErrorKind::of_status))
}
