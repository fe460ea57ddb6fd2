//! The first lines of what went into a trace and came out of it.
//!
//! Of a conversation the last message of the asked role is shown, in the forms of OpenAI's chat and responses interfaces, of Anthropic's
//! messages, and of the conventions of OpenTelemetry.

use serde_json::Value;

/// The most characters of a preview.
const LENGTH: usize = 1_000;
/// How deep requests may be wrapped into each other.
const WRAPS: usize = 8;

/// Whose message is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    User,
    Assistant,
}

impl Role {
    const fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// The preview of inputs or outputs, which are JSON text.
pub(crate) fn preview(text: &str, role: Role) -> String {
    let value: Option<Value> = serde_json::from_str(text).ok();
    let message = value.as_ref().and_then(|value| message(value, role, WRAPS));
    let shown = message.filter(|shown| !shown.is_empty()).unwrap_or_else(|| text.to_owned());
    if shown.chars().count() <= LENGTH {
        return shown;
    }
    let start: String = shown.chars().take(LENGTH - 3).collect();
    format!("{start}...")
}

fn message(value: &Value, role: Role, wraps: usize) -> Option<String> {
    let messages = messages(value, wraps)?;
    let of_role = messages
        .iter()
        .rev()
        .find(|message| message.get("role").and_then(Value::as_str) == Some(role.word()));
    of_role.or(messages.last()).map(content)
}

fn is_message(value: &Value) -> bool {
    value.get("role").is_some() && (value.get("content").is_some() || value.get("parts").is_some())
}

fn messages(value: &Value, wraps: usize) -> Option<Vec<Value>> {
    if let Some(list) = value.as_array() {
        let found: Vec<Value> = list.iter().filter(|item| is_message(item)).cloned().collect();
        return (!found.is_empty()).then_some(found);
    }
    let fields = value.as_object()?;
    let listed = |name: &str| {
        let list = fields.get(name)?.as_array().filter(|list| !list.is_empty())?;
        Some(list.iter().filter(|item| is_message(item)).cloned().collect())
    };
    let chosen = || {
        let message = fields.get("choices")?.as_array()?.first()?.get("message")?;
        is_message(message).then(|| vec![message.clone()])
    };
    listed("messages")
        .or_else(chosen)
        .or_else(|| listed("input"))
        .or_else(|| listed("output"))
        .or_else(|| {
            let request = fields.get("request")?;
            if wraps == 0 { None } else { messages(request, wraps - 1) }
        })
        .or_else(|| is_message(value).then(|| vec![value.clone()]))
}

fn content(message: &Value) -> String {
    let text = |part: &Value| match part {
        Value::String(text) => Some(text.clone()),
        part if matches!(
            part.get("type").and_then(Value::as_str),
            Some("text" | "input_text" | "output_text")
        ) =>
        {
            part.get("text").or_else(|| part.get("content")).and_then(Value::as_str).map(str::to_owned)
        }
        _ => None,
    };
    match message.get("content").or_else(|| message.get("parts")) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => parts.iter().find_map(text).unwrap_or_default(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_message_of_the_role_is_shown() {
        for (text, role, expected) in [
            (r#"{"x": 3}"#, Role::User, r#"{"x": 3}"#),
            ("plain", Role::User, "plain"),
            // As MLflow shows it.
            (r#""a text""#, Role::User, r#""a text""#),
            (
                r#"{"messages": [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}]}"#,
                Role::User,
                "hello",
            ),
            (r#"{"choices": [{"message": {"role": "assistant", "content": "hi"}}]}"#, Role::Assistant, "hi"),
            (
                r#"{"output": [{"role": "assistant", "content": [{"type": "output_text", "text": "part"}]}]}"#,
                Role::Assistant,
                "part",
            ),
            (
                r#"[{"role": "user", "parts": [{"type": "text", "content": "asked"}]}, {"role": "assistant", "parts": []}]"#,
                Role::User,
                "asked",
            ),
            (
                r#"{"role": "assistant", "content": [{"type": "text", "text": "one"}]}"#,
                Role::Assistant,
                "one",
            ),
            (r#"[1, 2]"#, Role::User, "[1, 2]"),
            (r#"{"request": {"input": [{"role": "user", "content": "in"}]}}"#, Role::User, "in"),
            (
                r#"{"messages": [{"role": "user", "content": ""}]}"#,
                Role::User,
                r#"{"messages": [{"role": "user", "content": ""}]}"#,
            ),
        ] {
            assert_eq!(preview(text, role), expected, "{text}");
        }
    }

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        let cut = preview(&"\u{e4}".repeat(1_001), Role::User);
        assert_eq!(cut.chars().count(), 1_000);
        assert!(cut.ends_with("\u{e4}..."));
        assert_eq!(preview(&"a".repeat(1_000), Role::User).len(), 1_000);
    }
}
