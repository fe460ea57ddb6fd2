//! What Anthropic refuses about messages: results without calls, calls without results, thoughts that were changed or left out.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{redacted, signature};
use crate::ask::{Refused, list, text};

const BLOCKS: [&str; 10] = [
    "text",
    "image",
    "document",
    "search_result",
    "thinking",
    "redacted_thinking",
    "tool_use",
    "tool_result",
    "server_tool_use",
    "web_search_tool_result",
];

pub(super) fn check(messages: &[Value], thinks: bool) -> Result<(), Refused> {
    let mut awaited: BTreeSet<&str> = BTreeSet::new();
    for (index, message) in messages.iter().enumerate() {
        let role = text(message, "role").unwrap_or_default();
        if role != "user" && role != "assistant" {
            return Err(Refused::invalid(format!(
                "messages.{index}.role: Input should be 'user' or 'assistant'"
            )));
        }
        let blocks = list(message, "content");
        if text(message, "content").is_none() && !message.get("content").is_some_and(Value::is_array) {
            return Err(Refused::invalid(format!("messages.{index}.content: Field required")));
        }
        let is_last = index + 1 == messages.len();
        let empty = text(message, "content").map_or(blocks.is_empty(), str::is_empty);
        if empty && !(is_last && role == "assistant") {
            return Err(Refused::invalid(format!(
                "messages.{index}: all messages must have non-empty content except for the optional final assistant message"
            )));
        }
        check_results(index, blocks, &awaited)?;
        awaited = calls(blocks).collect();
        for (place, block) in blocks.iter().enumerate() {
            check_block(&format!("messages.{index}.content.{place}"), block)?;
        }
    }
    if let Some(id) = awaited.first() {
        return Err(unanswered(messages.len().saturating_sub(1), id));
    }
    if thinks { check_thought(messages) } else { Ok(()) }
}

fn calls(blocks: &[Value]) -> impl Iterator<Item = &str> {
    blocks
        .iter()
        .filter(|block| text(block, "type") == Some("tool_use"))
        .filter_map(|block| text(block, "id"))
}

fn unanswered(index: usize, id: &str) -> Refused {
    Refused::invalid(format!(
        "messages.{index}: `tool_use` ids were found without `tool_result` blocks immediately after: {id}. \
         Each `tool_use` block must have a corresponding `tool_result` block in the next message."
    ))
}

fn check_results(index: usize, blocks: &[Value], awaited: &BTreeSet<&str>) -> Result<(), Refused> {
    let mut missing = awaited.clone();
    for (place, block) in
        blocks.iter().enumerate().filter(|(_, block)| text(block, "type") == Some("tool_result"))
    {
        let id = text(block, "tool_use_id").unwrap_or_default();
        if !awaited.contains(id) {
            return Err(Refused::invalid(format!(
                "messages.{index}.content.{place}: unexpected `tool_use_id` found in `tool_result` blocks: {id}. \
                 Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
            )));
        }
        missing.remove(id);
    }
    missing.first().map_or(Ok(()), |id| Err(unanswered(index.saturating_sub(1), id)))
}

fn check_block(place: &str, block: &Value) -> Result<(), Refused> {
    let kind = text(block, "type").unwrap_or_default();
    match kind {
        "text" if text(block, "text").is_none_or(|text| text.trim().is_empty()) => {
            Err(Refused::invalid(format!("{place}: text content blocks must be non-empty")))
        }
        "tool_use" if !block.get("input").is_some_and(Value::is_object) => {
            Err(Refused::invalid(format!("{place}.tool_use.input: Input should be a valid dictionary")))
        }
        "thinking" => {
            let signed = text(block, "thinking").map(signature);
            if signed.as_deref() == text(block, "signature") && signed.is_some() {
                return Ok(());
            }
            Err(Refused::invalid(format!("{place}: Invalid `signature` in `thinking` block")))
        }
        "redacted_thinking" if text(block, "data").is_none_or(|data| data.len() != redacted("").len()) => {
            Err(Refused::invalid(format!("{place}: Invalid `data` in `redacted_thinking` block")))
        }
        _ if BLOCKS.contains(&kind) => Ok(()),
        _ => Err(Refused::invalid(format!(
            "{place}: Input tag '{kind}' found using 'type' does not match any of the expected tags: {}",
            BLOCKS.map(|block| format!("'{block}'")).join(", ")
        ))),
    }
}

