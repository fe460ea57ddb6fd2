//! Reads a whole answer of OpenAI's responses.

use serde_json::Value;

use crate::dialect::Dialect;
use crate::finish::Finish;
use crate::head::BadRequest;
use crate::translate::fields::Fields;
use crate::translate::form::{Answer, Origin, Part, PartKind, REDACTED, Seal};
use crate::usage::Usage;

pub(in crate::translate) fn read(body: Value) -> Result<Answer, BadRequest> {
    let mut fields = Fields::of(body, "")?;
    let items = fields.list("output")?.ok_or_else(|| fields.wrong("output", "is missing"))?;
    let mut parts = Vec::new();
    for (index, item) in items.into_iter().enumerate() {
        let item = Fields::of(item, format!("output[{index}]"))?;
        read_item(item, &mut parts)?;
    }
    let status = fields.text("status")?.unwrap_or_else(|| "completed".to_owned());
    let details = fields.object("incomplete_details")?;
    let reason = details.map_or(Ok(None), |mut details| details.text("reason"))?;
    let calls = parts.iter().any(|part| matches!(part.kind, PartKind::ToolUse { .. }));
    let refuses = parts.iter().any(|part| matches!(part.kind, PartKind::Refusal(_)));
    let finish = match Finish::of_responses(&status, reason.as_deref()) {
        Finish::Stop if calls => Finish::ToolUse,
        Finish::Stop if refuses => Finish::Refusal,
        Finish::Other(reason) => {
            return Err(fields.wrong("status", format!("the answer is not there: {reason}")));
        }
        finish => finish,
    };
    let usage = fields.take("usage").and_then(|value| {
        let mut usage = Usage::default();
        usage.take(Dialect::OpenAiResponses, &value).then_some(usage)
    });
    let id = fields.text("id")?.unwrap_or_default();
    // The rest repeats the request, in words that the client's API does not have.
    Ok(Answer { id, parts, finish, stop_sequence: None, usage, rest: serde_json::Map::new() })
}

fn read_item(mut item: Fields, parts: &mut Vec<Part>) -> Result<(), BadRequest> {
    match item.needs_text("type")?.as_str() {
        "message" => {
            let path = item.at("content");
            for (index, content) in item.list("content")?.unwrap_or_default().into_iter().enumerate() {
                let path = format!("{path}[{index}]");
                let mut content = Fields::of(content, path.clone())?;
                let kind = match content.needs_text("type")?.as_str() {
                    "output_text" => PartKind::Text(content.needs_text("text")?),
                    "refusal" => PartKind::Refusal(content.needs_text("refusal")?),
                    other => return Err(content.wrong("type", format!("`{other}` is not known"))),
                };
                parts.push(Part::new(kind, path));
            }
        }
        "function_call" => {
            let (id, name) = (item.needs_text("call_id")?, item.needs_text("name")?);
            let arguments = item.text("arguments")?.unwrap_or_default();
            let path = item.at("arguments");
            parts.push(Part::new(PartKind::ToolUse { id, name, arguments }, path));
        }
        "reasoning" => {
            let texts = item.list("summary")?.unwrap_or_default();
            let texts = texts.iter().filter_map(|part| part.get("text").and_then(Value::as_str));
            let text = texts.collect::<Vec<_>>().join("\n\n");
            let seal = item.text("encrypted_content")?.map(sealed);
            let path = item.at("summary");
            match seal {
                Some(Sealed::Redacted(seal)) => parts.push(Part::new(PartKind::Redacted(seal), path)),
                Some(Sealed::Thought(seal)) => {
                    parts.push(Part::new(PartKind::Thinking { text, seal: Some(seal) }, path));
                }
                None if text.is_empty() => {}
                None => parts.push(Part::new(PartKind::Thinking { text, seal: None }, path)),
            }
        }
        // What its own tools did: they were not asked for.
        _ => {}
    }
    Ok(())
}

/// What stands in `encrypted_content`.
pub(in crate::translate) enum Sealed {
    Thought(Seal),
    Redacted(Seal),
}

pub(in crate::translate) fn sealed(text: String) -> Sealed {
    let Seal { origin, data } = Seal::of_text(&text, Origin::Responses);
    match data.strip_prefix(REDACTED) {
        Some(data) => Sealed::Redacted(Seal { origin, data: data.to_owned() }),
        None => Sealed::Thought(Seal { origin, data }),
    }
}
