//! Writes the blocks of Anthropic's messages.

use serde_json::{Value, json};

use crate::head::BadRequest;
use crate::translate::form::{Medium, MediumKind, Origin, Part, PartKind, Source};
use crate::translate::policy::{Judge, refusal};

/// Blocks of a request. Signatures of other providers are left out with their thoughts: Anthropic would refuse them.
pub(in crate::translate) fn blocks(parts: Vec<Part>, judge: &mut Judge) -> Result<Vec<Value>, BadRequest> {
    let mut blocks = Vec::with_capacity(parts.len());
    for part in parts {
        let Part { kind, cache, path } = part;
        let block = match kind {
            PartKind::Text(text) | PartKind::Refusal(text) => json!({"type": "text", "text": text}),
            PartKind::Medium(medium) => medium_block(medium, &path, judge)?,
            PartKind::ToolUse { id, name, arguments } => {
                json!({"type": "tool_use", "id": plain_id(&id), "name": name, "input": input(&arguments, &path)?})
            }
            PartKind::ToolResult { id, parts, is_error } => {
                let mut block = json!({"type": "tool_result", "tool_use_id": plain_id(&id)});
                let content = self::blocks(parts, judge)?;
                if !content.is_empty() {
                    block["content"] = content.into();
                }
                if is_error {
                    block["is_error"] = true.into();
                }
                block
            }
            PartKind::Thinking { text, seal: Some(seal) } if seal.origin == Origin::Anthropic => {
                json!({"type": "thinking", "thinking": text, "signature": seal.data})
            }
            PartKind::Redacted(seal) if seal.origin == Origin::Anthropic => {
                json!({"type": "redacted_thinking", "data": seal.data})
            }
            PartKind::Thinking { .. } | PartKind::Redacted(_) => {
                judge.notes(&path, "thoughts without Anthropic's signature are left out: it takes no others");
                continue;
            }
        };
        blocks.push(cached(block, cache));
    }
    Ok(blocks)
}

pub(in crate::translate) fn cached(mut block: Value, cache: Option<Value>) -> Value {
    if let Some(cache) = cache {
        block["cache_control"] = cache;
    }
    block
}

/// Anthropic takes letters, digits, `_` and `-` in ids; a call and its result come out alike.
fn plain_id(id: &str) -> String {
    id.chars()
        .map(|letter| if letter.is_ascii_alphanumeric() || letter == '-' { letter } else { '_' })
        .collect()
}

/// The arguments of a call as an object; a model that passes none writes nothing, which is `{}`.
pub(in crate::translate) fn input(arguments: &str, path: &str) -> Result<Value, BadRequest> {
    if arguments.trim().is_empty() {
        return Ok(json!({}));
    }
    match serde_json::from_str(arguments) {
        Ok(Value::Object(members)) => Ok(Value::Object(members)),
        _ => Err(refusal(path, "the arguments of the call are no JSON object")),
    }
}

fn medium_block(medium: Medium, path: &str, judge: &mut Judge) -> Result<Value, BadRequest> {
    if medium.detail.is_some_and(|detail| detail != "auto") {
        judge.notes(path, "Anthropic has no detail of an image");
    }
    let source = match (medium.kind, medium.source) {
        (MediumKind::Audio, _) => return Err(refusal(path, "Anthropic reads no sound")),
        (_, Source::Id) => {
            return Err(refusal(
                path,
                "a file that lies at another provider cannot be carried across; send its data",
            ));
        }
        (_, Source::Url(url)) => json!({"type": "url", "url": url}),
        (MediumKind::Document, Source::Text(text)) => {
            json!({"type": "text", "media_type": "text/plain", "data": text})
        }
        (MediumKind::Document, Source::Base64 { media_type, .. }) if media_type != "application/pdf" => {
            return Err(refusal(
                path,
                format!("Anthropic reads no documents of type {media_type}; send a PDF or text"),
            ));
        }
        (_, Source::Base64 { media_type, data }) => {
            json!({"type": "base64", "media_type": media_type, "data": data})
        }
        (MediumKind::Image, Source::Text(_)) => return Err(refusal(path, "a text is no image")),
    };
    let kind = if medium.kind == MediumKind::Image { "image" } else { "document" };
    let mut block = json!({"type": kind, "source": source});
    if let (MediumKind::Document, Some(name)) = (medium.kind, medium.name) {
        block["title"] = name.into();
    }
    Ok(block)
}
