//! Writes the blocks of Converse.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use shipway_core::Digest;

use crate::head::BadRequest;
use crate::translate::form::{Medium, MediumKind, Origin, Part, PartKind, Source};
use crate::translate::messages::blocks_out::input;
use crate::translate::policy::{Judge, refusal};

/// The longest id of a call and the longest name of a tool.
const LONGEST_NAME: usize = 64;
/// The longest name of a document.
const LONGEST_TITLE: usize = 200;

/// Writes blocks, and keeps account of what must not come twice.
pub(super) struct Blocks<'j> {
    pub(super) judge: &'j mut Judge,
    /// The names that documents have so far: two of one name are refused there.
    titles: Vec<String>,
}

impl<'j> Blocks<'j> {
    pub(super) const fn new(judge: &'j mut Judge) -> Self {
        Self { judge, titles: Vec::new() }
    }

    /// Blocks of a message, with a cache point behind each that ends a part of the prompt to be kept.
    pub(super) fn content(&mut self, parts: Vec<Part>) -> Result<Vec<Value>, BadRequest> {
        let mut blocks = Vec::with_capacity(parts.len());
        for part in parts {
            let cache = part.cache.as_ref().map(cache_point);
            if let Some(block) = self.block(part)? {
                blocks.push(block);
                blocks.extend(cache);
            }
        }
        Ok(blocks)
    }

    fn block(&mut self, part: Part) -> Result<Option<Value>, BadRequest> {
        let Part { kind, path, .. } = part;
        Ok(Some(match kind {
            PartKind::Text(text) | PartKind::Refusal(text) => json!({"text": text}),
            PartKind::Medium(medium) => self.medium(medium, &path)?,
            PartKind::ToolUse { id, name, arguments } => {
                let input = input(&arguments, &path)?;
                json!({"toolUse": {"toolUseId": call_id(&id), "name": tool_name(name, &path)?, "input": input}})
            }
            PartKind::ToolResult { id, parts, is_error } => {
                let content = self.result(parts)?;
                let status = if is_error { "error" } else { "success" };
                json!({"toolResult": {"toolUseId": call_id(&id), "content": content, "status": status}})
            }
            PartKind::Thinking { text, seal: Some(seal) } if seal.origin == Origin::Anthropic => {
                json!({"reasoningContent": {"reasoningText": {"text": text, "signature": seal.data}}})
            }
            PartKind::Redacted(seal) if seal.origin == Origin::Bedrock => {
                json!({"reasoningContent": {"redactedContent": seal.data}})
            }
            PartKind::Thinking { .. } | PartKind::Redacted(_) => {
                let why = "thoughts without a signature that Bedrock knows are left out: it takes no others";
                self.judge.notes(&path, why);
                return Ok(None);
            }
        }))
    }

    /// What a tool gave. There is no place for a cache point within it, and an empty text is refused.
    fn result(&mut self, parts: Vec<Part>) -> Result<Vec<Value>, BadRequest> {
        let mut blocks = Vec::with_capacity(parts.len());
        for part in parts {
            if part.cache.is_some() {
                self.judge.notes(&part.path, "Bedrock has no cache point within the result of a tool");
            }
            match part.kind {
                PartKind::Text(text) if text.is_empty() => {}
                PartKind::Text(_) | PartKind::Medium(_) => blocks.extend(self.block(part)?),
                _ => return Err(refusal(&part.path, "the result of a tool cannot have this in it")),
            }
        }
        if blocks.is_empty() {
            blocks.push(json!({"json": {}}));
        }
        Ok(blocks)
    }

