//! What a gateway needs of a request, read in one walk over its bytes.

mod anthropic;
mod bedrock;
mod form;
mod gemini;
mod media;
mod openai;
mod preferences;

use std::ops::Range;

use crate::dialect::{Dialect, Family};
use crate::json::{NotJson, Reader};

pub use form::{FormField, form_fields};
pub(crate) use preferences::without_member;
pub use preferences::{MaxPrice, Preferences, SortBy, take_preferences};

/// How many bytes of a request are taken for one token where nothing better is known.
const BYTES_PER_TOKEN: u64 = 4;

/// What an image, a sound or a document is taken for, in tokens, where nothing better is known.
const TOKENS_PER_MEDIUM: u64 = 1_000;

/// The head of a request: what decides its way, and what it may cost.
///
/// A member that comes twice counts as its last, which is how the parsers of providers read it; a model that is
/// replaced is replaced in every place, so that a parser which takes the first is not talked into another one.
/// Members that are not known are left alone. A known member of a strange type counts as absent: to judge it is up to
/// the provider.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Head {
    /// The model that is asked for. Empty only for Google's and Bedrock's APIs, where the path says it.
    pub model: String,
    /// Whether the answer shall be streamed. Always false for Gemini, where the path says it.
    pub stream: bool,
    /// The most tokens that one answer may have, if the request says so.
    pub max_output_tokens: Option<u64>,
    /// How many answers are asked for and charged; at least 1.
    pub choices: u64,
    /// Whether the client wants usage at the end of its stream; where a dialect always says usage, true.
    pub stream_usage: bool,
    /// Who the client says its user is.
    pub user: Option<String>,
    /// What the client calls the requests that begin alike: OpenAI's `prompt_cache_key`.
    pub session: Option<String>,
    /// What the client says about the request, in OpenAI's member `metadata`: names and values.
    pub metadata: Vec<(String, String)>,
    /// The prompt that a response is made from, in OpenAI's member `prompt`: its id, and behind `@` its version.
    pub prompt: Option<String>,
    /// Which providers the client wishes for, in the member `provider`; it is for the gateway, not for a provider.
    pub preferences: Option<Preferences>,
    /// The answer that this request goes on from.
    pub previous_response: Option<String>,
    /// The provider is to keep the answer, for calls that go on from it: responses, unless they say otherwise.
    pub is_kept: bool,
    /// The tier of service that is asked for, such as `flex`.
    pub service_tier: Option<String>,
    /// The request has tools.
    pub tools: bool,
    /// The request has images, sounds or documents in it: how many.
    pub media: u64,
    /// The bytes of files that come with a form.
    pub media_bytes: u64,
    /// It is a form, not JSON.
    pub is_form: bool,
    /// The answer must be JSON, or JSON of a schema.
    pub structured_output: bool,
    /// The request asks for reasoning in one of its forms.
    pub reasoning: bool,
    /// The bytes that the model is to read, without those of media.
    pub input_bytes: u64,
    pub(crate) places: Places,
}

/// Where in the body the things are that may be replaced.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Places {
    /// The values of `model`, each with its quotes; those of a form have none.
    pub(crate) models: Vec<Range<usize>>,
    /// The value of `stream_options`.
    pub(crate) stream_options: Option<StreamOptions>,
    /// Where the body's object closes.
    pub(crate) closes: usize,
    /// The member `provider`, from its name to the end of its value.
    pub(crate) preferences: Option<Range<usize>>,
}

/// What `stream_options` is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StreamOptions {
    /// `null`, as good as absent.
    Null(Range<usize>),
    /// An object, and within it the value of `include_usage`.
    Object(Range<usize>, Option<Range<usize>>),
    /// Something that the provider will refuse.
    Strange,
}

/// Why a request cannot be read. Each is the client's to mend: status 400.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRequest {
    /// The body is not JSON.
    #[error("the request's body cannot be read: {0}")]
    NotJson(#[from] NotJson),
    /// The body is JSON, but no object.
    #[error("the request's body is not a JSON object")]
    NotAnObject,
    /// There is no `model`.
    #[error("the request names no model")]
    NoModel,
    /// A member has a value that the dialect cannot mean.
    #[error("{field}: {problem}")]
    Field {
        /// The member, as a path.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl BadRequest {
    /// The member to name to the client, if it is one.
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::NoModel => Some("model"),
            Self::Field { field, .. } => Some(field),
            Self::NotJson(_) | Self::NotAnObject => None,
        }
    }
}

impl Head {
    /// Reads `body`. Costs one walk over it, and allocates for the few texts that it keeps.
    pub fn read(dialect: Dialect, body: &[u8]) -> Result<Self, BadRequest> {
        let mut reader = Reader::new(body);
        if body.iter().find(|byte| !byte.is_ascii_whitespace()).is_some_and(|byte| *byte != b'{') {
            return Err(BadRequest::NotAnObject);
        }
        let mut head = Self { choices: 1, ..Self::default() };
        let whole = match dialect {
            Dialect::AnthropicMessages => anthropic::read(&mut reader, &mut head),
            Dialect::GeminiGenerate => gemini::read(&mut reader, &mut head),
            Dialect::GeminiEmbeddings => gemini::read_embeddings(&mut reader, &mut head),
            Dialect::BedrockConverse | Dialect::VertexPredict | Dialect::BedrockInvoke => {
                bedrock::read(&mut reader, &mut head)
            }
            Dialect::OpenAiChat
            | Dialect::OpenAiCompletions
            | Dialect::OpenAiResponses
            | Dialect::OpenAiEmbeddings
            | Dialect::OpenAiMedia
            | Dialect::OpenAiRealtime => openai::read(dialect, &mut reader, &mut head),
        }?;
        reader.finish()?;
        head.places.closes = whole.end - 1;
        head.choices = head.choices.max(1);
        let is_said_by_path = matches!(dialect.family(), Family::Gemini | Family::Bedrock);
        if head.model.is_empty() && !is_said_by_path {
            return Err(BadRequest::NoModel);
        }
        Ok(head)
    }

    /// About how many tokens the input has, by its bytes; never zero. Good enough to reserve money and to say
    /// something other than zero before the provider has counted; never what is charged.
    pub fn estimated_input_tokens(&self) -> u64 {
        self.input_bytes
            .div_ceil(BYTES_PER_TOKEN)
            .saturating_add(self.media.saturating_mul(TOKENS_PER_MEDIUM))
            .max(1)
    }

    fn read_model(&mut self, value: &mut Reader<'_>) -> Result<(), NotJson> {
        let start = *value;
        let range = value.skip()?;
        if let Some(model) = { start }.text_or_skip()? {
            self.model = model.into_owned();
            self.places.models.push(range);
        } else {
            self.model.clear();
        }
        Ok(())
    }

    /// Counts a value that the model reads as a whole, such as a list of tools.
    fn read_input(&mut self, value: &mut Reader<'_>) -> Result<(), NotJson> {
        let range = value.skip()?;
        self.input_bytes = self.input_bytes.saturating_add(range.len() as u64);
        Ok(())
    }
}
