//! Reads the parts of a client's contents.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::head::BadRequest;
use crate::translate::fields::Fields;
use crate::translate::form::{Medium, MediumKind, Origin, Part, PartKind, REDACTED, Seal, Source};
use crate::translate::gemini::request_in::{Calls, joins};
use crate::translate::policy::Judge;

pub(in crate::translate) fn read_parts(
    content: &mut Fields,
    calls: &mut Calls,
    judge: &mut Judge,
) -> Result<Vec<Part>, BadRequest> {
    let path = content.at("parts");
    let mut parts = Vec::new();
    for (index, part) in content.list("parts")?.unwrap_or_default().into_iter().enumerate() {
        let path = format!("{path}[{index}]");
        let mut fields = Fields::of(part, path.clone())?;
        fields.camel_case();
        let thought = fields.flag("thought")?.unwrap_or(false);
        let seal = fields.text("thoughtSignature")?.filter(|text| !text.is_empty()).map(|text| seal(&text));
        if thought {
            let text = fields.text("text")?.unwrap_or_default();
            thinking(&mut parts, text, seal, path);
        } else {
            if let Some(seal) = seal {
                parts.push(Part::new(
                    PartKind::Thinking { text: String::new(), seal: Some(seal) },
                    path.clone(),
                ));
            }
            parts.extend(part_kind(&mut fields, calls)?.map(|kind| Part::new(kind, path)));
        }
        fields.leaves(judge);
    }
    Ok(parts)
}

fn thinking(parts: &mut Vec<Part>, mut text: String, seal: Option<Seal>, path: String) {
    let kind = match seal {
        None => PartKind::Thinking { text, seal: None },
        Some(Seal { origin, data }) => match data.strip_prefix(REDACTED) {
            Some(data) => PartKind::Redacted(Seal { origin, data: data.to_owned() }),
            None => {
                joins(parts, &mut text);
                PartKind::Thinking { text, seal: Some(Seal { origin, data }) }
            }
        },
    };
    parts.push(Part::new(kind, path));
}

/// A signature is bytes in base 64; those of others are a text in them.
fn seal(text: &str) -> Seal {
    let foreign =
        STANDARD.decode(standard(text.to_owned())).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let foreign =
        foreign.map(|text| Seal::of_text(&text, Origin::Gemini)).filter(|seal| seal.origin != Origin::Gemini);
    foreign.unwrap_or_else(|| Seal { origin: Origin::Gemini, data: text.to_owned() })
}

fn part_kind(fields: &mut Fields, calls: &mut Calls) -> Result<Option<PartKind>, BadRequest> {
    if let Some(text) = fields.text("text")? {
        return Ok((!text.is_empty()).then_some(PartKind::Text(text)));
    }
    if let Some(mut data) = fields.object("inlineData")? {
        data.camel_case();
        let (media_type, data) = (data.needs_text("mimeType")?, standard(data.needs_text("data")?));
        let kind = kind_of(&media_type);
        return Ok(Some(medium(kind, Source::Base64 { media_type, data })));
    }
    if let Some(mut file) = fields.object("fileData")? {
        file.camel_case();
        let kind = kind_of(&file.text("mimeType")?.unwrap_or_default());
        let url = file.needs_text("fileUri")?;
        let at_google = url.starts_with("gs:") || url.contains("generativelanguage.googleapis.com");
        return Ok(Some(medium(kind, if at_google { Source::Id } else { Source::Url(url) })));
    }
    if let Some(mut call) = fields.object("functionCall")? {
        let name = call.needs_text("name")?;
        let id = calls.begins(call.text("id")?, &name);
        let arguments = call.take("args").map(|args| args.to_string()).unwrap_or_default();
        return Ok(Some(PartKind::ToolUse { id, name, arguments }));
    }
    if let Some(mut result) = fields.object("functionResponse")? {
        let name = result.needs_text("name")?;
        let id = calls.ends(result.text("id")?, &name);
        let Some(id) = id else {
            return Err(result.wrong("name", format!("no call of {name} waits for this result")));
        };
        let (text, is_error) = said(result.take("response"));
        let parts = if text.is_empty() {
            Vec::new()
        } else {
            vec![Part::new(PartKind::Text(text), result.at("response"))]
        };
        return Ok(Some(PartKind::ToolResult { id, parts, is_error }));
    }
    match fields.names().first() {
        Some(name) => Err(fields.wrong(name, "cannot be carried across")),
        None => Ok(None),
    }
}

/// Google's clients write the alphabet that is safe in addresses, and some leave the padding out; others understand neither.
fn standard(data: String) -> String {
    if !data.contains(['-', '_']) && data.len().is_multiple_of(4) {
        return data;
    }
    let mut data = data.replace('-', "+").replace('_', "/");
    while !data.len().is_multiple_of(4) {
        data.push('=');
    }
    data
}

/// What a function said: a text where there is one, JSON otherwise.
fn said(response: Option<Value>) -> (String, bool) {
    let Some(response) = response else { return (String::new(), false) };
    let only =
        response.as_object().filter(|members| members.len() == 1).and_then(|members| members.iter().next());
    match only {
        Some((name, Value::String(text))) if matches!(name.as_str(), "output" | "result" | "error") => {
            (text.clone(), name == "error")
        }
        Some((name, value)) if name == "error" => (value.to_string(), true),
        _ => (response.to_string(), false),
    }
}

fn medium(kind: MediumKind, source: Source) -> PartKind {
    PartKind::Medium(Medium { kind, source, name: None, detail: None })
}

fn kind_of(media_type: &str) -> MediumKind {
    match media_type.split('/').next() {
        Some("image") => MediumKind::Image,
        Some("audio") => MediumKind::Audio,
        _ => MediumKind::Document,
    }
}
