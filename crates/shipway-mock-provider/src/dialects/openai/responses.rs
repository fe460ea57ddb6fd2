//! Responses: what a request asks, together with the responses before it, and the whole answer.

use serde_json::{Value, json};

use super::chat::tool_of;
pub(crate) use super::responses_stream::events;
use crate::{
    ask::{Ask, Image, MustCall, Refused, flag, list, text},
    dialects::CREATED,
    reply::{Call, Finish, Reply, Usage},
    script::{ErrorKind, Script, UsageShape},
};

/// Reads a request that goes on after the items in `before`.
pub(crate) fn read(body: &Value, before: &[Value]) -> Result<Ask, Refused> {
    let model =
        text(body, "model").ok_or_else(|| Refused::at("model", "Missing required parameter: 'model'."))?;
    let items = input_items(body);
    if items.is_empty() {
        return Err(Refused::at("input", "Missing required parameter: 'input'."));
    }
    let all: Vec<&Value> = before.iter().chain(&items).collect();
    check(&all)?;
    let messages = all.iter().filter(|item| text(item, "type").is_none_or(|kind| kind == "message")).count();
    let effort = body.get("reasoning").and_then(|reasoning| text(reasoning, "effort"));
    let mut ask = Ask {
        model: model.to_owned(),
        stream: flag(body, "stream"),
        wants_usage: true,
        choices: 1,
        messages,
        tools: list(body, "tools")
            .iter()
            .filter(|tool| text(tool, "type") == Some("function"))
            .filter_map(tool_of)
            .collect(),
        must_call: must_call(body.get("tool_choice")),
        parallel: body.get("parallel_tool_calls").and_then(Value::as_bool).unwrap_or(true),
        schema: schema(body),
        thinks: effort.is_some_and(|effort| effort != "none"),
        has_results: all.last().is_some_and(|item| text(item, "type") == Some("function_call_output")),
        ..Ask::default()
    };
    for item in all {
        read_content(item, &mut ask)?;
    }
    Ok(ask)
}

/// The items of a request; a text alone is a message.
pub(crate) fn input_items(body: &Value) -> Vec<Value> {
    match body.get("input") {
        Some(Value::String(said)) => vec![
            json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": said}]}),
        ],
        Some(Value::Array(items)) => items.clone(),
        _ => Vec::new(),
    }
}

fn must_call(choice: Option<&Value>) -> Option<MustCall> {
    match choice? {
        Value::String(word) if word == "required" => Some(MustCall::Any),
        choice if text(choice, "type") == Some("function") => {
            text(choice, "name").map(|name| MustCall::This(name.to_owned()))
        }
        _ => None,
    }
}

fn schema(body: &Value) -> Option<Value> {
    let format = body.get("text")?.get("format")?;
    match text(format, "type")? {
        "json_schema" => format.get("schema").cloned(),
        "json_object" => Some(json!({"type": "object", "properties": {"answer": {"type": "string"}}})),
        _ => None,
    }
}

/// Outputs belong to calls, calls have outputs, and what was encrypted comes back as it was.
fn check(items: &[&Value]) -> Result<(), Refused> {
    let ids = |kind: &'static str| {
        items
            .iter()
            .filter(move |item| text(item, "type") == Some(kind))
            .filter_map(|item| text(item, "call_id"))
    };
    for id in ids("function_call_output") {
        if !ids("function_call").any(|called| called == id) {
            return Err(Refused::at(
                "input",
                format!("No tool call found for function call output with call_id {id}."),
            ));
        }
    }
    for id in ids("function_call") {
        if !ids("function_call_output").any(|answered| answered == id) {
            return Err(Refused::at("input", format!("No tool output found for function call {id}.")));
        }
    }
    for item in items.iter().filter(|item| text(item, "type") == Some("reasoning")) {
        let id = text(item, "id").unwrap_or_default();
        if text(item, "encrypted_content").is_some_and(|content| content != encrypted(id)) {
            return Err(Refused::at(
                "input",
                format!("The encrypted content for item {id} could not be verified."),
            ));
        }
    }
    Ok(())
}

fn encrypted(id: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD
        .encode(format!("mock-encrypted-{:08x}", crc32fast::hash(id.as_bytes())))
}

fn read_content(item: &Value, ask: &mut Ask) -> Result<(), Refused> {
    let mut said = text(item, "content").unwrap_or_default().to_owned();
    for part in list(item, "content") {
        match text(part, "type") {
            Some("input_text" | "output_text" | "text") => {
                said.push_str(text(part, "text").unwrap_or_default())
            }
            Some("input_image") => match (text(part, "image_url"), text(part, "file_id")) {
                (Some(url), _) => ask.images.push(Image::of_url(url)?),
                (None, Some(file)) => ask.images.push(Image { checksum: crc32fast::hash(file.as_bytes()) }),
                (None, None) => return Err(Refused::at("input", "Missing required parameter: 'image_url'.")),
            },
            Some("input_file" | "input_audio" | "refusal" | "summary_text" | "reasoning_text") => {}
            kind => {
                let kind = kind.unwrap_or_default();
                return Err(Refused::at(
                    "input",
                    format!(
                        "Invalid value: '{kind}'. Supported values are: 'input_text', 'input_image', 'output_text', 'refusal', 'input_file'."
                    ),
                ));
            }
        }
    }
    if text(item, "role") == Some("user") {
        ask.said = said;
    }
    Ok(())
}

