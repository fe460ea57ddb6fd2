//! One dialect in the words of another, through one intermediate form.
//!
//! A request goes from the client's dialect to the provider's, an answer or a stream the other way. Members that
//! nobody here knows go on under their own name; what is known and has no counterpart is refused by name or dropped
//! and reported ([`Lossy`]). Opaque proofs of what a model thought come back to the provider who made them, whatever
//! dialect the client speaks.
//!
//! - `form`: the intermediate form
//! - `fields`: takes members one by one
//! - `policy`: what becomes of what is lost
//! - `chat`, `messages`, `responses`, `gemini`: each dialect ↔ the form; `bedrock`: what providers alone speak; `completions`: what clients
//!   alone do
//! - `chunks`: the frames of streams that chat and completions share
//! - `count`: the counting of tokens
//! - `embeddings`: embeddings, which have a form of their own
//! - `stream`: streams, step by step

mod bedrock;
mod chat;
mod chunks;
mod completions;
mod count;
mod embeddings;
mod fields;
mod form;
mod gemini;
mod messages;
mod policy;
mod responses;
mod stream;

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::dialect::{Dialect, Family};
use crate::failure::{ApiError, Cause};
use crate::head::BadRequest;
use crate::usage::Usage;
use form::Known;
use policy::{Judge, refusal};

pub use count::{Counted, can_count, count_answer, count_request};
pub use embeddings::{
    Embedder, Embedding, MOST_ONE_BY_ONE, Shape, can_embed, embed_answer, embed_request, embed_usage,
};
pub(crate) use gemini::request_in::json_schema;
pub use policy::{Dropped, Lossy, Maker, Options, OutputLimit};
pub use responses::answer::Echo;
pub use stream::Stream;

/// What an answer needs to know of the call that it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Context<'a> {
    /// The model's name as the client knows it.
    pub model: &'a str,
    /// When the answer was begun, in seconds since 1970.
    pub created: u64,
    /// About how many tokens the input has, for what must be said before the provider has counted.
    pub input_tokens: u64,
    /// The client asked for usage at the end of its stream.
    pub stream_usage: bool,
    /// The call's id, which some errors carry.
    pub request_id: Option<&'a str>,
    /// What an answer of responses repeats of its request.
    pub echo: Option<&'a Echo>,
}

/// What a stream's last frames say.
#[derive(Debug, Clone, Copy)]
struct Totals {
    usage: Usage,
}

/// No way from one dialect to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a request of {from} cannot be translated to {to}")]
pub struct Untranslatable {
    /// The client's dialect.
    pub from: Dialect,
    /// The provider's.
    pub to: Dialect,
}

/// A request in the provider's dialect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Translated {
    /// The body to send, with the model's name as the client gave it; [`Head`](crate::Head) and
    /// [`rewrite`](crate::rewrite()) set another one. Gemini's and Bedrock's have none: their paths say the model and whether
    /// the answer is streamed.
    pub body: Bytes,
    /// What was left out or moved on the way.
    pub dropped: Vec<Dropped>,
}

/// Whether requests `from` a client's dialect can go to a provider of dialect `to`, and answers come back.
pub const fn can_translate(from: Dialect, to: Dialect) -> bool {
    let is_asked = matches!(
        to,
        Dialect::OpenAiChat
            | Dialect::OpenAiResponses
            | Dialect::AnthropicMessages
            | Dialect::GeminiGenerate
            | Dialect::BedrockConverse
    );
    let asks = matches!(
        from,
        Dialect::OpenAiChat
            | Dialect::OpenAiCompletions
            | Dialect::OpenAiResponses
            | Dialect::AnthropicMessages
            | Dialect::GeminiGenerate
    );
    asks && is_asked && !is_same(from, to)
}

const fn is_same(one: Dialect, other: Dialect) -> bool {
    one as u8 == other as u8
}

/// Translates a request from the client's dialect to the provider's. Refuses, naming the member, what cannot be
/// carried across. `call` is what the path of a request of Gemini says, model and whether the answer is streamed (see
/// [`gemini_call`](crate::gemini_call)); other dialects say both in the body.
pub fn request(
    from: Dialect,
    to: Dialect,
    call: Option<(&str, bool)>,
    body: &[u8],
    options: &Options,
) -> Result<Translated, BadRequest> {
    if !can_translate(from, to) {
        return Err(refusal("model", Untranslatable { from, to }.to_string()));
    }
    let mut judge = Judge::new(options.lossy);
    let request = read(from, call, parse(body)?, &mut judge)?;
    let written = write((from, to), request, options, &mut judge)?;
    Ok(Translated { body: Bytes::from(written.to_string()), dropped: judge.dropped })
}

