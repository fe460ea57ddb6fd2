//! What a request says.

use serde_json::Value;

use super::{
    Message, Part,
    parts::{chat_call, parts, response_message, text_at},
};
use crate::dialect::Dialect;

/// The messages of a request, instructions first. None where the body is no JSON.
pub fn asked(dialect: Dialect, body: &[u8]) -> Option<Vec<Message>> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let mut messages = Vec::new();
    let mut says = |role: &str, name: &str| {
        if let Some(content) = body.get(name) {
            push(&mut messages, role, content);
        }
    };
    match dialect {
        Dialect::OpenAiChat => messages.extend(list(&body, "messages").map(chat)),
        Dialect::AnthropicMessages => {
            says("system", "system");
            messages.extend(list(&body, "messages").map(message));
        }
        Dialect::GeminiGenerate => {
            for name in ["systemInstruction", "system_instruction"] {
                if let Some(content) = body.get(name) {
                    push(&mut messages, "system", content.get("parts").unwrap_or(content));
                }
            }
            messages.extend(list(&body, "contents").map(gemini));
        }
        Dialect::OpenAiResponses => {
            says("system", "instructions");
            match body.get("input") {
                Some(Value::Array(items)) => messages.extend(items.iter().map(item)),
                Some(input) => push(&mut messages, "user", input),
                None => {}
            }
        }
        Dialect::OpenAiCompletions => says("user", "prompt"),
        Dialect::OpenAiEmbeddings => says("user", "input"),
        Dialect::GeminiEmbeddings => {
            let one = body.get("content").into_iter();
            let several = list(&body, "requests").filter_map(|request| request.get("content"));
            messages.extend(one.chain(several).map(gemini));
        }
        Dialect::OpenAiMedia => {
            says("system", "instructions");
            says("user", "prompt");
            says("user", "input");
        }
        // What is said over a connection is in no body, and no caller speaks Bedrock's.
        Dialect::OpenAiRealtime
        | Dialect::BedrockConverse
        | Dialect::VertexPredict
        | Dialect::BedrockInvoke => {}
    }
    messages.retain(|message| !message.parts.is_empty());
    Some(messages)
}

fn list<'v>(body: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> {
    body.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn push(messages: &mut Vec<Message>, role: &str, content: &Value) {
    let mut found = Vec::new();
    parts(content, &mut found);
    if !found.is_empty() {
        messages.push(Message { role: role.to_owned(), parts: found, finish_reason: None });
    }
}

fn role_of(value: &Value) -> String {
    text_at(value, "role").unwrap_or("user").to_owned()
}

/// A message of OpenAI's chat; also one that a model wrote, as it stands in an answer.
pub(super) fn chat(value: &Value) -> Message {
    let role = role_of(value);
    let mut found = Vec::new();
    for name in ["reasoning_content", "reasoning"] {
        if let Some(text) = text_at(value, name).filter(|text| !text.is_empty()) {
            found.push(Part::Reasoning { content: text.to_owned() });
        }
    }
    if role == "tool" || role == "function" {
        found.push(response_message(value));
    } else {
        for name in ["content", "refusal"] {
            if let Some(content) = value.get(name) {
                parts(content, &mut found);
            }
        }
    }
    found.extend(list(value, "tool_calls").map(chat_call));
    found.extend(value.get("function_call").filter(|call| call.is_object()).map(chat_call));
    Message { role, parts: found, finish_reason: None }
}

fn message(value: &Value) -> Message {
    let mut found = Vec::new();
    if let Some(content) = value.get("content") {
        parts(content, &mut found);
    }
    Message { role: role_of(value), parts: found, finish_reason: None }
}

/// A content of Gemini's, whose model says `model`.
pub(super) fn gemini(value: &Value) -> Message {
    let mut found = Vec::new();
    if let Some(content) = value.get("parts") {
        parts(content, &mut found);
    }
    let role = text_at(value, "role").unwrap_or("user");
    let role = if role == "model" { "assistant" } else { role };
    Message { role: role.to_owned(), parts: found, finish_reason: None }
}

/// An item of responses: a message, or what stands beside messages.
fn item(value: &Value) -> Message {
    if value.get("role").is_some() {
        return message(value);
    }
    let mut found = Vec::new();
    parts(value, &mut found);
    let is_of_a_tool = text_at(value, "type").is_some_and(|kind| kind.ends_with("_output"));
    let role = match (is_of_a_tool, value) {
        (true, _) => "tool",
        (false, Value::String(_)) => "user",
        (false, _) => "assistant",
    };
    Message { role: role.to_owned(), parts: found, finish_reason: None }
}
