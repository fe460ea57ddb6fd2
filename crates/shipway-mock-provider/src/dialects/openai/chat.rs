//! Chat completions.

use serde_json::{Value, json};

use super::{chat_checks, completion_usage};
use crate::{
    ask::{Ask, Image, MustCall, Refused, Tool, flag, list, text},
    dialects::{
        CREATED,
        sse::{Event, Kind},
    },
    reply::{Call, Finish, Reply},
    script::{Script, UsageShape},
};

/// Fragments of arguments have so many characters.
const FRAGMENT: usize = 12;

/// Reads a request, or says what OpenAI would refuse.
pub(crate) fn read(body: &Value) -> Result<Ask, Refused> {
    let model = text(body, "model").ok_or_else(|| Refused::invalid("you must provide a model parameter"))?;
    let messages = list(body, "messages");
    if messages.is_empty() {
        return Err(Refused::at(
            "messages",
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.",
        ));
    }
    chat_checks::check(messages)?;
    let mut ask = Ask {
        model: model.to_owned(),
        stream: flag(body, "stream"),
        wants_usage: body.get("stream_options").is_some_and(|options| flag(options, "include_usage")),
        choices: body
            .get("n")
            .and_then(Value::as_u64)
            .and_then(|n| usize::try_from(n).ok())
            .unwrap_or(1)
            .clamp(1, 128),
        messages: messages.len(),
        tools: list(body, "tools").iter().filter_map(|tool| tool_of(tool.get("function")?)).collect(),
        must_call: must_call(body.get("tool_choice")),
        parallel: body.get("parallel_tool_calls").and_then(Value::as_bool).unwrap_or(true),
        schema: schema(body.get("response_format")),
        has_results: messages.last().is_some_and(|last| text(last, "role") == Some("tool")),
        ..Ask::default()
    };
    if let Some(MustCall::This(name)) = &ask.must_call
        && !ask.tools.iter().any(|tool| tool.name == *name)
    {
        return Err(Refused::at(
            "tool_choice",
            format!("Tool choice '{name}' not found in 'tools' parameter."),
        ));
    }
    for message in messages {
        read_content(message, &mut ask)?;
    }
    Ok(ask)
}

fn read_content(message: &Value, ask: &mut Ask) -> Result<(), Refused> {
    let of_user = text(message, "role") == Some("user");
    let mut said = text(message, "content").unwrap_or_default().to_owned();
    for part in list(message, "content") {
        match text(part, "type") {
            Some("text") => said.push_str(text(part, "text").unwrap_or_default()),
            Some("image_url") => {
                let url = part.get("image_url").and_then(|image| text(image, "url"));
                let url =
                    url.ok_or_else(|| Refused::invalid("Missing required parameter: 'image_url.url'."))?;
                ask.images.push(Image::of_url(url)?);
            }
            Some("input_audio" | "file" | "refusal") => {}
            kind => {
                let kind = kind.unwrap_or_default();
                return Err(Refused::at(
                    "messages",
                    format!(
                        "Invalid value: '{kind}'. Supported values are: 'text', 'image_url', 'input_audio', 'refusal' and 'file'."
                    ),
                ));
            }
        }
    }
    if of_user {
        ask.said = said;
    }
    Ok(())
}

pub(super) fn tool_of(function: &Value) -> Option<Tool> {
    let schema = function.get("parameters").cloned().unwrap_or_else(|| json!({"type": "object"}));
    Some(Tool { name: text(function, "name")?.to_owned(), schema })
}

fn must_call(choice: Option<&Value>) -> Option<MustCall> {
    match choice? {
        Value::String(word) if word == "required" => Some(MustCall::Any),
        choice => {
            let named = choice.get("function").and_then(|function| text(function, "name"));
            named.map(|name| MustCall::This(name.to_owned()))
        }
    }
}

fn schema(format: Option<&Value>) -> Option<Value> {
    let format = format?;
    match text(format, "type")? {
        "json_schema" => format.get("json_schema")?.get("schema").cloned(),
        "json_object" => Some(json!({"type": "object", "properties": {"answer": {"type": "string"}}})),
        _ => None,
    }
}

pub(super) const fn finish_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::Refusal => "stop",
        Finish::Length => "length",
        Finish::Calls => "tool_calls",
        Finish::Filter => "content_filter",
    }
}

