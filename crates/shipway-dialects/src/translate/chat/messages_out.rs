//! Writes the messages of OpenAI's chat.

use serde_json::{Value, json};

use crate::head::BadRequest;
use crate::translate::form::{Medium, MediumKind, Origin, Part, PartKind, Role, Seal, Source, Turn};
use crate::translate::policy::{Judge, refusal};

const NO_BREAKPOINTS: &str = "OpenAI caches by itself";

pub(in crate::translate) fn messages(
    turns: Vec<Turn>,
    written: &mut Vec<Value>,
    judge: &mut Judge,
) -> Result<(), BadRequest> {
    for turn in turns {
        match turn.role {
            Role::User => user(turn.parts, written, judge)?,
            Role::Assistant => written.push(message_of(turn.parts, judge, false)?),
        }
    }
    Ok(())
}

/// Results of tools are messages of their own, before whatever else the user says; images among them go into the
/// user's message, since a result has texts only.
fn user(parts: Vec<Part>, written: &mut Vec<Value>, judge: &mut Judge) -> Result<(), BadRequest> {
    let mut said = Vec::new();
    for part in parts {
        let Part { kind, cache, path } = part;
        if cache.is_some() {
            judge.notes("cache_control", NO_BREAKPOINTS);
        }
        let PartKind::ToolResult { id, parts, is_error } = kind else {
            said.push(Part { kind, cache: None, path });
            continue;
        };
        if is_error {
            judge.notes(&path, "OpenAI does not mark a result as an error; its text says so");
        }
        let (media, rest): (Vec<Part>, Vec<Part>) =
            parts.into_iter().partition(|part| matches!(part.kind, PartKind::Medium(_)));
        if !media.is_empty() {
            judge.notes(&path, "OpenAI's results are texts; images in them follow in the user's message");
        }
        said.extend(media);
        written.push(json!({"role": "tool", "tool_call_id": id, "content": texts(rest, judge)?}));
    }
    if !said.is_empty() {
        written.push(json!({"role": "user", "content": parts_or_text(said, judge)?}));
    }
    Ok(())
}

/// A message of the model's, in a request or, with `whole`, in an answer; an answer's has every member that clients
/// expect.
pub(in crate::translate) fn message_of(
    parts: Vec<Part>,
    judge: &mut Judge,
    whole: bool,
) -> Result<Value, BadRequest> {
    let (mut text, mut refused, mut thought) = (String::new(), String::new(), String::new());
    let (mut calls, mut blocks) = (Vec::new(), Vec::new());
    for part in parts {
        if part.cache.is_some() {
            judge.notes("cache_control", NO_BREAKPOINTS);
        }
        match part.kind {
            PartKind::Text(more) => text.push_str(&more),
            PartKind::Refusal(more) => refused.push_str(&more),
            // What a provider of chat thought goes back to it; what another one signed is of no use there.
            PartKind::Thinking { seal: Some(_), .. } | PartKind::Redacted(_) if !whole => {
                judge.notes(&part.path, "thoughts that another provider signed are left out");
            }
            PartKind::Thinking { text: more, seal } => {
                thought.push_str(&more);
                blocks.extend(seal.map(|seal| thinking_block(&more, &seal)));
            }
            PartKind::Redacted(seal) => blocks.push(redacted_block(&seal)),
            PartKind::ToolUse { id, name, arguments } => {
                let arguments = if arguments.trim().is_empty() { "{}" } else { &arguments };
                calls.push(
                    json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}),
                );
            }
            PartKind::Medium(_) | PartKind::ToolResult { .. } => {
                return Err(refusal(&part.path, "a message of the model has texts and calls only"));
            }
        }
    }
    let content = if text.is_empty() { Value::Null } else { text.into() };
    let mut message = json!({"role": "assistant", "content": content});
    if whole || !refused.is_empty() {
        message["refusal"] = if refused.is_empty() { Value::Null } else { refused.into() };
    }
    if !thought.is_empty() {
        message["reasoning_content"] = thought.into();
    }
    if !blocks.is_empty() {
        message["thinking_blocks"] = blocks.into();
    }
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
    }
    Ok(message)
}

