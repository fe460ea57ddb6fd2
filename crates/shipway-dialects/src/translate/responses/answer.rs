//! Whole answers of OpenAI's responses.

use serde_json::{Map, Value, json};

use crate::failure::{ApiError, Cause};
use crate::finish::Finish;
use crate::translate::Context;
use crate::translate::form::{Answer, Origin, Part, PartKind, REDACTED, Seal};
use crate::usage::Usage;

/// What an answer repeats of its request, and what it says where the request said nothing.
const ECHOED: [(&str, &str); 15] = [
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("previous_response_id", "null"),
    ("reasoning", r#"{"effort":null,"summary":null}"#),
    ("service_tier", "\"default\""),
    ("store", "false"),
    ("temperature", "null"),
    ("text", r#"{"format":{"type":"text"}}"#),
    ("tool_choice", "\"auto\""),
    ("tools", "[]"),
    ("top_p", "null"),
    ("truncation", "\"disabled\""),
    ("user", "null"),
];

/// The members of a request of responses that its answer repeats.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Echo(Map<String, Value>);

impl Echo {
    /// Takes them out of a request's body; empty if it cannot be read.
    pub fn of_request(body: &[u8]) -> Self {
        let Ok(Value::Object(mut members)) = serde_json::from_slice(body) else { return Self::default() };
        let taken = ECHOED.iter().filter_map(|(name, _)| members.remove_entry(*name));
        Self(taken.filter(|(_, value)| !value.is_null()).collect())
    }
}

pub(in crate::translate) fn write(answer: Answer, context: &Context<'_>) -> Result<Value, ApiError> {
    let id = response_id(&answer.id);
    let items = answer.parts.into_iter().enumerate().map(|(index, part)| item(part, &id, index));
    let output = items.collect::<Result<Vec<_>, _>>()?;
    let mut body = response(&id, context, &output, Some(&answer.finish), answer.usage.as_ref());
    if let Value::Object(members) = &mut body {
        for (name, value) in answer.rest {
            members.entry(name).or_insert(value);
        }
    }
    Ok(body)
}

/// Clients chain answers by ids that begin so.
pub(in crate::translate) fn response_id(id: &str) -> String {
    if id.starts_with("resp_") { id.to_owned() } else { format!("resp_{id}") }
}

/// The object of an answer, in progress as long as there is no reason to finish.
pub(in crate::translate) fn response(
    id: &str,
    context: &Context<'_>,
    output: &[Value],
    finish: Option<&Finish>,
    usage: Option<&Usage>,
) -> Value {
    let incomplete = match finish {
        Some(Finish::Length | Finish::ContextWindow) => Some("max_output_tokens"),
        Some(Finish::Refusal) if !output.iter().any(refuses) => Some("content_filter"),
        _ => None,
    };
    let status = match (finish, incomplete) {
        (None, _) => "in_progress",
        (Some(_), Some(_)) => "incomplete",
        (Some(_), None) => "completed",
    };
    let mut body = json!({
        "id": id, "object": "response", "created_at": context.created, "status": status, "background": false,
        "error": null, "incomplete_details": incomplete.map(|reason| json!({"reason": reason})),
        "model": context.model, "output": output, "usage": usage.map(usage_of),
    });
    for (name, nothing) in ECHOED {
        let said = context.echo.and_then(|echo| echo.0.get(name)).cloned();
        body[name] = said.unwrap_or_else(|| serde_json::from_str(nothing).unwrap_or_default());
    }
    body
}

fn refuses(item: &Value) -> bool {
    item.pointer("/content/0/type").and_then(Value::as_str) == Some("refusal")
}

/// One part as an item of the output, whole.
fn item(part: Part, id: &str, index: usize) -> Result<Value, ApiError> {
    let name = |prefix: &str| item_id(prefix, id, index);
    Ok(match part.kind {
        PartKind::Text(text) => message(&name("msg"), &text_part(&text), "completed"),
        PartKind::Refusal(text) => {
            message(&name("msg"), &json!({"type": "refusal", "refusal": text}), "completed")
        }
        PartKind::Thinking { text, seal } => reasoning(&name("rs"), &text, seal.as_ref(), false),
        PartKind::Redacted(seal) => reasoning(&name("rs"), "", Some(&seal), true),
        PartKind::ToolUse { id, name: function, arguments } => {
            let arguments = if arguments.trim().is_empty() { "{}" } else { &arguments };
            call(&name("fc"), &id, &function, arguments, "completed")
        }
        PartKind::Medium(_) | PartKind::ToolResult { .. } => {
            return Err(ApiError::new(
                Cause::Upstream,
                "the provider's answer has a part that cannot be translated",
            ));
        }
    })
}

/// An id of an item: unique, and the same each time.
pub(in crate::translate) fn item_id(prefix: &str, response: &str, index: usize) -> String {
    format!("{prefix}_{}_{index}", response.strip_prefix("resp_").unwrap_or(response))
}

pub(in crate::translate) fn text_part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

pub(in crate::translate) fn message(id: &str, part: &Value, status: &str) -> Value {
    json!({"id": id, "type": "message", "status": status, "role": "assistant", "content": [part]})
}

pub(in crate::translate) fn call(
    id: &str,
    call_id: &str,
    name: &str,
    arguments: &str,
    status: &str,
) -> Value {
    json!({"id": id, "type": "function_call", "status": status, "call_id": call_id, "name": name, "arguments": arguments})
}

/// Thoughts, with what proves them in the member that clients give back as it came.
pub(in crate::translate) fn reasoning(id: &str, text: &str, seal: Option<&Seal>, redacted: bool) -> Value {
    let summary = if text.is_empty() { json!([]) } else { json!([{"type": "summary_text", "text": text}]) };
    let mut item = json!({"id": id, "type": "reasoning", "summary": summary});
    if let Some(Seal { origin, data }) = seal {
        let data = if redacted { format!("{REDACTED}{data}") } else { data.clone() };
        item["encrypted_content"] = Seal { origin: *origin, data }.to_text(Origin::Responses).into();
    }
    item
}

/// Usage in the shape of responses.
fn usage_of(usage: &Usage) -> Value {
    let written = usage.cache_write.saturating_add(usage.cache_write_long);
    json!({
        "input_tokens": usage.total_input(),
        "input_tokens_details": {"cached_tokens": usage.cache_read, "cache_write_tokens": written},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.total(),
    })
}
