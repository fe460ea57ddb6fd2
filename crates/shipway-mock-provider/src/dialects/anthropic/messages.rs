//! Messages: the whole answer, and what it shares with the stream.

use serde_json::{Value, json};

pub(crate) use super::messages_stream::events;
use super::{redacted, signature};
use crate::{
    ask::Ask,
    reply::{Call, Finish, Reply, Usage},
    script::{Script, UsageShape},
};

/// A block of an answer.
pub(super) enum Block<'a> {
    Thinking(&'a [String]),
    Redacted(String),
    Text(&'a [String]),
    ToolUse(&'a Call),
}

/// The blocks of a reply, in their order.
pub(super) fn blocks(reply: &Reply) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    if !reply.thoughts.is_empty() {
        blocks.push(if reply.redacted {
            Block::Redacted(redacted(&reply.whole_thought()))
        } else {
            Block::Thinking(&reply.thoughts)
        });
    }
    if !reply.text.is_empty() {
        blocks.push(Block::Text(&reply.text));
    }
    blocks.extend(reply.calls.iter().map(Block::ToolUse));
    blocks
}

pub(super) const fn stop_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "end_turn",
        Finish::Length => "max_tokens",
        Finish::Calls => "tool_use",
        Finish::Filter | Finish::Refusal => "refusal",
    }
}

/// Anthropic counts what comes from the cache, or goes into it, beside the input.
pub(super) fn usage(usage: &Usage) -> Value {
    json!({
        "input_tokens": usage.fresh(),
        "cache_creation_input_tokens": usage.cache_write + usage.cache_write_1h,
        "cache_read_input_tokens": usage.cached,
        "cache_creation": {"ephemeral_5m_input_tokens": usage.cache_write, "ephemeral_1h_input_tokens": usage.cache_write_1h},
        "output_tokens": usage.output,
        "service_tier": "standard",
    })
}

pub(super) fn id(ask: &Ask) -> String {
    format!("msg_{}", ask.id("message", 0))
}

pub(super) fn call_id(call: &Call) -> String {
    format!("toolu_{}", call.id)
}

/// The whole answer.
pub(crate) fn whole(ask: &Ask, reply: &Reply, script: &Script) -> Value {
    let content: Vec<_> = blocks(reply)
        .iter()
        .map(|block| match block {
            Block::Thinking(pieces) => {
                let thought = pieces.concat();
                json!({"type": "thinking", "thinking": thought, "signature": signature(&thought)})
            }
            Block::Redacted(data) => json!({"type": "redacted_thinking", "data": data}),
            Block::Text(pieces) => json!({"type": "text", "text": pieces.concat()}),
            Block::ToolUse(call) => {
                json!({"type": "tool_use", "id": call_id(call), "name": call.name, "input": call.arguments.clone().unwrap_or_else(|| json!({}))})
            }
        })
        .collect();
    let mut answer = json!({
        "id": id(ask),
        "type": "message",
        "role": "assistant",
        "model": ask.model,
        "content": content,
        "stop_reason": stop_reason(reply.finish),
        "stop_sequence": null,
    });
    if script.usage.shape != UsageShape::Never {
        answer["usage"] = usage(&reply.usage);
    }
    answer
}

/// The answer to a request that counts tokens.
pub(crate) fn count(ask: &Ask, script: &Script) -> Value {
    let counted = u64::try_from(ask.body_bytes.div_ceil(4)).unwrap_or(u64::MAX);
    json!({"input_tokens": script.usage.input.unwrap_or(counted)})
}