/// A thought with its signature, in the form that clients of gateways give back as it came.
pub(in crate::translate) fn thinking_block(text: &str, seal: &Seal) -> Value {
    json!({"type": "thinking", "thinking": text, "signature": seal.to_text(Origin::Anthropic)})
}

pub(in crate::translate) fn redacted_block(seal: &Seal) -> Value {
    json!({"type": "redacted_thinking", "data": seal.to_text(Origin::Anthropic)})
}

/// Texts alone, as one text: what instructions and results of tools have.
pub(in crate::translate) fn texts(parts: Vec<Part>, judge: &mut Judge) -> Result<Value, BadRequest> {
    let mut texts: Vec<String> = Vec::with_capacity(parts.len());
    for part in parts {
        if part.cache.is_some() {
            judge.notes("cache_control", NO_BREAKPOINTS);
        }
        match part.kind {
            PartKind::Text(text) | PartKind::Refusal(text) => texts.push(text),
            _ => return Err(refusal(&part.path, "only texts can be carried across here")),
        }
    }
    Ok(texts.join("\n\n").into())
}

fn parts_or_text(mut parts: Vec<Part>, judge: &mut Judge) -> Result<Value, BadRequest> {
    if let [Part { kind: PartKind::Text(text), .. }] = parts.as_mut_slice() {
        return Ok(std::mem::take(text).into());
    }
    parts.into_iter().map(|part| user_part(part, judge)).collect::<Result<Vec<_>, _>>().map(Value::from)
}

fn user_part(part: Part, judge: &mut Judge) -> Result<Value, BadRequest> {
    match part.kind {
        PartKind::Text(text) => Ok(json!({"type": "text", "text": text})),
        PartKind::Medium(medium) => medium_part(medium, &part.path, judge),
        _ => Err(refusal(&part.path, "a message of the user has no such part")),
    }
}

fn medium_part(medium: Medium, path: &str, judge: &mut Judge) -> Result<Value, BadRequest> {
    let Medium { kind, source, name, detail } = medium;
    Ok(match (kind, source) {
        (_, Source::Id) => {
            return Err(refusal(
                path,
                "a file that lies at another provider cannot be carried across; send its data",
            ));
        }
        (MediumKind::Image, Source::Url(url)) => image(&url, detail),
        (MediumKind::Image, Source::Base64 { media_type, data }) => {
            image(&format!("data:{media_type};base64,{data}"), detail)
        }
        (MediumKind::Audio, Source::Base64 { media_type, data }) => {
            let format = media_type.rsplit('/').next().unwrap_or_default();
            json!({"type": "input_audio", "input_audio": {"data": data, "format": format}})
        }
        (MediumKind::Document, Source::Base64 { media_type, data }) => {
            let name = name.unwrap_or_else(|| "document.pdf".to_owned());
            json!({"type": "file", "file": {"filename": name, "file_data": format!("data:{media_type};base64,{data}")}})
        }
        (MediumKind::Document, Source::Text(text)) => {
            judge.notes(path, "OpenAI's chat has no documents of text; it is a part of the message");
            json!({"type": "text", "text": text})
        }
        (MediumKind::Document, Source::Url(_)) => {
            return Err(refusal(path, "OpenAI's chat fetches no documents; send the data"));
        }
        (MediumKind::Audio, Source::Url(_)) | (MediumKind::Image | MediumKind::Audio, Source::Text(_)) => {
            return Err(refusal(path, "this cannot be carried across"));
        }
    })
}

fn image(url: &str, detail: Option<String>) -> Value {
    let mut image = json!({"url": url});
    if let Some(detail) = detail {
        image["detail"] = detail.into();
    }
    json!({"type": "image_url", "image_url": image})
}