/// Whoever thinks and has called tools must show, when the results come, what it thought before the calls.
fn check_thought(messages: &[Value]) -> Result<(), Refused> {
    let results_last = messages.last().is_some_and(|last| {
        list(last, "content").iter().any(|block| text(block, "type") == Some("tool_result"))
    });
    let Some((index, assistant)) =
        messages.iter().enumerate().rfind(|(_, message)| text(message, "role") == Some("assistant"))
    else {
        return Ok(());
    };
    let first = list(assistant, "content").first().and_then(|block| text(block, "type")).unwrap_or("text");
    if !results_last || first == "thinking" || first == "redacted_thinking" {
        return Ok(());
    }
    Err(Refused::invalid(format!(
        "messages.{index}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{first}`. When `thinking` is enabled, \
         a final `assistant` message must start with a thinking block (preceeding the lastmost set of `tool_use` and `tool_result` blocks)."
    )))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(messages: &Value, thinks: bool) -> Option<String> {
        check(messages.as_array().unwrap(), thinks).err().map(|refused| refused.message)
    }

    fn call(id: &str) -> Value {
        json!({"type": "tool_use", "id": id, "name": "f", "input": {}})
    }

    fn result(id: &str) -> Value {
        json!({"type": "tool_result", "tool_use_id": id, "content": "1"})
    }

    #[test]
    fn all_calls_are_answered_in_the_next_message() {
        let user = json!({"role": "user", "content": "hello"});
        let calls = json!({"role": "assistant", "content": [call("a"), call("b")]});
        let results = |ids: &[&str]| json!({"role": "user", "content": ids.iter().map(|id| result(id)).collect::<Vec<_>>()});

        assert_eq!(refusal(&json!([user, calls, results(&["b", "a"])]), false), None);
        assert!(
            refusal(&json!([user, calls, results(&["a"])]), false).unwrap().contains("immediately after: b")
        );
        assert!(refusal(&json!([user, calls, user]), false).unwrap().contains("immediately after: a"));
        assert!(refusal(&json!([user, calls]), false).unwrap().starts_with("messages.1: `tool_use`"));
        assert!(
            refusal(&json!([user, results(&["a"])]), false).unwrap().contains("unexpected `tool_use_id`")
        );
    }

    #[test]
    fn a_thought_comes_back_as_it_was_signed() {
        let thought = |text: &str, signed: &str| json!({"type": "thinking", "thinking": text, "signature": signature(signed)});
        let user = json!({"role": "user", "content": "hello"});
        let turn = |blocks: Value| json!([user, {"role": "assistant", "content": blocks}, {"role": "user", "content": [result("a")]}]);

        assert_eq!(refusal(&turn(json!([thought("so", "so"), call("a")])), true), None);
        assert_eq!(
            refusal(&turn(json!([{"type": "redacted_thinking", "data": redacted("so")}, call("a")])), true),
            None
        );
        assert!(
            refusal(&turn(json!([thought("so", "not so"), call("a")])), true)
                .unwrap()
                .contains("Invalid `signature`")
        );
        assert!(refusal(&turn(json!([call("a")])), true).unwrap().contains("Expected `thinking`"));
        assert_eq!(refusal(&turn(json!([call("a")])), false), None);
    }

    #[test]
    fn what_says_nothing_or_nothing_known_is_refused() {
        assert!(refusal(&json!([{"role": "system", "content": "be kind"}]), false).unwrap().contains("role"));
        assert!(refusal(&json!([{"role": "user", "content": ""}]), false).unwrap().contains("non-empty"));
        assert!(
            refusal(&json!([{"role": "user", "content": [{"type": "text", "text": " "}]}]), false)
                .unwrap()
                .contains("non-empty")
        );
        assert!(
            refusal(&json!([{"role": "user", "content": [{"type": "image_url"}]}]), false)
                .unwrap()
                .contains("'image_url'")
        );
    }
}
