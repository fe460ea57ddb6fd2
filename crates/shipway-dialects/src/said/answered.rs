//! What a whole answer says.

use serde_json::Value;

use super::{
    Message, Part,
    asked::{chat, gemini},
    parts::{media, parts, text_at},
};
use crate::dialect::Dialect;

/// The messages of an answer: one, or one for each that was asked for. None where the body is no JSON.
pub fn answered(dialect: Dialect, body: &[u8]) -> Option<Vec<Message>> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let list = |name: &str| body.get(name).and_then(Value::as_array).into_iter().flatten();
    let mut messages: Vec<Message> = match dialect {
        Dialect::OpenAiChat => list("choices").map(choice).collect(),
        Dialect::OpenAiCompletions => list("choices").map(completion).collect(),
        Dialect::AnthropicMessages => {
            vec![assistant(body.get("content"), text_at(&body, "stop_reason"))]
        }
        Dialect::OpenAiResponses => vec![response(&body)],
        Dialect::GeminiGenerate => list("candidates").map(candidate).collect(),
        Dialect::OpenAiMedia => vec![made(&body)],
        // Numbers, which nobody reads; what is said over a connection, which has no answer with an end; and what no caller speaks.
        Dialect::OpenAiEmbeddings
        | Dialect::GeminiEmbeddings
        | Dialect::VertexPredict
        | Dialect::BedrockInvoke
        | Dialect::OpenAiRealtime
        | Dialect::BedrockConverse => Vec::new(),
    };
    messages.retain(|message| !message.parts.is_empty() || message.finish_reason.is_some());
    Some(messages)
}

pub(super) fn assistant(content: Option<&Value>, finish_reason: Option<&str>) -> Message {
    let mut found = Vec::new();
    if let Some(content) = content {
        parts(content, &mut found);
    }
    Message { role: "assistant".to_owned(), parts: found, finish_reason: finish_reason.map(str::to_owned) }
}

fn choice(value: &Value) -> Message {
    let mut message = value.get("message").map(chat).unwrap_or_default();
    message.role = "assistant".to_owned();
    message.finish_reason = text_at(value, "finish_reason").map(str::to_owned);
    message
}

fn completion(value: &Value) -> Message {
    assistant(value.get("text"), text_at(value, "finish_reason"))
}

/// A response: its messages hold contents, everything else is a part of its own.
pub(super) fn response(value: &Value) -> Message {
    let mut message = assistant(None, None);
    for item in value.get("output").and_then(Value::as_array).into_iter().flatten() {
        let content = if text_at(item, "type") == Some("message") { item.get("content") } else { Some(item) };
        if let Some(content) = content {
            parts(content, &mut message.parts);
        }
    }
    let reason = value.get("incomplete_details").and_then(|details| text_at(details, "reason"));
    message.finish_reason = reason.or_else(|| text_at(value, "status")).map(str::to_owned);
    message
}

fn candidate(value: &Value) -> Message {
    let mut message = value.get("content").map(gemini).unwrap_or_default();
    message.role = "assistant".to_owned();
    message.finish_reason = text_at(value, "finishReason").map(str::to_owned);
    message
}

/// Images, and what was heard.
fn made(value: &Value) -> Message {
    let mut message = assistant(value.get("text"), None);
    for image in value.get("data").and_then(Value::as_array).into_iter().flatten() {
        if let Some(prompt) = text_at(image, "revised_prompt") {
            message.parts.push(Part::Text { content: prompt.to_owned() });
        }
        message.parts.push(media("image", image));
    }
    message
}
