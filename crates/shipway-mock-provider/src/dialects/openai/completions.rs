//! Text completions, the older form.

use serde_json::{Value, json};

use super::{chat::finish_reason, completion_usage};
use crate::{
    ask::{Ask, Refused, flag, list, text},
    dialects::{
        CREATED,
        sse::{Event, Kind},
    },
    reply::Reply,
    script::{Script, UsageShape},
};

pub(crate) fn read(body: &Value) -> Result<Ask, Refused> {
    let model = text(body, "model").ok_or_else(|| Refused::invalid("you must provide a model parameter"))?;
    let prompts = match body.get("prompt") {
        None => return Err(Refused::at("prompt", "Missing required parameter: 'prompt'.")),
        Some(Value::Array(prompts)) if prompts.first().is_some_and(|prompt| !prompt.is_number()) => {
            prompts.len()
        }
        Some(_) => 1,
    };
    let each = body
        .get("n")
        .and_then(Value::as_u64)
        .and_then(|n| usize::try_from(n).ok())
        .unwrap_or(1)
        .clamp(1, 128);
    let said = text(body, "prompt").or_else(|| list(body, "prompt").last().and_then(Value::as_str));
    Ok(Ask {
        model: model.to_owned(),
        stream: flag(body, "stream"),
        wants_usage: body.get("stream_options").is_some_and(|options| flag(options, "include_usage")),
        choices: (prompts * each).min(128),
        messages: prompts,
        said: said.unwrap_or_default().to_owned(),
        ..Ask::default()
    })
}

fn answer(ask: &Ask, choices: &Value) -> Value {
    json!({
        "id": format!("cmpl-{}", ask.id("completion", 0)),
        "object": "text_completion",
        "created": CREATED,
        "model": ask.model,
        "choices": choices,
        "system_fingerprint": "fp_mock",
    })
}

pub(crate) fn whole(ask: &Ask, replies: &[Reply], script: &Script) -> Value {
    let choices: Value = replies
        .iter()
        .enumerate()
        .map(|(index, reply)| json!({"text": reply.whole_text(), "index": index, "logprobs": null, "finish_reason": finish_reason(reply.finish)}))
        .collect();
    let mut answer = answer(ask, &choices);
    if script.usage.shape != UsageShape::Never {
        answer["usage"] = completion_usage(&super::all_choices(replies));
    }
    answer
}

pub(crate) fn events(ask: &Ask, replies: &[Reply], script: &Script) -> Vec<Event> {
    let shape = script.usage.shape;
    let tells = shape != UsageShape::Never && (ask.wants_usage || shape != UsageShape::Usual);
    let mut events = Vec::new();
    for (index, reply) in replies.iter().enumerate() {
        let last = reply.text.len().saturating_sub(1);
        for (number, piece) in reply.text.iter().enumerate() {
            let finish = if number == last { Value::from(finish_reason(reply.finish)) } else { Value::Null };
            let choice = json!([{"text": piece, "index": index, "logprobs": null, "finish_reason": finish}]);
            let kind = if number == last { Kind::Finish } else { Kind::Content };
            events.push(Event::unnamed(answer(ask, &choice)).of_kind(kind));
        }
    }
    if tells {
        let mut told = answer(ask, &json!([]));
        told["usage"] = completion_usage(&super::all_choices(replies));
        events.push(Event::unnamed(told));
    }
    events.push(Event::done());
    events
}
