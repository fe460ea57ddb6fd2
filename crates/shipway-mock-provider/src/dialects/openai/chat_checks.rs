//! What OpenAI refuses about the messages of a chat.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::ask::{Refused, list, text};

/// Every answer of a tool must belong to a call, and every call must be answered, before anything else is said.
pub(super) fn check(messages: &[Value]) -> Result<(), Refused> {
    let mut awaited: BTreeSet<&str> = BTreeSet::new();
    let mut called: BTreeSet<&str> = BTreeSet::new();
    for (index, message) in messages.iter().enumerate() {
        let role = text(message, "role").ok_or_else(|| {
            Refused::at("messages", format!("Missing required parameter: 'messages[{index}].role'."))
        })?;
        if role == "tool" {
            let id = text(message, "tool_call_id").unwrap_or_default();
            if !called.contains(id) {
                return Err(Refused::at(
                    "messages",
                    "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.",
                ));
            }
            awaited.remove(id);
            continue;
        }
        if let Some(id) = awaited.first() {
            return Err(unanswered(id));
        }
        match role {
            "system" | "developer" | "user" | "function" => {}
            "assistant" => {
                let calls = list(message, "tool_calls");
                called = calls.iter().filter_map(|call| text(call, "id")).collect();
                awaited.clone_from(&called);
                if calls.is_empty()
                    && message.get("content").is_none_or(Value::is_null)
                    && text(message, "refusal").is_none()
                {
                    return Err(Refused::at(
                        "messages",
                        format!(
                            "Invalid value for 'content': expected a string, got null at messages.[{index}].content."
                        ),
                    ));
                }
                calls.iter().try_for_each(|call| check_arguments(index, call))?;
            }
            _ => {
                return Err(Refused::at(
                    "messages",
                    format!(
                        "Invalid value: '{role}'. Supported values are: 'system', 'assistant', 'user', 'function', 'tool', and 'developer'."
                    ),
                ));
            }
        }
    }
    awaited.first().map_or(Ok(()), |id| Err(unanswered(id)))
}

fn unanswered(id: &str) -> Refused {
    Refused::at(
        "messages",
        format!(
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The following tool_call_ids did not have response messages: {id}"
        ),
    )
}

/// Arguments are JSON text; nothing but an object can be one's arguments.
fn check_arguments(index: usize, call: &Value) -> Result<(), Refused> {
    let arguments = call.get("function").and_then(|function| text(function, "arguments"));
    let parsed = arguments.and_then(|arguments| serde_json::from_str::<Value>(arguments).ok());
    if parsed.is_some_and(|value| value.is_object()) {
        return Ok(());
    }
    Err(Refused::at(
        "messages",
        format!("Invalid 'messages[{index}].tool_calls': 'arguments' must be the text of a JSON object."),
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(messages: &Value) -> Option<String> {
        check(messages.as_array().unwrap()).err().map(|refused| refused.message)
    }

    #[test]
    fn calls_are_answered_one_by_one_before_anything_else_is_said() {
        let call =
            |id: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}});
        let calls = json!({"role": "assistant", "content": null, "tool_calls": [call("a"), call("b")]});
        let answer = |id: &str| json!({"role": "tool", "tool_call_id": id, "content": "1"});
        let user = json!({"role": "user", "content": "hello"});

        assert_eq!(refusal(&json!([user, calls, answer("b"), answer("a"), user])), None);
        assert!(
            refusal(&json!([user, calls, answer("a"), user]))
                .unwrap()
                .ends_with("did not have response messages: b")
        );
        assert!(refusal(&json!([user, calls, answer("a")])).unwrap().ends_with(": b"));
        assert!(refusal(&json!([user, answer("a")])).unwrap().contains("preceeding message"));
        assert!(refusal(&json!([user, calls, answer("c")])).unwrap().contains("preceeding message"));
    }

    #[test]
    fn an_assistant_says_something_or_calls_with_an_object() {
        assert!(
            refusal(&json!([{"role": "assistant", "content": null}]))
                .unwrap()
                .contains("messages.[0].content")
        );
        let call = json!({"id": "a", "function": {"name": "f", "arguments": ""}});
        assert!(
            refusal(&json!([{"role": "assistant", "tool_calls": [call]}])).unwrap().contains("JSON object")
        );
        assert!(
            refusal(&json!([{"role": "robot", "content": ""}]))
                .unwrap()
                .starts_with("Invalid value: 'robot'.")
        );
    }
}
