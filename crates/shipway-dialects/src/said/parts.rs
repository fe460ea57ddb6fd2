//! What a message is made of. The shapes of the dialects differ enough to be told apart, so one reader knows all of them.

use serde_json::Value;

use super::Part;

/// How deep contents are looked into that lie in each other.
const DEEPEST: usize = 16;

pub(super) fn text_at<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    value.get(name)?.as_str()
}

fn owned_at(value: &Value, name: &str) -> Option<String> {
    text_at(value, name).map(str::to_owned)
}

/// The parts of a content: a text, a part, or a list of them.
pub(super) fn parts(value: &Value, out: &mut Vec<Part>) {
    within(value, out, DEEPEST);
}

fn within(value: &Value, out: &mut Vec<Part>, depth: usize) {
    match value {
        Value::String(text) => out.extend(said(text)),
        Value::Array(values) if depth > 0 => values.iter().for_each(|value| within(value, out, depth - 1)),
        Value::Object(_) => out.extend(part(value, depth)),
        _ => {}
    }
}

fn said(text: &str) -> Option<Part> {
    (!text.is_empty()).then(|| Part::Text { content: text.to_owned() })
}

fn thought(text: &str) -> Option<Part> {
    (!text.is_empty()).then(|| Part::Reasoning { content: text.to_owned() })
}

fn part(value: &Value, depth: usize) -> Option<Part> {
    match text_at(value, "type") {
        Some("text" | "input_text" | "output_text" | "summary_text") => said(text_at(value, "text")?),
        Some("refusal") => said(text_at(value, "refusal")?),
        Some("thinking") => thought(text_at(value, "thinking")?),
        Some("reasoning") => {
            let texts = ["summary", "content"].iter().filter_map(|name| value.get(*name));
            thought(&texts.map(|value| plain(value, depth)).collect::<Vec<_>>().join("\n"))
        }
        // They are for the provider's eyes only.
        Some("redacted_thinking") => None,
        Some("tool_use" | "server_tool_use") => Some(call(owned_at(value, "id"), value, "input")),
        Some("function_call" | "mcp_call") => {
            Some(call(owned_at(value, "call_id").or_else(|| owned_at(value, "id")), value, "arguments"))
        }
        Some("custom_tool_call") => Some(call(owned_at(value, "call_id"), value, "input")),
        Some(kind) if kind.ends_with("tool_result") => {
            Some(response(owned_at(value, "tool_use_id"), value.get("content"), depth))
        }
        Some("function_call_output" | "custom_tool_call_output") => {
            Some(response(owned_at(value, "call_id"), value.get("output"), depth))
        }
        Some("image_url" | "input_image" | "image") => Some(media("image", value)),
        Some("input_audio" | "audio") => Some(media("audio", value)),
        Some("document" | "file" | "input_file") => Some(media("document", value)),
        _ => gemini(value, depth),
    }
}

/// A part of Gemini's, which says by its member what it is; else what has no name here.
fn gemini(value: &Value, depth: usize) -> Option<Part> {
    let member = |camel: &str, snake: &str| value.get(camel).or_else(|| value.get(snake));
    if let Some(text) = text_at(value, "text") {
        let thinks = value.get("thought").and_then(Value::as_bool).unwrap_or(false);
        return if thinks { thought(text) } else { said(text) };
    }
    if let Some(called) = member("functionCall", "function_call") {
        return Some(call(owned_at(called, "id"), called, "args"));
    }
    if let Some(answered) = member("functionResponse", "function_response") {
        return Some(response(owned_at(answered, "id"), answered.get("response"), depth));
    }
    if let Some(data) = member("inlineData", "inline_data").or_else(|| member("fileData", "file_data")) {
        let mime_type = text_at(data, "mimeType").or_else(|| text_at(data, "mime_type"));
        let kind = mime_type.and_then(|mime_type| mime_type.split('/').next());
        return Some(media(kind.filter(|kind| *kind != "application").unwrap_or("document"), data));
    }
    Some(Part::Other { content: value.to_string() })
}

fn call(id: Option<String>, value: &Value, arguments: &str) -> Part {
    let arguments = value.get(arguments).map(as_text).unwrap_or_default();
    Part::ToolCall { id, name: owned_at(value, "name").unwrap_or_default(), arguments }
}

/// A call of OpenAI's chat.
pub(super) fn chat_call(value: &Value) -> Part {
    let custom = value.get("custom").map(|custom| call(owned_at(value, "id"), custom, "input"));
    custom.unwrap_or_else(|| call(owned_at(value, "id"), value.get("function").unwrap_or(value), "arguments"))
}

/// What a tool answered.
pub(super) fn response(id: Option<String>, content: Option<&Value>, depth: usize) -> Part {
    Part::ToolCallResponse { id, response: content.map(|content| plain(content, depth)).unwrap_or_default() }
}

/// What a tool answered, in a message of its own.
pub(super) fn response_message(value: &Value) -> Part {
    response(owned_at(value, "tool_call_id"), value.get("content"), DEEPEST)
}

/// The texts of a content, one to a line; of what has none its JSON.
fn plain(value: &Value, depth: usize) -> String {
    let is_content = |value: &Value| text_at(value, "type").is_some();
    match value {
        Value::Array(values) if values.iter().all(is_content) => {
            let mut parts = Vec::new();
            within(value, &mut parts, depth.saturating_sub(1));
            parts.iter().filter_map(Part::text).collect::<Vec<_>>().join("\n")
        }
        value => as_text(value),
    }
}

pub(super) fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        value => value.to_string(),
    }
}

/// What is no text: where it lies, or how long it is.
pub(super) fn media(modality: &str, value: &Value) -> Part {
    let (mut uri, mut bytes) = (None, None);
    find_media(value, DEEPEST, &mut |text| match text.starts_with("http") || text.starts_with("gs:") {
        true => uri = Some(text.to_owned()),
        false => bytes = Some(text.len()),
    });
    Part::Media { modality: modality.to_owned(), uri, bytes }
}

fn find_media(value: &Value, depth: usize, found: &mut impl FnMut(&str)) {
    let Some(members) = value.as_object().filter(|_| depth > 0) else { return };
    for (name, member) in members {
        match (name.as_str(), member) {
            (
                "url" | "image_url" | "file_url" | "fileUri" | "file_uri" | "data" | "file_data" | "b64_json",
                Value::String(text),
            ) => {
                found(text);
            }
            (_, member) => find_media(member, depth - 1, found),
        }
    }
}