/// The response that a request names and nobody has.
pub(crate) fn no_previous(id: &str) -> Refused {
    Refused {
        kind: ErrorKind::Invalid,
        message: format!("Previous response with id '{id}' not found."),
        parameter: Some("previous_response_id".to_owned()),
    }
}

/// A response that is asked for and not there.
pub(crate) fn not_found(id: &str) -> Value {
    json!({"error": {"message": format!("Response with id '{id}' not found."), "type": "invalid_request_error", "param": null, "code": null}})
}

pub(crate) fn id(ask: &Ask) -> String {
    format!("resp_{}", ask.id("response", 0))
}

/// What is put out, item by item.
pub(super) enum Item<'a> {
    Reasoning(&'a [String]),
    Message(&'a [String]),
    Call(&'a Call),
}

impl Item<'_> {
    pub(super) fn id(&self, ask: &Ask, index: usize) -> String {
        let kind = match self {
            Self::Reasoning(_) => "rs",
            Self::Message(_) => "msg",
            Self::Call(_) => "fc",
        };
        format!("{kind}_{}", ask.id(kind, index))
    }
}

pub(super) fn items(reply: &Reply) -> Vec<Item<'_>> {
    let mut items = Vec::new();
    if !reply.thoughts.is_empty() {
        items.push(Item::Reasoning(&reply.thoughts));
    }
    if !reply.text.is_empty() {
        items.push(Item::Message(&reply.text));
    }
    items.extend(reply.calls.iter().map(Item::Call));
    items
}

/// An item as it is when it is done.
pub(super) fn shown(item: &Item<'_>, id: &str, reply: &Reply, body: &Value) -> Value {
    match item {
        Item::Reasoning(pieces) => {
            let summary = if shows_summary(body) {
                json!([{"type": "summary_text", "text": pieces.concat()}])
            } else {
                json!([])
            };
            let mut shown = json!({"id": id, "type": "reasoning", "summary": summary});
            if list(body, "include").iter().any(|name| name == "reasoning.encrypted_content") {
                shown["encrypted_content"] = Value::from(encrypted(id));
            }
            shown
        }
        Item::Message(pieces) => {
            json!({"id": id, "type": "message", "status": "completed", "role": "assistant", "content": [part(reply, &pieces.concat())]})
        }
        Item::Call(call) => {
            let arguments = call.arguments_text();
            json!({"id": id, "type": "function_call", "status": "completed", "call_id": format!("call_{}", call.id), "name": call.name, "arguments": arguments})
        }
    }
}

pub(super) fn shows_summary(body: &Value) -> bool {
    body.get("reasoning").is_some_and(|reasoning| text(reasoning, "summary").is_some())
}

pub(super) fn part(reply: &Reply, said: &str) -> Value {
    if reply.finish == Finish::Refusal {
        json!({"type": "refusal", "refusal": said})
    } else {
        json!({"type": "output_text", "annotations": [], "logprobs": [], "text": said})
    }
}

fn usage(usage: &Usage) -> Value {
    json!({
        "input_tokens": usage.input,
        "input_tokens_details": {"cached_tokens": usage.cached, "cache_write_tokens": usage.cache_write + usage.cache_write_1h},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.total(),
    })
}

/// The response before anything was put out.
pub(super) fn begun(ask: &Ask, body: &Value, status: &str) -> Value {
    let given = |key: &str| body.get(key).cloned().unwrap_or_default();
    let or = |key: &str, default: Value| body.get(key).cloned().unwrap_or(default);
    json!({
        "id": id(ask),
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "background": flag(body, "background"),
        "error": null,
        "incomplete_details": null,
        "instructions": given("instructions"),
        "max_output_tokens": given("max_output_tokens"),
        "model": ask.model,
        "output": [],
        "parallel_tool_calls": ask.parallel,
        "previous_response_id": given("previous_response_id"),
        "reasoning": or("reasoning", json!({"effort": null, "summary": null})),
        "service_tier": "default",
        "store": or("store", json!(true)),
        "temperature": or("temperature", json!(1.0)),
        "text": or("text", json!({"format": {"type": "text"}})),
        "tool_choice": or("tool_choice", json!("auto")),
        "tools": or("tools", json!([])),
        "top_p": or("top_p", json!(1.0)),
        "truncation": or("truncation", json!("disabled")),
        "usage": null,
        "user": given("user"),
        "metadata": or("metadata", json!({})),
    })
}

/// The whole response.
pub(crate) fn whole(ask: &Ask, body: &Value, reply: &Reply, script: &Script) -> Value {
    let incomplete = match reply.finish {
        Finish::Length => Some("max_output_tokens"),
        Finish::Filter => Some("content_filter"),
        Finish::Stop | Finish::Calls | Finish::Refusal => None,
    };
    let mut response = begun(ask, body, if incomplete.is_some() { "incomplete" } else { "completed" });
    if let Some(reason) = incomplete {
        response["incomplete_details"] = json!({"reason": reason});
    }
    let output = items(reply)
        .iter()
        .enumerate()
        .map(|(index, item)| shown(item, &item.id(ask, index), reply, body))
        .collect();
    response["output"] = Value::Array(output);
    if script.usage.shape != UsageShape::Never {
        response["usage"] = usage(&reply.usage);
    }
    response
}
