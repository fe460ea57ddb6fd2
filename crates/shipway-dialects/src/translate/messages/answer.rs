//! Whole answers of Anthropic's messages.

use serde_json::{Map, Value, json};

use crate::dialect::Dialect;
use crate::failure::{ApiError, Cause};
use crate::finish::Finish;
use crate::head::BadRequest;
use crate::translate::Context;
use crate::translate::fields::Fields;
use crate::translate::form::{Answer, Origin, Part, PartKind};
use crate::translate::messages::blocks_in::block;
use crate::translate::messages::blocks_out::input;
use crate::translate::policy::{Judge, Lossy};
use crate::usage::Usage;

pub(in crate::translate) fn read(body: Value) -> Result<Answer, BadRequest> {
    let mut fields = Fields::of(body, "")?;
    let content = fields.list("content")?.unwrap_or_default();
    // What an answer has beside what is read, such as citations, no other dialect shows.
    let mut judge = Judge::new(Lossy::Drop);
    let blocks = content.into_iter().enumerate();
    let parts = blocks.map(|(index, item)| block(item, format!("content[{index}]"), &mut judge));
    let parts = parts.collect::<Result<Vec<_>, _>>()?;
    let usage = fields.take("usage").and_then(|value| {
        let mut usage = Usage::default();
        usage.take(Dialect::AnthropicMessages, &value).then_some(usage)
    });
    let finish = fields.text("stop_reason")?.map_or(Finish::Stop, |reason| Finish::of_anthropic(&reason));
    let id = fields.text("id")?.unwrap_or_default();
    let stop_sequence = fields.text("stop_sequence")?;
    for known in ["type", "role", "model"] {
        fields.take(known);
    }
    Ok(Answer { id, parts, finish, stop_sequence, usage, rest: fields.rest() })
}

pub(in crate::translate) fn write(answer: Answer, context: &Context<'_>) -> Result<Value, ApiError> {
    let content = answer.parts.into_iter().map(answer_block).collect::<Result<Vec<_>, _>>()?;
    let mut body = Map::new();
    let mut put = |name: &str, value: Value| drop(body.insert(name.to_owned(), value));
    put("id", answer.id.into());
    put("type", "message".into());
    put("role", "assistant".into());
    put("model", context.model.into());
    put("content", content.into());
    put("stop_reason", answer.finish.to_anthropic().into());
    put("stop_sequence", answer.stop_sequence.into());
    let estimate = Usage { input: context.input_tokens, ..Usage::default() };
    put("usage", usage_of(&answer.usage.unwrap_or(estimate)));
    for (name, value) in answer.rest {
        body.entry(name).or_insert(value);
    }
    Ok(Value::Object(body))
}

/// A block of an answer. Thoughts that nobody signed have an empty signature, which clients insist on.
fn answer_block(part: Part) -> Result<Value, ApiError> {
    Ok(match part.kind {
        PartKind::Text(text) | PartKind::Refusal(text) => json!({"type": "text", "text": text}),
        PartKind::Thinking { text, seal } => {
            let signature = seal.map(|seal| seal.to_text(Origin::Anthropic)).unwrap_or_default();
            json!({"type": "thinking", "thinking": text, "signature": signature})
        }
        PartKind::Redacted(seal) => {
            json!({"type": "redacted_thinking", "data": seal.to_text(Origin::Anthropic)})
        }
        PartKind::ToolUse { id, name, arguments } => {
            let input = input(&arguments, "arguments").map_err(|_| {
                ApiError::new(
                    Cause::Upstream,
                    format!("the model calls {name} with arguments that are no JSON object"),
                )
            })?;
            json!({"type": "tool_use", "id": id, "name": name, "input": input})
        }
        PartKind::Medium(_) | PartKind::ToolResult { .. } => {
            return Err(ApiError::new(
                Cause::Upstream,
                "the provider's answer has a part that cannot be translated",
            ));
        }
    })
}

/// Usage in the shape of messages.
pub(in crate::translate) fn usage_of(usage: &Usage) -> Value {
    let written = usage.cache_write.saturating_add(usage.cache_write_long);
    let mut value = json!({
        "input_tokens": usage.input,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": usage.cache_read,
        "output_tokens": usage.output,
    });
    if usage.reasoning > 0 {
        value["output_tokens_details"] = json!({"thinking_tokens": usage.reasoning});
    }
    value
}
