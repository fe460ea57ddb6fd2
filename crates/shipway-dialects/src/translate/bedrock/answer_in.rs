//! Whole answers of Converse.

use serde_json::Value;

use crate::dialect::Dialect;
use crate::finish::Finish;
use crate::head::BadRequest;
use crate::translate::fields::Fields;
use crate::translate::form::{Answer, Origin, Part, PartKind, Seal};
use crate::usage::Usage;

/// Members that say how the answer was made, and nothing that a client of another API looks for.
const ASIDE: [&str; 5] =
    ["metrics", "performanceConfig", "serviceTier", "trace", "additionalModelResponseFields"];

/// Converse gives an answer no id: `id` stands for it.
pub(in crate::translate) fn read(body: Value, id: Option<&str>) -> Result<Answer, BadRequest> {
    let mut fields = Fields::of(body, "")?;
    let mut output = fields.needs_object("output")?;
    let mut message = output.needs_object("message")?;
    let path = message.at("content");
    let mut parts = Vec::new();
    for (index, item) in message.list("content")?.unwrap_or_default().into_iter().enumerate() {
        parts.extend(block(item, format!("{path}[{index}]"))?);
    }
    let usage = fields.take("usage").and_then(|value| {
        let mut usage = Usage::default();
        usage.take(Dialect::BedrockConverse, &value).then_some(usage)
    });
    let finish = Finish::of_bedrock(&fields.needs_text("stopReason")?);
    for name in ASIDE {
        fields.take(name);
    }
    let id = id.unwrap_or_default().to_owned();
    Ok(Answer { id, parts, finish, stop_sequence: None, usage, rest: fields.rest() })
}

/// What a block has in it; one with citations its texts.
fn block(value: Value, path: String) -> Result<Vec<Part>, BadRequest> {
    let mut fields = Fields::of(value, path.clone())?;
    if let Some(mut cited) = fields.object("citationsContent")? {
        let texts = cited.list("content")?.unwrap_or_default().into_iter();
        let texts = texts.filter_map(|text| text.get("text")?.as_str().map(str::to_owned));
        return Ok(texts.map(|text| Part::new(PartKind::Text(text), path.clone())).collect());
    }
    let kind = if let Some(text) = fields.text("text")? {
        PartKind::Text(text)
    } else if let Some(mut call) = fields.object("toolUse")? {
        PartKind::ToolUse {
            id: call.needs_text("toolUseId")?,
            name: call.needs_text("name")?,
            arguments: call.take("input").map(|input| input.to_string()).unwrap_or_default(),
        }
    } else if let Some(thought) = fields.take("reasoningContent") {
        match thought_of(&thought) {
            Some(kind) => kind,
            None => return Ok(Vec::new()),
        }
    } else {
        let names = fields.names().join(", ");
        return Err(fields.wrong(&names, "this part cannot be told in another API"));
    };
    Ok(vec![Part::new(kind, path)])
}

/// Signatures are those of Anthropic's models, and hold wherever Anthropic is asked; what is redacted is Bedrock's own.
fn thought_of(thought: &Value) -> Option<PartKind> {
    if let Some(data) = thought.get("redactedContent").and_then(Value::as_str) {
        return Some(PartKind::Redacted(Seal { origin: Origin::Bedrock, data: data.to_owned() }));
    }
    let thought = thought.get("reasoningText")?;
    let text = |name: &str| thought.get(name).and_then(Value::as_str).unwrap_or_default();
    let seal = Some(text("signature")).filter(|signature| !signature.is_empty());
    let seal = seal.map(|signature| Seal { origin: Origin::Anthropic, data: signature.to_owned() });
    Some(PartKind::Thinking { text: text("text").to_owned(), seal })
}
