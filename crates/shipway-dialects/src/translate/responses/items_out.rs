//! Writes the items of a request of OpenAI's responses: messages, calls, their results, thoughts.

use serde_json::{Value, json};

use crate::head::BadRequest;
use crate::translate::form::{
    Medium, MediumKind, Origin, Part, PartKind, REDACTED, Role, Seal, Source, Turn,
};
use crate::translate::policy::{Judge, refusal};

const NO_BREAKPOINTS: &str = "OpenAI caches by itself";

pub(in crate::translate) fn items(turns: Vec<Turn>, judge: &mut Judge) -> Result<Vec<Value>, BadRequest> {
    let mut items = Vec::new();
    for Turn { role, parts } in turns {
        // What is said one after the other is one message.
        let mut said = Vec::new();
        for part in parts {
            if part.cache.is_some() {
                judge.notes("cache_control", NO_BREAKPOINTS);
            }
            match (role, item(part, judge)?) {
                (_, Written::Nothing) => {}
                (_, Written::Content(content)) => said.push(content),
                (Role::User, Written::Item(item)) => items.push(item),
                (Role::Assistant, Written::Item(item)) => {
                    flush(role, &mut said, &mut items);
                    items.push(item);
                }
            }
        }
        flush(role, &mut said, &mut items);
    }
    Ok(items)
}

/// What a part becomes: an item of its own, a part of a message, or nothing.
enum Written {
    Item(Value),
    Content(Value),
    Nothing,
}

fn flush(role: Role, said: &mut Vec<Value>, items: &mut Vec<Value>) {
    let said = std::mem::take(said);
    if said.is_empty() {
        return;
    }
    items.push(match role {
        Role::User => json!({"role": "user", "content": alone(said)}),
        Role::Assistant => {
            let texts = said.iter().filter_map(|part| part.get("text").and_then(Value::as_str));
            json!({"role": "assistant", "content": texts.collect::<String>()})
        }
    });
}

/// A text that stands alone is written as one.
fn alone(mut parts: Vec<Value>) -> Value {
    match parts.as_mut_slice() {
        [only] if only["type"] == "input_text" => only["text"].take(),
        _ => parts.into(),
    }
}

fn item(part: Part, judge: &mut Judge) -> Result<Written, BadRequest> {
    let Part { kind, path, .. } = part;
    Ok(match kind {
        PartKind::Text(text) | PartKind::Refusal(text) => {
            Written::Content(json!({"type": "input_text", "text": text}))
        }
        PartKind::Medium(medium) => Written::Content(medium_part(medium, &path, judge)?),
        PartKind::ToolUse { id, name, arguments } => {
            let arguments = if arguments.trim().is_empty() { "{}" } else { &arguments };
            Written::Item(
                json!({"type": "function_call", "call_id": id, "name": name, "arguments": arguments}),
            )
        }
        PartKind::ToolResult { id, parts, is_error } => {
            if is_error {
                judge.notes(&path, "OpenAI does not mark a result as an error; its text says so");
            }
            let output = result(parts, judge)?;
            Written::Item(json!({"type": "function_call_output", "call_id": id, "output": output}))
        }
        PartKind::Thinking { text, seal: Some(Seal { origin: Origin::Responses, data }) } => {
            Written::Item(thought(&text, &data))
        }
        PartKind::Redacted(Seal { origin: Origin::Responses, data }) => {
            Written::Item(thought("", &format!("{REDACTED}{data}")))
        }
        PartKind::Thinking { seal: None, .. } => {
            judge.notes(&path, "thoughts go back to OpenAI's responses only as they sealed them");
            Written::Nothing
        }
        PartKind::Thinking { .. } | PartKind::Redacted(_) => {
            judge.notes(&path, "thoughts that another provider signed are left out");
            Written::Nothing
        }
    })
}

fn thought(text: &str, sealed: &str) -> Value {
    let summary = if text.is_empty() { json!([]) } else { json!([{"type": "summary_text", "text": text}]) };
    json!({"type": "reasoning", "summary": summary, "encrypted_content": sealed})
}

/// What a tool gave: a text where it is one, else its parts.
fn result(parts: Vec<Part>, judge: &mut Judge) -> Result<Value, BadRequest> {
    if parts.is_empty() {
        return Ok("".into());
    }
    let mut written = Vec::with_capacity(parts.len());
    for part in parts {
        let path = part.path.clone();
        match item(part, judge)? {
            Written::Content(content) => written.push(content),
            Written::Item(_) | Written::Nothing => {
                return Err(refusal(&path, "only texts, images and documents can be carried across here"));
            }
        }
    }
    Ok(alone(written))
}

fn medium_part(medium: Medium, path: &str, judge: &mut Judge) -> Result<Value, BadRequest> {
    let Medium { kind, source, name, detail } = medium;
    let detail = detail.unwrap_or_else(|| "auto".to_owned());
    Ok(match (kind, source) {
        (_, Source::Id) => {
            return Err(refusal(
                path,
                "a file that lies at another provider cannot be carried across; send its data",
            ));
        }
        (MediumKind::Image, Source::Url(url)) => {
            json!({"type": "input_image", "image_url": url, "detail": detail})
        }
        (MediumKind::Image, Source::Base64 { media_type, data }) => {
            json!({"type": "input_image", "image_url": format!("data:{media_type};base64,{data}"), "detail": detail})
        }
        (MediumKind::Document, Source::Base64 { media_type, data }) => {
            let name = name.unwrap_or_else(|| "document.pdf".to_owned());
            json!({"type": "input_file", "filename": name, "file_data": format!("data:{media_type};base64,{data}")})
        }
        (MediumKind::Document, Source::Url(url)) => json!({"type": "input_file", "file_url": url}),
        (MediumKind::Document, Source::Text(text)) => {
            judge.notes(path, "OpenAI's responses have no documents of text; it is a part of the message");
            json!({"type": "input_text", "text": text})
        }
        (MediumKind::Audio, _) | (MediumKind::Image, Source::Text(_)) => {
            return Err(refusal(path, "OpenAI's responses take no sound; this cannot be carried across"));
        }
    })
}
