//! How the answer of one API is told in the words of another.

use bytes::Bytes;
use shipway_dialects::{
    ApiError, Dialect, Usage,
    translate::{self, Context, Echo, Embedder, Shape, Stream, Untranslatable},
};

use super::Asked;

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// What a model wrote.
    Answer,
    /// How many tokens there are.
    Count,
    /// Embeddings, of a provider that is asked in this way, in this shape.
    Embeddings(Embedder, Shape),
}

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
    pub(super) told: Told,
}

impl Telling {
    /// `call` is its id, and about how many tokens its input has.
    pub(super) fn new(
        (from, told): (Dialect, Told),
        asked: &Asked,
        (call, input_tokens): (&str, u64),
        now: shipway_core::Timestamp,
    ) -> Self {
        let to = asked.api.dialect;
        let echoes = to == Dialect::OpenAiResponses && told == Told::Answer;
        Self {
            from,
            to,
            model: asked.head.model.clone(),
            created: u64::try_from(now.0 / 1_000_000).unwrap_or(0),
            input_tokens,
            stream_usage: asked.head.stream_usage,
            call: call.to_owned(),
            echo: echoes.then(|| Echo::of_request(&asked.body)),
            told,
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

    /// A whole answer; of embeddings see [`Self::embeddings`].
    pub(super) fn whole(&self, body: &[u8]) -> Result<Bytes, ApiError> {
        match self.told {
            Told::Count => translate::count_answer(self.from, self.to, body),
            Told::Answer | Told::Embeddings(..) => {
                translate::answer(self.from, self.to, body, &self.context())
            }
        }
    }

    /// The answers to all requests of a call for embeddings, which used this together, where that is known.
    pub(super) fn embeddings(
        &self,
        (embedder, shape): (Embedder, Shape),
        bodies: &[Bytes],
        usage: Option<Usage>,
    ) -> Result<Bytes, ApiError> {
        translate::embed_answer(embedder, self.to, (bodies, shape), usage, &self.context())
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
