//! Messages: the stream.

use serde_json::{Value, json};

use super::{
    messages::{Block, blocks, call_id, id, stop_reason, usage},
    signature,
};
use crate::{
    ask::Ask,
    dialects::sse::{Event, Kind},
    reply::Reply,
    script::{Script, UsageShape},
};

/// Fragments of arguments have so many characters.
const FRAGMENT: usize = 12;

/// The stream: usage of the input at its start, all of it at its end.
pub(crate) fn events(ask: &Ask, reply: &Reply, script: &Script) -> Vec<Event> {
    let tells = script.usage.shape != UsageShape::Never;
    let mut events = vec![start(ask, reply, tells)];
    let ping = || Event::named("ping", json!({"type": "ping"}));
    for (index, block) in blocks(reply).iter().enumerate() {
        events.push(Event::named(
            "content_block_start",
            json!({"type": "content_block_start", "index": index, "content_block": opened(block)}),
        ));
        if index == 0 {
            events.push(ping());
        }
        for delta in deltas(block) {
            if script.framing.pings {
                events.push(ping());
            }
            events.push(Event::named(
                "content_block_delta",
                json!({"type": "content_block_delta", "index": index, "delta": delta}),
            ));
        }
        events
            .push(Event::named("content_block_stop", json!({"type": "content_block_stop", "index": index})));
    }
    let mut last = json!({"type": "message_delta", "delta": {"stop_reason": stop_reason(reply.finish), "stop_sequence": null}});
    if tells {
        let told = usage(&reply.usage);
        let keys =
            ["input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens"];
        last["usage"] = keys.iter().map(|key| ((*key).to_owned(), told[*key].clone())).collect();
    }
    events.push(Event::named("message_delta", last).of_kind(Kind::Finish));
    events.push(Event::named("message_stop", json!({"type": "message_stop"})).of_kind(Kind::End));
    events
}

fn start(ask: &Ask, reply: &Reply, tells: bool) -> Event {
    let mut message = json!({
        "id": id(ask),
        "type": "message",
        "role": "assistant",
        "model": ask.model,
        "content": [],
        "stop_reason": null,
        "stop_sequence": null,
    });
    if tells {
        let mut begun = usage(&reply.usage);
        begun["output_tokens"] = json!(1);
        message["usage"] = begun;
    } else {
        // The client's SDK needs it there.
        message["usage"] = json!({"input_tokens": 0, "output_tokens": 0});
    }
    Event::named("message_start", json!({"type": "message_start", "message": message}))
}

fn opened(block: &Block<'_>) -> Value {
    match block {
        Block::Thinking(_) => json!({"type": "thinking", "thinking": "", "signature": ""}),
        Block::Redacted(data) => json!({"type": "redacted_thinking", "data": data}),
        Block::Text(_) => json!({"type": "text", "text": ""}),
        Block::ToolUse(call) => {
            json!({"type": "tool_use", "id": call_id(call), "name": call.name, "input": {}})
        }
    }
}

fn deltas(block: &Block<'_>) -> Vec<Value> {
    match block {
        Block::Thinking(pieces) => {
            let thoughts = pieces.iter().map(|piece| json!({"type": "thinking_delta", "thinking": piece}));
            thoughts
                .chain([json!({"type": "signature_delta", "signature": signature(&pieces.concat())})])
                .collect()
        }
        Block::Redacted(_) => Vec::new(),
        Block::Text(pieces) => {
            pieces.iter().map(|piece| json!({"type": "text_delta", "text": piece})).collect()
        }
        Block::ToolUse(call) => {
            let arguments: Vec<char> = call.arguments_text().chars().collect();
            let fragment = |piece: String| json!({"type": "input_json_delta", "partial_json": piece});
            // The first fragment is empty; a call without arguments has no other.
            let rest = arguments.chunks(FRAGMENT).map(|piece| fragment(piece.iter().collect()));
            std::iter::once(fragment(String::new())).chain(rest).collect()
        }
    }
}