/// A request of a client in the intermediate form.
fn read(
    from: Dialect,
    call: Option<(&str, bool)>,
    body: Value,
    judge: &mut Judge,
) -> Result<form::Request, BadRequest> {
    match from {
        Dialect::AnthropicMessages => messages::request_in::read(body, judge),
        Dialect::OpenAiResponses => responses::request_in::read(body, judge),
        Dialect::GeminiGenerate => gemini::request_in::read(body, call.ok_or(BadRequest::NoModel)?, judge),
        Dialect::OpenAiCompletions => completions::request_in::read(body),
        _ => chat::request_in::read(body, judge),
    }
}

/// A request in a provider's dialect.
fn write(
    (from, to): (Dialect, Dialect),
    request: form::Request,
    options: &Options,
    judge: &mut Judge,
) -> Result<Value, BadRequest> {
    match to {
        Dialect::AnthropicMessages => messages::request_out::write(request, from, options, judge),
        Dialect::GeminiGenerate => gemini::request_out::write(request, from, judge),
        Dialect::BedrockConverse => bedrock::request_out::write(request, from, options, judge),
        Dialect::OpenAiResponses => responses::request_out::write(request, from, judge),
        _ => chat::request_out::write(request, from, options, judge),
    }
}

/// Translates a whole answer `from` the provider's dialect `to` the client's. An answer that cannot be read, or has
/// an error in it in spite of its status, is a failure of the provider.
pub fn answer(from: Dialect, to: Dialect, body: &[u8], context: &Context<'_>) -> Result<Bytes, ApiError> {
    let broken = |problem: String| {
        ApiError::new(Cause::Upstream, format!("the provider's answer cannot be read: {problem}"))
    };
    let value: Value = serde_json::from_slice(body).map_err(|error| broken(error.to_string()))?;
    if value.get("error").is_some_and(|error| !error.is_null()) {
        return Err(ApiError::of_frame(body));
    }
    let answer = match from {
        Dialect::AnthropicMessages => messages::answer::read(value),
        Dialect::GeminiGenerate => gemini::answer_in::read(value),
        Dialect::BedrockConverse => bedrock::answer_in::read(value, context.request_id),
        Dialect::OpenAiResponses => responses::answer_in::read(value),
        _ => chat::answer::read(value),
    };
    let answer = answer.map_err(|bad| broken(bad.to_string()))?;
    let written = match to {
        Dialect::AnthropicMessages => messages::answer::write(answer, context),
        Dialect::OpenAiResponses => responses::answer::write(answer, context),
        Dialect::GeminiGenerate => gemini::answer_out::write(answer, context),
        Dialect::OpenAiCompletions => completions::answer::write(answer, context),
        _ => chat::answer::write(answer, context),
    }?;
    Ok(Bytes::from(written.to_string()))
}

fn parse(body: &[u8]) -> Result<Value, BadRequest> {
    serde_json::from_slice(body).map_err(|error| refusal("body", format!("cannot be read: {error}")))
}

/// Members of OpenAI's that chat and responses have in common, so that they go on.
const COMMON: [&str; 8] = [
    "store",
    "metadata",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "verbosity",
];

/// Members that completions and chat have in common beside those.
const OF_CHAT: [&str; 4] = ["frequency_penalty", "presence_penalty", "logit_bias", "seed"];

/// Writes members that nobody here knows into a request of OpenAI's, under their own names.
fn write_rest(body: &mut Map<String, Value>, rest: Map<String, Value>) -> Result<(), BadRequest> {
    if rest.contains_key("n") {
        return Err(refusal("n", "one request gets one answer where it is translated"));
    }
    for (name, value) in rest {
        body.entry(name).or_insert(value);
    }
    Ok(())
}

/// Writes members that only the source knows where the target is of the same family, and judges the others.
fn write_known(
    body: &mut Map<String, Value>,
    known: Vec<Known>,
    (from, to): (Dialect, Dialect),
    judge: &mut Judge,
) -> Result<(), BadRequest> {
    for Known { name, value, loss, why } in known {
        let has = |names: &[&str]| names.contains(&name.as_str());
        let is_common = has(&COMMON) || to == Dialect::OpenAiChat && has(&OF_CHAT);
        if from.family() == to.family() && is_common {
            body.entry(name).or_insert(value);
        } else {
            let whose = match (to, to.family()) {
                (Dialect::OpenAiResponses, _) => "OpenAI's API of responses",
                (_, Family::OpenAi) => "OpenAI's chat",
                (_, Family::Anthropic) => "Anthropic",
                (_, Family::Gemini) => "Gemini",
                (_, Family::Bedrock) => "Bedrock",
            };
            judge.loses(loss, &name, &format!("{whose} {why}"))?;
        }
    }
    Ok(())
}
