//! How the answer of one API is told in the words of another.

use bytes::Bytes;
use shipway_dialects::{
    ApiError, Dialect,
    translate::{self, Context, Echo, Stream, Untranslatable},
};

use super::Asked;

/// What is needed to tell an answer to its caller.
#[derive(Debug)]
pub(super) struct Telling {
    /// What the provider speaks.
    from: Dialect,
    /// What the caller does.
    to: Dialect,
    /// The model by the name that the caller asked for.
    model: String,
    /// Seconds since 1970.
    created: u64,
    input_tokens: u64,
    stream_usage: bool,
    call: String,
    echo: Option<Echo>,
}

impl Telling {
    /// `call` is its id, and about how many tokens its input has.
    pub(super) fn new(
        from: Dialect,
        asked: &Asked,
        (call, input_tokens): (&str, u64),
        now: shipway_core::Timestamp,
    ) -> Self {
        let to = asked.api.dialect;
        let echoes = to == Dialect::OpenAiResponses;
        Self {
            from,
            to,
            model: asked.head.model.clone(),
            created: u64::try_from(now.0 / 1_000_000).unwrap_or(0),
            input_tokens,
            stream_usage: asked.head.stream_usage,
            call: call.to_owned(),
            echo: echoes.then(|| Echo::of_request(&asked.body)),
        }
    }

    pub(super) fn context(&self) -> Context<'_> {
        Context {
            model: &self.model,
            created: self.created,
            input_tokens: self.input_tokens,
            stream_usage: self.stream_usage,
            request_id: Some(&self.call),
            echo: self.echo.as_ref(),
        }
    }

    /// A whole answer.
    pub(super) fn whole(&self, body: &[u8]) -> Result<Bytes, ApiError> {
        translate::answer(self.from, self.to, body, &self.context())
    }

    /// A failure.
    pub(super) fn failure(&self, error: &ApiError) -> (u16, Bytes) {
        (error.status(self.to), error.body(self.to, Some(&self.call)))
    }

    /// A stream at its beginning.
    pub(super) fn stream(&self) -> Result<Stream, Untranslatable> {
        Stream::new(self.from, self.to)
    }
}
