//! Reads a request for a message, or says what Anthropic would refuse.

use serde_json::{Value, json};

use super::checks;
use crate::ask::{Ask, Image, MustCall, Refused, Tool, flag, list, text};

/// Reads a request; without `max_tokens` it is refused where one is answered, and not where tokens are counted only.
pub(crate) fn read(body: &Value, counts_only: bool) -> Result<Ask, Refused> {
    let model = text(body, "model").ok_or_else(|| Refused::invalid("model: Field required"))?;
    let limit = body.get("max_tokens").and_then(Value::as_u64);
    if !counts_only && limit.is_none_or(|limit| limit == 0) {
        return Err(Refused::invalid(if limit.is_some() {
            "max_tokens: Input should be greater than or equal to 1"
        } else {
            "max_tokens: Field required"
        }));
    }
    let messages = list(body, "messages");
    if messages.is_empty() {
        return Err(Refused::invalid("messages: at least one message is required"));
    }
    let thinking = body.get("thinking");
    let thinks = thinking
        .and_then(|thinking| text(thinking, "type"))
        .is_some_and(|kind| kind == "enabled" || kind == "adaptive");
    if let Some(budget) = thinking.and_then(|thinking| thinking.get("budget_tokens")).and_then(Value::as_u64)
    {
        if budget < 1024 {
            return Err(Refused::invalid(
                "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
            ));
        }
        if limit.is_some_and(|limit| limit <= budget) {
            return Err(Refused::invalid("`max_tokens` must be greater than `thinking.budget_tokens`."));
        }
    }
    checks::check(messages, thinks)?;
    let choice = body.get("tool_choice");
    let must_call = match choice.and_then(|choice| text(choice, "type")) {
        Some("any") => Some(MustCall::Any),
        Some("tool") => {
            choice.and_then(|choice| text(choice, "name")).map(|name| MustCall::This(name.to_owned()))
        }
        _ => None,
    };
    if thinks && must_call.is_some() {
        return Err(Refused::invalid("Thinking may not be enabled when tool_choice forces tool use."));
    }
    let mut ask = Ask {
        model: model.to_owned(),
        stream: flag(body, "stream"),
        wants_usage: true,
        choices: 1,
        messages: messages.len(),
        tools: list(body, "tools").iter().filter_map(tool_of).collect(),
        must_call,
        parallel: !choice.is_some_and(|choice| flag(choice, "disable_parallel_tool_use")),
        schema: schema(body),
        thinks,
        has_results: messages.last().is_some_and(|last| {
            list(last, "content").iter().any(|block| text(block, "type") == Some("tool_result"))
        }),
        ..Ask::default()
    };
    for message in messages {
        read_content(message, &mut ask)?;
    }
    Ok(ask)
}

fn tool_of(tool: &Value) -> Option<Tool> {
    let schema = tool.get("input_schema").cloned().unwrap_or_else(|| json!({"type": "object"}));
    Some(Tool { name: text(tool, "name")?.to_owned(), schema })
}

/// `output_config.format`, or `output_format` as it was called at first.
fn schema(body: &Value) -> Option<Value> {
    let format = body
        .get("output_config")
        .and_then(|config| config.get("format"))
        .or_else(|| body.get("output_format"))?;
    format.get("schema").cloned()
}

fn read_content(message: &Value, ask: &mut Ask) -> Result<(), Refused> {
    let mut said = text(message, "content").unwrap_or_default().to_owned();
    for block in list(message, "content") {
        read_block(block, &mut said, ask)?;
    }
    if text(message, "role") == Some("user") {
        ask.said = said;
    }
    Ok(())
}

fn read_block(block: &Value, said: &mut String, ask: &mut Ask) -> Result<(), Refused> {
    match text(block, "type") {
        Some("text") => said.push_str(text(block, "text").unwrap_or_default()),
        Some("image") => {
            let source = block.get("source").unwrap_or(&Value::Null);
            let image = match text(source, "type") {
                Some("base64") => Image::of_base64(text(source, "data").unwrap_or_default()),
                Some("url") => Image::of_url(text(source, "url").unwrap_or_default()),
                Some("file") => Ok(Image {
                    checksum: crc32fast::hash(text(source, "file_id").unwrap_or_default().as_bytes()),
                }),
                _ => Err(Refused::invalid("image.source.type: Input should be 'base64', 'url' or 'file'")),
            };
            ask.images.push(image?);
        }
        Some("tool_result") => {
            // What a tool shows may be an image too.
            for inner in list(block, "content").iter().filter(|inner| text(inner, "type") == Some("image")) {
                read_block(inner, said, ask)?;
            }
        }
        _ => {}
    }
    Ok(())
}