    fn medium(&mut self, medium: Medium, path: &str) -> Result<Value, BadRequest> {
        let Medium { kind, source, name, detail } = medium;
        if detail.is_some_and(|detail| detail != "auto") {
            self.judge.notes(path, "Bedrock has no detail of an image");
        }
        let (media_type, source) = match source {
            Source::Base64 { media_type, data } => (media_type, json!({"bytes": data})),
            Source::Text(text) => ("text/plain".to_owned(), json!({"bytes": STANDARD.encode(text)})),
            Source::Url(url) if url.starts_with("s3://") => {
                (media_type_of(&url).to_owned(), json!({"s3Location": {"uri": url}}))
            }
            Source::Url(_) => {
                return Err(refusal(path, "Bedrock fetches nothing but s3://…; send the data itself"));
            }
            Source::Id => {
                return Err(refusal(
                    path,
                    "a file that lies at another provider cannot be carried across; send its data",
                ));
            }
        };
        let strange = || refusal(path, format!("Bedrock does not read {media_type} here"));
        Ok(match kind {
            MediumKind::Image => {
                let format = image_format(&media_type).ok_or_else(strange)?;
                json!({"image": {"format": format, "source": source}})
            }
            MediumKind::Document => {
                let format = document_format(&media_type).ok_or_else(strange)?;
                let title = self.title(name.as_deref().unwrap_or("document"));
                json!({"document": {"format": format, "name": title, "source": source}})
            }
            MediumKind::Audio => return Err(refusal(path, "sound cannot be carried across to Bedrock")),
        })
    }

    /// The name of a document, of the letters that Converse allows, and unlike those before it.
    fn title(&mut self, name: &str) -> String {
        let name = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        let allowed = |letter: char| {
            if letter.is_ascii_alphanumeric() || "-()[] ".contains(letter) { letter } else { '-' }
        };
        let words: Vec<String> =
            name.split_whitespace().map(|word| word.chars().map(allowed).collect()).collect();
        let mut plain: String = words.join(" ").chars().take(LONGEST_TITLE - 8).collect();
        if plain.is_empty() {
            "document".clone_into(&mut plain);
        }
        let mut title = plain.clone();
        let mut number = 1;
        while self.titles.contains(&title) {
            number += 1;
            title = format!("{plain} ({number})");
        }
        self.titles.push(title.clone());
        title
    }
}

/// A breakpoint as Anthropic writes it, as a cache point.
pub(super) fn cache_point(cache: &Value) -> Value {
    let mut point = json!({"type": "default"});
    if let Some(ttl) = cache.get("ttl").and_then(Value::as_str) {
        point["ttl"] = ttl.into();
    }
    json!({"cachePoint": point})
}

/// Converse takes letters, digits, `_` and `-` in ids, 64 at most; a call and its result come out alike.
fn call_id(id: &str) -> String {
    let allowed = |letter: char| {
        if letter.is_ascii_alphanumeric() || letter == '-' { letter } else { '_' }
    };
    if id.len() > LONGEST_NAME {
        return format!("call_{}", &Digest::of(id).hex()[..40]);
    }
    id.chars().map(allowed).collect()
}

/// A name of a tool as it is, since the answer calls the tool by it.
pub(super) fn tool_name(name: String, path: &str) -> Result<String, BadRequest> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if !name.is_empty() && name.len() <= LONGEST_NAME && name.bytes().all(plain) {
        return Ok(name);
    }
    let why = "the names of tools have letters, digits, _ and - at Bedrock, 64 at most";
    Err(refusal(path, format!("{name:?}: {why}")))
}

fn image_format(media_type: &str) -> Option<&'static str> {
    Some(match media_type {
        "image/png" => "png",
        "image/jpeg" | "image/jpg" => "jpeg",
        "image/gif" => "gif",
        "image/webp" => "webp",
        _ => return None,
    })
}

fn document_format(media_type: &str) -> Option<&'static str> {
    Some(match media_type {
        "application/pdf" => "pdf",
        "text/plain" => "txt",
        "text/markdown" => "md",
        "text/csv" => "csv",
        "text/html" => "html",
        "application/msword" => "doc",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document" => "docx",
        "application/vnd.ms-excel" => "xls",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" => "xlsx",
        _ => return None,
    })
}

/// Of what lies at an address, by how its name ends.
fn media_type_of(url: &str) -> &'static str {
    let end = url.rsplit_once('.').map_or("", |(_, end)| end).to_ascii_lowercase();
    match end.as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "pdf" => "application/pdf",
        "txt" => "text/plain",
        "md" => "text/markdown",
        "csv" => "text/csv",
        "html" => "text/html",
        _ => "",
    }
}
