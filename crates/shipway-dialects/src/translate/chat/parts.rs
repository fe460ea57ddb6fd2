//! The parts of chat's messages.

use serde_json::Value;

use crate::head::BadRequest;
use crate::translate::fields::{Fields, data_url};
use crate::translate::form::{Medium, MediumKind, Part, PartKind, Source};
use crate::translate::policy::Judge;

/// A message's content: a text, or a list of parts; empty texts are left out, since some providers refuse them.
pub(in crate::translate) fn content(
    fields: &mut Fields,
    name: &str,
    judge: &mut Judge,
) -> Result<Vec<Part>, BadRequest> {
    let path = fields.at(name);
    let cache = fields.take("cache_control").filter(|_| name == "content");
    let mut parts = match fields.take(name) {
        None => Vec::new(),
        Some(Value::String(text)) if text.is_empty() => Vec::new(),
        Some(Value::String(text)) => vec![Part::new(PartKind::Text(text), path)],
        Some(Value::Array(items)) => items
            .into_iter()
            .enumerate()
            .filter_map(|(index, item)| part(item, format!("{path}[{index}]"), judge).transpose())
            .collect::<Result<_, _>>()?,
        Some(_) => return Err(fields.wrong(name, "must be a text or a list of parts")),
    };
    if let (Some(cache), Some(last)) = (cache, parts.last_mut()) {
        last.cache = Some(cache);
    }
    Ok(parts)
}

fn part(value: Value, path: String, judge: &mut Judge) -> Result<Option<Part>, BadRequest> {
    let mut fields = Fields::of(value, path.clone())?;
    let cache = fields.take("cache_control");
    let kind = match fields.needs_text("type")?.as_str() {
        "text" | "input_text" | "output_text" => {
            let text = fields.needs_text("text")?;
            if text.is_empty() {
                return Ok(None);
            }
            PartKind::Text(text)
        }
        "refusal" => PartKind::Refusal(fields.needs_text("refusal")?),
        "image_url" => {
            let mut image = fields.needs_object("image_url")?;
            image_of(image.needs_text("url")?, image.text("detail")?)
        }
        "input_audio" => {
            let mut audio = fields.needs_object("input_audio")?;
            let media_type = format!("audio/{}", audio.needs_text("format")?);
            let source = Source::Base64 { media_type, data: audio.needs_text("data")? };
            PartKind::Medium(Medium { kind: MediumKind::Audio, source, name: None, detail: None })
        }
        "file" => file_of(&mut fields.needs_object("file")?)?,
        other => return Err(fields.wrong("type", format!("`{other}` is no part that can be carried across"))),
    };
    fields.leaves(judge);
    Ok(Some(Part { kind, cache, path }))
}

pub(in crate::translate) fn image_of(url: String, detail: Option<String>) -> PartKind {
    let source = match data_url(&url) {
        Some((media_type, data)) => Source::Base64 { media_type, data },
        None => Source::Url(url),
    };
    PartKind::Medium(Medium { kind: MediumKind::Image, source, name: None, detail })
}

/// A file by its data, its address or its id, which chat and responses write alike.
pub(in crate::translate) fn file_of(file: &mut Fields) -> Result<PartKind, BadRequest> {
    let name = file.text("filename")?;
    let source = if let Some(data) = file.text("file_data")? {
        // The type may be missing: what has none is a PDF, the only kind that all of them read.
        let (media_type, data) = data_url(&data).unwrap_or_else(|| ("application/pdf".to_owned(), data));
        Source::Base64 { media_type, data }
    } else if let Some(url) = file.text("file_url")? {
        Source::Url(url)
    } else {
        file.needs_text("file_id")?;
        Source::Id
    };
    Ok(PartKind::Medium(Medium { kind: MediumKind::Document, source, name, detail: None }))
}

/// The id of a call whose server gave it none.
pub(in crate::translate) fn call_id(answer: &str, index: usize) -> String {
    format!("call_{answer}_{index}")
}

/// The calls of a message; those of an answer may come without an id.
pub(in crate::translate) fn tool_calls(
    fields: &mut Fields,
    answer: Option<&str>,
) -> Result<Vec<Part>, BadRequest> {
    let path = fields.at("tool_calls");
    let mut parts = Vec::new();
    for (index, call) in fields.list("tool_calls")?.unwrap_or_default().into_iter().enumerate() {
        let path = format!("{path}[{index}]");
        let mut call = Fields::of(call, path.clone())?;
        if call.text("type")?.is_some_and(|kind| kind != "function") {
            return Err(call.wrong("type", "only calls of functions can be carried across"));
        }
        let id = match (call.text("id")?.filter(|id| !id.is_empty()), answer) {
            (Some(id), _) => id,
            (None, Some(answer)) => call_id(answer, index),
            (None, None) => return Err(call.wrong("id", "is missing")),
        };
        let mut function = call.needs_object("function")?;
        let (name, arguments) =
            (function.needs_text("name")?, function.text("arguments")?.unwrap_or_default());
        parts.push(Part::new(PartKind::ToolUse { id, name, arguments }, path));
    }
    Ok(parts)
}
