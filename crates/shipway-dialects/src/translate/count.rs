//! The counting of tokens, across APIs: what would be asked is translated as for an answer, and what counting takes of it is sent.
//!
//! A count is the provider's or there is none: nothing is estimated here.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::dialect::Dialect;
use crate::failure::{ApiError, Cause};
use crate::head::BadRequest;
use crate::translate::policy::{Judge, Lossy, Maker, Options};
use crate::translate::{Translated, can_translate, parse, read, write};

/// What Anthropic counts.
const MESSAGES: [&str; 7] =
    ["model", "messages", "system", "tools", "tool_choice", "thinking", "output_config"];
/// What OpenAI counts.
const RESPONSES: [&str; 8] =
    ["model", "input", "instructions", "tools", "tool_choice", "parallel_tool_calls", "reasoning", "text"];
/// What Bedrock counts.
const CONVERSE: [&str; 4] = ["messages", "system", "toolConfig", "additionalModelRequestFields"];
/// What Google counts.
const GENERATE: [&str; 5] = ["contents", "systemInstruction", "tools", "toolConfig", "generationConfig"];

/// Where what is counted stands in a request to Google.
const WITHIN: &str = "generateContentRequest";

/// Whom a count is asked of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted<'a> {
    /// The dialect of the provider's answers, which its requests for counts are worded in.
    pub dialect: Dialect,
    /// What Google's own API of Gemini calls the model: there the request stands within another one that names it. None at Vertex, and for
    /// all others.
    pub within: Option<&'a str>,
}

/// Whether the counting of a client's dialect can be translated to that of a provider.
pub const fn can_count(from: Dialect, to: Dialect) -> bool {
    can_translate(from, to)
        && !matches!(from, Dialect::OpenAiChat | Dialect::OpenAiCompletions)
        && !matches!(to, Dialect::OpenAiChat)
}

/// Translates a request for a count, as [`request`](crate::translate::request()) does one for an answer. What changes answers and not what
/// is read, such as a temperature, does not count, and is left out.
pub fn count_request(
    from: Dialect,
    to: Counted<'_>,
    call: Option<(&str, bool)>,
    body: &[u8],
    options: &Options,
) -> Result<Translated, BadRequest> {
    let mut body = parse(body)?;
    match (from, &mut body) {
        // The limit of an answer that nobody asks for.
        (Dialect::AnthropicMessages, Value::Object(members)) => {
            members.entry("max_tokens").or_insert_with(|| options.default_max_output_tokens.into());
        }
        (Dialect::GeminiGenerate, Value::Object(members)) => unwrap(members),
        _ => {}
    }
    let mut judge = Judge::new(Lossy::Drop);
    let mut request = read(from, call, body, &mut judge)?;
    request.stream = false;
    request.stop.clear();
    (request.temperature, request.top_p, request.top_k, request.user) = (None, None, None, None);
    for (name, _) in std::mem::take(&mut request.rest) {
        judge.notes(&name, "this member is not counted, and is left out");
    }
    let limit = request.max_output_tokens.is_none();
    let written = write((from, to.dialect), request, options, &mut judge)?;
    if limit {
        // Nobody is told of a limit that is set where none is sent.
        judge.dropped.retain(|dropped| !matches!(&*dropped.field, "max_tokens" | "max_output_tokens"));
    }
    let body = counted(written, to);
    Ok(Translated { body: Bytes::from(body.to_string()), dropped: judge.dropped })
}

/// Google's clients may send what would be asked within another request.
fn unwrap(members: &mut Map<String, Value>) {
    for name in [WITHIN, "generate_content_request"] {
        if let Some(Value::Object(within)) = members.shift_remove(name) {
            members.extend(within);
        }
    }
}

fn counted(written: Value, Counted { dialect, within }: Counted<'_>) -> Value {
    let Value::Object(mut members) = written else { return written };
    let taken: &[&str] = match dialect {
        Dialect::AnthropicMessages => &MESSAGES,
        Dialect::BedrockConverse => &CONVERSE,
        Dialect::GeminiGenerate => &GENERATE,
        _ => &RESPONSES,
    };
    members.retain(|name, _| taken.contains(&name.as_str()));
    match (dialect, within) {
        (Dialect::BedrockConverse, _) => json!({"input": {"converse": members}}),
        (Dialect::GeminiGenerate, Some(model)) => {
            let place = if model.contains('/') { "" } else { "models/" };
            members.shift_insert(0, "model".to_owned(), format!("{place}{model}").into());
            json!({WITHIN: members})
        }
        _ => Value::Object(members),
    }
}

/// Translates a count `from` the provider's dialect `to` the client's. An answer without one is a failure of the provider.
pub fn count_answer(from: Dialect, to: Dialect, body: &[u8]) -> Result<Bytes, ApiError> {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    if value.get("error").is_some_and(|error| !error.is_null()) {
        return Err(ApiError::of_frame(body));
    }
    let count = value.get(name_of(from)).and_then(Value::as_u64);
    let count = count.ok_or_else(|| {
        ApiError::new(Cause::Upstream, "the provider's answer cannot be read: there is no count in it")
    })?;
    let name = name_of(to);
    let written = match to {
        Dialect::OpenAiResponses => json!({"object": "response.input_tokens", name: count}),
        _ => json!({name: count}),
    };
    Ok(Bytes::from(written.to_string()))
}

const fn name_of(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::GeminiGenerate => "totalTokens",
        Dialect::BedrockConverse => "inputTokens",
        _ => "input_tokens",
    }
}

impl Maker {
    /// What Bedrock calls a model where its tokens are counted: the model itself, without the regions of a profile. None where it counts
    /// nothing: it does for Anthropic's models alone, and behind the address of an application's own profile nobody knows which it is.
    pub fn counted_by_bedrock(model: &str) -> Option<&str> {
        let id = model.rsplit_once('/').map_or(model, |(_, id)| id);
        id.find("anthropic.")
            .and_then(|at| id.get(at..))
            .filter(|_| Self::of_bedrock(model) == Self::Anthropic)
    }
}
