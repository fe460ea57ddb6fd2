//! Reads the blocks of Anthropic's messages.

use serde_json::Value;

use crate::head::BadRequest;
use crate::translate::fields::Fields;
use crate::translate::form::{Medium, MediumKind, Origin, Part, PartKind, Seal, Source};
use crate::translate::policy::{Judge, Loss};

/// A text or a list of blocks.
pub(in crate::translate) fn content(
    fields: &mut Fields,
    name: &str,
    judge: &mut Judge,
) -> Result<Vec<Part>, BadRequest> {
    let path = fields.at(name);
    match fields.take(name) {
        None => Ok(Vec::new()),
        Some(Value::String(text)) if text.is_empty() => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![Part::new(PartKind::Text(text), path)]),
        Some(Value::Array(items)) => items
            .into_iter()
            .enumerate()
            .map(|(index, item)| block(item, format!("{path}[{index}]"), judge))
            .collect(),
        Some(_) => Err(fields.wrong(name, "must be a text or a list of blocks")),
    }
}

/// One block of a request or of an answer.
pub(in crate::translate) fn block(value: Value, path: String, judge: &mut Judge) -> Result<Part, BadRequest> {
    let mut fields = Fields::of(value, path.clone())?;
    let cache = fields.take("cache_control");
    let kind = match fields.needs_text("type")?.as_str() {
        "text" => PartKind::Text(fields.needs_text("text")?),
        "image" => medium(&mut fields, MediumKind::Image)?,
        "document" => medium(&mut fields, MediumKind::Document)?,
        "tool_use" => PartKind::ToolUse {
            id: fields.needs_text("id")?,
            name: fields.needs_text("name")?,
            arguments: fields.take("input").map_or_else(|| "{}".to_owned(), |input| input.to_string()),
        },
        "tool_result" => PartKind::ToolResult {
            id: fields.needs_text("tool_use_id")?,
            parts: content(&mut fields, "content", judge)?,
            is_error: fields.flag("is_error")?.unwrap_or(false),
        },
        "thinking" => PartKind::Thinking {
            text: fields.text("thinking")?.unwrap_or_default(),
            seal: fields
                .text("signature")?
                .filter(|signature| !signature.is_empty())
                .map(|signature| Seal::of_text(&signature, Origin::Anthropic)),
        },
        "redacted_thinking" => {
            PartKind::Redacted(Seal::of_text(&fields.needs_text("data")?, Origin::Anthropic))
        }
        other => {
            return Err(
                fields.wrong("type", format!("`{other}` is Anthropic's alone; it cannot be carried across"))
            );
        }
    };
    if let Some(citations) = fields.take("citations")
        && citations.get("enabled").and_then(Value::as_bool) == Some(true)
    {
        judge.loses(
            Loss::Changes,
            &fields.at("citations"),
            "only Anthropic cites the documents that it is given",
        )?;
    }
    fields.leaves(judge);
    Ok(Part { kind, cache, path })
}

fn medium(fields: &mut Fields, kind: MediumKind) -> Result<PartKind, BadRequest> {
    let name = fields.text("title")?;
    let mut source = fields.needs_object("source")?;
    let source = match source.needs_text("type")?.as_str() {
        "base64" => {
            Source::Base64 { media_type: source.needs_text("media_type")?, data: source.needs_text("data")? }
        }
        "url" => Source::Url(source.needs_text("url")?),
        "text" => Source::Text(source.needs_text("data")?),
        "file" => Source::Id,
        other => return Err(source.wrong("type", format!("`{other}` cannot be carried across"))),
    };
    Ok(PartKind::Medium(Medium { kind, source, name, detail: None }))
}
