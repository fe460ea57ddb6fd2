//! Whole answers of Gemini.

use serde_json::Value;

use crate::dialect::Dialect;
use crate::finish::Finish;
use crate::head::BadRequest;
use crate::translate::chat::parts::call_id;
use crate::translate::fields::Fields;
use crate::translate::form::{Answer, Origin, Part, PartKind, Seal};
use crate::usage::Usage;

pub(in crate::translate) fn read(body: Value) -> Result<Answer, BadRequest> {
    let mut fields = Fields::of(body, "")?;
    let id = fields.text("responseId")?.unwrap_or_default();
    let usage = fields.take("usageMetadata").and_then(|value| {
        let mut usage = Usage::default();
        usage.take(Dialect::GeminiGenerate, &value).then_some(usage)
    });
    let blocked = fields.take("promptFeedback").is_some_and(|feedback| feedback.get("blockReason").is_some());
    let candidates = fields.list("candidates")?.unwrap_or_default();
    let Some(candidate) = candidates.into_iter().next() else {
        if !blocked {
            return Err(fields.wrong("candidates", "is missing"));
        }
        return Ok(answer(id, Vec::new(), Finish::Refusal, usage));
    };
    let mut candidate = Fields::of(candidate, "candidates[0]")?;
    let mut parts = Vec::new();
    if let Some(mut content) = candidate.object("content")? {
        for (index, part) in content.list("parts")?.unwrap_or_default().into_iter().enumerate() {
            parts.extend(read_part(part, &id, index));
        }
    }
    let called = parts.iter().any(|part| matches!(part.kind, PartKind::ToolUse { .. }));
    let finish = finish(candidate.text("finishReason")?.as_deref(), called);
    Ok(answer(id, parts, finish, usage))
}

/// Members beside those that are read are Gemini's alone: ratings, citations, grounding.
fn answer(id: String, parts: Vec<Part>, finish: Finish, usage: Option<Usage>) -> Answer {
    Answer { id, parts, finish, stop_sequence: None, usage, rest: serde_json::Map::new() }
}

pub(in crate::translate) fn finish(reason: Option<&str>, called: bool) -> Finish {
    match reason.map(Finish::of_gemini) {
        None | Some(Finish::Stop) if called => Finish::ToolUse,
        None => Finish::Stop,
        Some(finish) => finish,
    }
}

/// A part, and before it the proof that stood on it.
pub(in crate::translate) fn read_part(part: Value, answer: &str, index: usize) -> Vec<Part> {
    let mut read = Vec::with_capacity(2);
    let part_of = |kind| Part::new(kind, format!("candidates[0].content.parts[{index}]"));
    if let Some(signature) =
        part.get("thoughtSignature").and_then(Value::as_str).filter(|text| !text.is_empty())
    {
        let seal = Seal { origin: Origin::Gemini, data: signature.to_owned() };
        read.push(part_of(PartKind::Thinking { text: String::new(), seal: Some(seal) }));
    }
    if let Some(call) = part.get("functionCall") {
        let text = |name: &str| call.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let id = text("id").map_or_else(|| call_id(answer, index), str::to_owned);
        let arguments =
            call.get("args").filter(|args| !args.is_null()).map(Value::to_string).unwrap_or_default();
        let name = text("name").unwrap_or_default().to_owned();
        read.push(part_of(PartKind::ToolUse { id, name, arguments }));
    } else if let Some(text) = part.get("text").and_then(Value::as_str).filter(|text| !text.is_empty()) {
        let thought = part.get("thought").and_then(Value::as_bool) == Some(true);
        let text = text.to_owned();
        read.push(part_of(if thought {
            PartKind::Thinking { text, seal: None }
        } else {
            PartKind::Text(text)
        }));
    }
    read
}
