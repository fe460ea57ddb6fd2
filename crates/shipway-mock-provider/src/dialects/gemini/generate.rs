//! Content: the whole answer, and the stream of such answers, whose usage grows.

use serde_json::{Value, json};

use super::signature;
use crate::{
    ask::Ask,
    dialects::sse::{Event, Kind},
    reply::{Finish, Reply, Usage},
    script::{Script, UsageShape},
};

const fn finish_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::Calls => "STOP",
        Finish::Length => "MAX_TOKENS",
        Finish::Filter | Finish::Refusal => "SAFETY",
    }
}

/// `candidatesTokenCount` has no thoughts in it.
fn usage(usage: &Usage, said: u64) -> Value {
    let mut told = json!({
        "promptTokenCount": usage.input,
        "candidatesTokenCount": said,
        "totalTokenCount": usage.input + said + usage.reasoning,
    });
    if usage.cached > 0 {
        told["cachedContentTokenCount"] = json!(usage.cached);
    }
    if usage.reasoning > 0 {
        told["thoughtsTokenCount"] = json!(usage.reasoning);
    }
    told
}

const fn said(usage: &Usage) -> u64 {
    usage.output.saturating_sub(usage.reasoning)
}

/// The parts of a reply, each with what is thought, said or called at once.
fn parts(reply: &Reply) -> Vec<Value> {
    let thoughts = reply.thoughts.iter().map(|thought| json!({"text": thought, "thought": true}));
    let text = reply.text.iter().map(|piece| json!({"text": piece}));
    let calls = reply.calls.iter().map(|call| {
        let arguments = call.arguments.clone().unwrap_or_else(|| json!({}));
        let mut part = json!({"functionCall": {"id": call.id, "name": call.name, "args": arguments}});
        if !reply.thoughts.is_empty() {
            part["thoughtSignature"] = Value::from(signature(&call.name));
        }
        part
    });
    thoughts.chain(text).chain(calls).collect()
}

fn answer(ask: &Ask, candidates: &Value, told: Option<Value>) -> Value {
    let mut answer = json!({"candidates": candidates});
    if let Some(told) = told {
        answer["usageMetadata"] = told;
    }
    answer["modelVersion"] = Value::from(ask.model.clone());
    answer["responseId"] = Value::from(ask.id("content", 0));
    answer
}

/// The whole answer.
pub(crate) fn whole(ask: &Ask, replies: &[Reply], script: &Script) -> Value {
    let candidates: Value = replies
        .iter()
        .enumerate()
        .map(|(index, reply)| {
            let mut parts: Vec<Value> = Vec::new();
            if !reply.thoughts.is_empty() {
                parts.push(json!({"text": reply.whole_thought(), "thought": true}));
            }
            if !reply.text.is_empty() {
                parts.push(json!({"text": reply.whole_text()}));
            }
            let calls = parts_of_calls(reply);
            parts.extend(calls);
            json!({"content": {"parts": parts, "role": "model"}, "finishReason": finish_reason(reply.finish), "index": index})
        })
        .collect();
    let told = replies
        .first()
        .filter(|_| script.usage.shape != UsageShape::Never)
        .map(|reply| usage(&reply.usage, said(&reply.usage)));
    answer(ask, &candidates, told)
}

fn parts_of_calls(reply: &Reply) -> Vec<Value> {
    parts(reply).into_iter().skip(reply.thoughts.len() + reply.text.len()).collect()
}

/// The stream, of the first candidate: every frame is an answer of its own.
pub(crate) fn events(ask: &Ask, replies: &[Reply], script: &Script) -> Vec<Event> {
    let Some(reply) = replies.first() else { return Vec::new() };
    let mut parts = parts(reply);
    if !reply.thoughts.is_empty() && reply.calls.is_empty() {
        // The last frame says nothing and has the signature.
        parts.push(json!({"text": "", "thoughtSignature": signature("text")}));
    }
    let count = u64::try_from(parts.len()).unwrap_or(u64::MAX);
    let last = parts.len().saturating_sub(1);
    parts
        .into_iter()
        .enumerate()
        .map(|(number, part)| {
            let mut candidate = json!({"content": {"parts": [part], "role": "model"}, "index": 0});
            let so_far = u64::try_from(number + 1).unwrap_or(u64::MAX);
            let mut told = said(&reply.usage) * so_far / count;
            if number == last {
                candidate["finishReason"] = Value::from(finish_reason(reply.finish));
                told = said(&reply.usage);
            }
            let told = (script.usage.shape != UsageShape::Never).then(|| usage(&reply.usage, told));
            let event = Event::unnamed(answer(ask, &json!([candidate]), told));
            // What ends the stream is the reason in the last frame; there is no other terminator.
            if number == last { event.of_kind(Kind::End) } else { event }
        })
        .collect()
}

/// The answer to a request that counts tokens.
pub(crate) fn count(ask: &Ask, script: &Script) -> Value {
    let counted = u64::try_from(ask.body_bytes.div_ceil(4)).unwrap_or(u64::MAX);
    json!({"totalTokens": script.usage.input.unwrap_or(counted)})
}