/// The whole answer.
pub(crate) fn whole(ask: &Ask, replies: &[Reply], script: &Script) -> Value {
    let choices: Vec<_> = replies
        .iter()
        .enumerate()
        .map(|(index, reply)| json!({"index": index, "message": message(reply), "logprobs": null, "finish_reason": finish_reason(reply.finish)}))
        .collect();
    let mut answer = json!({
        "id": format!("chatcmpl-{}", ask.id("chat", 0)),
        "object": "chat.completion",
        "created": CREATED,
        "model": ask.model,
        "choices": choices,
        "service_tier": "default",
        "system_fingerprint": "fp_mock",
    });
    if script.usage.shape != UsageShape::Never {
        answer["usage"] = completion_usage(&super::all_choices(replies));
    }
    answer
}

fn message(reply: &Reply) -> Value {
    let text = reply.whole_text();
    let refuses = reply.finish == Finish::Refusal;
    let content = if refuses || !reply.calls.is_empty() { Value::Null } else { Value::from(text.clone()) };
    let mut message = json!({
        "role": "assistant",
        "content": content,
        "refusal": if refuses { Value::from(text) } else { Value::Null },
        "annotations": [],
    });
    if !reply.thoughts.is_empty() {
        // As servers of open models word it.
        message["reasoning_content"] = Value::from(reply.whole_thought());
    }
    if !reply.calls.is_empty() {
        let calls = reply.calls.iter().map(|call| {
            json!({"id": format!("call_{}", call.id), "type": "function", "function": {"name": call.name, "arguments": call.arguments_text()}})
        });
        message["tool_calls"] = calls.collect();
    }
    message
}

/// The stream.
pub(crate) fn events(ask: &Ask, replies: &[Reply], script: &Script) -> Vec<Event> {
    let shape = script.usage.shape;
    let tells = shape != UsageShape::Never && (ask.wants_usage || shape != UsageShape::Usual);
    let usage = completion_usage(&super::all_choices(replies));
    let chunk = |choices: Value, usage: Option<Value>| {
        let mut chunk = json!({
            "id": format!("chatcmpl-{}", ask.id("chat", 0)),
            "object": "chat.completion.chunk",
            "created": CREATED,
            "model": ask.model,
            "service_tier": "default",
            "system_fingerprint": "fp_mock",
            "choices": choices,
        });
        if let Some(usage) = usage {
            chunk["usage"] = usage;
        }
        chunk
    };
    let usually = match shape {
        UsageShape::Each => Some(usage.clone()),
        _ => tells.then_some(Value::Null),
    };
    let mut events = Vec::new();
    for (index, reply) in replies.iter().enumerate() {
        for delta in deltas(reply) {
            let choice = json!([{"index": index, "delta": delta, "logprobs": null, "finish_reason": null}]);
            events.push(Event::unnamed(chunk(choice, usually.clone())));
        }
        let choice = json!([{"index": index, "delta": {}, "logprobs": null, "finish_reason": finish_reason(reply.finish)}]);
        let merged = shape == UsageShape::Merged && index + 1 == replies.len();
        let told = if merged { Some(usage.clone()) } else { usually.clone() };
        events.push(Event::unnamed(chunk(choice, told)).of_kind(Kind::Finish));
    }
    if tells && shape != UsageShape::Merged {
        events.push(Event::unnamed(chunk(json!([]), Some(usage))));
    }
    events.push(Event::done());
    events
}

fn deltas(reply: &Reply) -> Vec<Value> {
    let mut deltas = vec![if reply.calls.is_empty() {
        json!({"role": "assistant", "content": "", "refusal": null})
    } else {
        json!({"role": "assistant", "content": null})
    }];
    deltas.extend(reply.thoughts.iter().map(|thought| json!({"reasoning_content": thought})));
    let key = if reply.finish == Finish::Refusal { "refusal" } else { "content" };
    deltas.extend(reply.text.iter().map(|piece| json!({key: piece})));
    let mut fragments: Vec<_> =
        reply.calls.iter().enumerate().map(|(index, call)| call_fragments(index, call).into_iter()).collect();
    if reply.interleave {
        while fragments.iter().any(|rest| rest.len() > 0) {
            deltas.extend(fragments.iter_mut().filter_map(Iterator::next));
        }
    }
    deltas.extend(fragments.into_iter().flatten());
    deltas
}

/// Id and name come with the first fragment only.
fn call_fragments(index: usize, call: &Call) -> Vec<Value> {
    let arguments: Vec<char> = call.arguments_text().chars().collect();
    let first = json!({"tool_calls": [{"index": index, "id": format!("call_{}", call.id), "type": "function", "function": {"name": call.name, "arguments": ""}}]});
    let rest = arguments.chunks(FRAGMENT).map(|piece| {
        json!({"tool_calls": [{"index": index, "function": {"arguments": piece.iter().collect::<String>()}}]})
    });
    std::iter::once(first).chain(rest).collect()
}
