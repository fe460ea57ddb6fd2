//! The whole answer, and the stream: texts and thoughts begin with their first piece, calls with an event of their own.

use serde_json::{Value, json};

use crate::{
    dialects::{
        anthropic::{redacted, signature},
        sse::{Event, Kind},
    },
    reply::{Call, Finish, Reply, Usage},
    script::{Script, UsageShape},
};

/// Fragments of arguments have so many characters.
const FRAGMENT: usize = 12;

const fn stop_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::Refusal => "end_turn",
        Finish::Length => "max_tokens",
        Finish::Calls => "tool_use",
        Finish::Filter => "guardrail_intervened",
    }
}

/// What comes from the cache, or goes into it, is beside the input.
fn usage(usage: &Usage) -> Value {
    let written = usage.cache_write + usage.cache_write_1h;
    let mut told = json!({
        "inputTokens": usage.fresh(),
        "outputTokens": usage.output,
        "totalTokens": usage.total(),
        "cacheReadInputTokens": usage.cached,
        "cacheWriteInputTokens": written,
    });
    if written > 0 {
        told["cacheDetails"] = json!([
            {"ttl": "1h", "inputTokens": usage.cache_write_1h},
            {"ttl": "5m", "inputTokens": usage.cache_write},
        ]);
    }
    told
}

fn call_id(call: &Call) -> String {
    format!("tooluse_{}", call.id)
}

/// The whole answer.
pub(crate) fn whole(reply: &Reply, script: &Script) -> Value {
    let mut content = Vec::new();
    if !reply.thoughts.is_empty() {
        let thought = reply.whole_thought();
        let block = match reply.redacted {
            true => json!({"redactedContent": redacted(&thought)}),
            false => json!({"reasoningText": {"text": thought, "signature": signature(&thought)}}),
        };
        content.push(json!({"reasoningContent": block}));
    }
    if !reply.text.is_empty() {
        content.push(json!({"text": reply.whole_text()}));
    }
    content.extend(reply.calls.iter().map(|call| {
        let input = call.arguments.clone().unwrap_or_else(|| json!({}));
        json!({"toolUse": {"toolUseId": call_id(call), "name": call.name, "input": input}})
    }));
    let mut answer = json!({
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": stop_reason(reply.finish),
        "metrics": {"latencyMs": 1},
    });
    if script.usage.shape != UsageShape::Never {
        answer["usage"] = usage(&reply.usage);
    }
    answer
}

/// The stream.
pub(crate) fn events(reply: &Reply, script: &Script) -> Vec<Event> {
    let mut blocks: Vec<Vec<Event>> = Vec::new();
    let delta = |index: usize, delta: Value| {
        Event::named("contentBlockDelta", json!({"contentBlockIndex": index, "delta": delta}))
    };
    if !reply.thoughts.is_empty() {
        let index = blocks.len();
        let thought = reply.whole_thought();
        let piece = |piece: Value| delta(index, json!({"reasoningContent": piece}));
        blocks.push(match reply.redacted {
            true => vec![piece(json!({"redactedContent": redacted(&thought)}))],
            false => {
                let thoughts = reply.thoughts.iter().map(|text| piece(json!({"text": text})));
                thoughts.chain([piece(json!({"signature": signature(&thought)}))]).collect()
            }
        });
    }
    if !reply.text.is_empty() {
        let index = blocks.len();
        blocks.push(reply.text.iter().map(|text| delta(index, json!({"text": text}))).collect());
    }
    for call in &reply.calls {
        let index = blocks.len();
        let start = json!({"toolUse": {"toolUseId": call_id(call), "name": call.name}});
        let start = Event::named("contentBlockStart", json!({"contentBlockIndex": index, "start": start}));
        let letters: Vec<char> = call.arguments_text().chars().collect();
        let fragments = letters
            .chunks(FRAGMENT)
            .map(|piece| delta(index, json!({"toolUse": {"input": piece.iter().collect::<String>()}})));
        blocks.push(std::iter::once(start).chain(fragments).collect());
    }
    let mut events = vec![Event::named("messageStart", json!({"role": "assistant"}))];
    for (index, block) in blocks.into_iter().enumerate() {
        events.extend(block);
        events.push(Event::named("contentBlockStop", json!({"contentBlockIndex": index})));
    }
    let stop = json!({"stopReason": stop_reason(reply.finish)});
    events.push(Event::named("messageStop", stop).of_kind(Kind::Finish));
    let mut metadata = json!({"metrics": {"latencyMs": 1}});
    if script.usage.shape != UsageShape::Never {
        metadata["usage"] = usage(&reply.usage);
    }
    events.push(Event::named("metadata", metadata).of_kind(Kind::End));
    events
}
