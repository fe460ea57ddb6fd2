//! Reads a request of Converse, or says what Bedrock would refuse.

use serde_json::{Value, json};

use super::checks;
use crate::ask::{Ask, Image, MustCall, Refused, Tool, list, text};

/// What a request may have in it.
const MEMBERS: [&str; 13] = [
    "additionalModelRequestFields",
    "additionalModelResponseFieldPaths",
    "guardrailConfig",
    "inferenceConfig",
    "messages",
    "outputConfig",
    "performanceConfig",
    "projectIdentifier",
    "promptVariables",
    "requestMetadata",
    "serviceTier",
    "system",
    "toolConfig",
];

/// Reads a request; the model and whether it streams are in its path.
pub(crate) fn read(body: &Value, model: &str, stream: bool) -> Result<Ask, Refused> {
    let known = |name: &String| MEMBERS.contains(&name.as_str());
    if let Some(strange) = body.as_object().and_then(|members| members.keys().find(|name| !known(name))) {
        let message = format!("Malformed input request: extraneous key [{strange}] is not permitted");
        return Err(Refused::invalid(message));
    }
    let messages = list(body, "messages");
    let inference = body.get("inferenceConfig").unwrap_or(&Value::Null);
    let more = body.get("additionalModelRequestFields").unwrap_or(&Value::Null);
    let thinks = more.get("thinking").is_some_and(|thinking| text(thinking, "type") != Some("disabled"));
    checks::check(body, messages)?;
    checks::limits(inference, more)?;
    let config = body.get("toolConfig").unwrap_or(&Value::Null);
    let schema = body.pointer("/outputConfig/textFormat/structure/jsonSchema/schema").and_then(Value::as_str);
    let schema = schema.map(|schema| {
        serde_json::from_str(schema).map_err(|_| Refused::invalid("outputConfig: the schema is no JSON"))
    });
    let mut ask = Ask {
        model: model.to_owned(),
        stream,
        wants_usage: true,
        choices: 1,
        messages: messages.len(),
        tools: list(config, "tools").iter().filter_map(tool_of).collect(),
        must_call: must_call(config),
        parallel: true,
        schema: schema.transpose()?,
        thinks,
        has_results: messages
            .last()
            .is_some_and(|last| list(last, "content").iter().any(|block| block.get("toolResult").is_some())),
        ..Ask::default()
    };
    for message in messages {
        let mut said = String::new();
        for block in list(message, "content") {
            said.push_str(text(block, "text").unwrap_or_default());
            images(block, &mut ask)?;
            for inner in block.get("toolResult").map_or(&[][..], |result| list(result, "content")) {
                images(inner, &mut ask)?;
            }
        }
        if text(message, "role") == Some("user") {
            ask.said = said;
        }
    }
    Ok(ask)
}

fn images(block: &Value, ask: &mut Ask) -> Result<(), Refused> {
    if let Some(data) = block.pointer("/image/source/bytes").and_then(Value::as_str) {
        ask.images.push(Image::of_base64(data)?);
    }
    Ok(())
}

fn tool_of(tool: &Value) -> Option<Tool> {
    let spec = tool.get("toolSpec")?;
    let schema = spec.pointer("/inputSchema/json").cloned().unwrap_or_else(|| json!({"type": "object"}));
    Some(Tool { name: text(spec, "name")?.to_owned(), schema })
}

fn must_call(config: &Value) -> Option<MustCall> {
    let choice = config.get("toolChoice")?;
    match choice.pointer("/tool/name").and_then(Value::as_str) {
        Some(name) => Some(MustCall::This(name.to_owned())),
        None => choice.get("any").map(|_| MustCall::Any),
    }
}
