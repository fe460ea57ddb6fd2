//! What Bedrock refuses about a conversation: turns that do not alternate, results without calls, thoughts that were changed, names
//! with letters that it does not take.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{
    ask::{Refused, list, text},
    dialects::anthropic::{redacted, signature},
};

const IMAGES: [&str; 4] = ["png", "jpeg", "gif", "webp"];
const DOCUMENTS: [&str; 9] = ["pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md"];
const BLOCKS: [&str; 7] =
    ["text", "image", "document", "toolUse", "toolResult", "reasoningContent", "cachePoint"];

pub(super) fn check(body: &Value, messages: &[Value]) -> Result<(), Refused> {
    let mut awaited: BTreeSet<String> = BTreeSet::new();
    let (mut titles, mut has_calls) = (BTreeSet::new(), false);
    if messages.is_empty() {
        return Err(Refused::invalid("messages: at least one message is required"));
    }
    for (index, message) in messages.iter().enumerate() {
        let expected = if index % 2 == 0 { "user" } else { "assistant" };
        if text(message, "role") != Some(expected) {
            let why = "A conversation must alternate between user and assistant roles, and start with a user message.";
            return Err(Refused::invalid(why));
        }
        let blocks = list(message, "content");
        if blocks.is_empty() {
            return Err(Refused::invalid(format!(
                "The content field in the Message object at messages.{index} is empty."
            )));
        }
        let ids = |member: &str| -> BTreeSet<String> {
            let of = |block: &Value| Some(text(block.get(member)?, "toolUseId")?.to_owned());
            blocks.iter().filter_map(of).collect()
        };
        let results = ids("toolResult");
        if results != awaited {
            let why = "Expected toolResult blocks at messages.{} for the following Ids";
            return Err(Refused::invalid(format!("{}: {awaited:?}", why.replace("{}", &index.to_string()))));
        }
        awaited = ids("toolUse");
        has_calls |= !awaited.is_empty();
        for (place, block) in blocks.iter().enumerate() {
            check_block(&format!("messages.{index}.content.{place}"), block, &mut titles)?;
        }
    }
    let has_tools = !body.pointer("/toolConfig/tools").and_then(Value::as_array).is_none_or(Vec::is_empty);
    if has_calls && !has_tools {
        let why = "The toolConfig field must be defined when using toolUse and toolResult content blocks.";
        return Err(Refused::invalid(why));
    }
    for tool in list(body.get("toolConfig").unwrap_or(&Value::Null), "tools") {
        if let Some(spec) = tool.get("toolSpec") {
            name("toolConfig.tools.toolSpec.name", text(spec, "name").unwrap_or_default())?;
        }
    }
    Ok(())
}

pub(super) fn limits(inference: &Value, more: &Value) -> Result<(), Refused> {
    for member in ["temperature", "topP"] {
        let value = inference.get(member).and_then(Value::as_f64);
        if value.is_some_and(|value| !(0.0..=1.0).contains(&value)) {
            let why = format!(
                "Value at 'inferenceConfig.{member}' failed to satisfy constraint: Member must be less than or equal to 1"
            );
            return Err(Refused::invalid(why));
        }
    }
    let budget = more.pointer("/thinking/budget_tokens").and_then(Value::as_u64);
    let limit = inference.get("maxTokens").and_then(Value::as_u64);
    match (budget, limit) {
        (Some(budget), Some(limit)) if budget >= limit => {
            Err(Refused::invalid("`max_tokens` must be greater than `thinking.budget_tokens`."))
        }
        _ => Ok(()),
    }
}

fn check_block(place: &str, block: &Value, titles: &mut BTreeSet<String>) -> Result<(), Refused> {
    let kinds: Vec<&String> = block.as_object().into_iter().flat_map(|members| members.keys()).collect();
    let [kind] = kinds[..] else {
        return Err(Refused::invalid(format!("{place}: a ContentBlock has exactly one member")));
    };
    let inner = &block[kind];
    match kind.as_str() {
        "text" if inner.as_str().is_none_or(|text| text.trim().is_empty()) => {
            Err(Refused::invalid(format!("The text field in the ContentBlock object at {place} is blank.")))
        }
        "image" => format(place, inner, &IMAGES),
        "document" => {
            format(place, inner, &DOCUMENTS)?;
            title(place, text(inner, "name").unwrap_or_default(), titles)
        }
        "toolUse" => {
            name(place, text(inner, "name").unwrap_or_default())?;
            name(place, text(inner, "toolUseId").unwrap_or_default())?;
            match inner.get("input").is_some_and(Value::is_object) {
                true => Ok(()),
                false => Err(Refused::invalid(format!(
                    "{place}: The format of the value at toolUse.input is invalid. Provide a json object."
                ))),
            }
        }
        "reasoningContent" => thought(place, inner),
        "cachePoint" if text(inner, "type") != Some("default") => {
            Err(Refused::invalid(format!("{place}: cachePoint.type is not default")))
        }
        known if BLOCKS.contains(&known) => Ok(()),
        _ => Err(Refused::invalid(format!("{place}: {kind} is no member of a ContentBlock"))),
    }
}

fn format(place: &str, medium: &Value, known: &[&str]) -> Result<(), Refused> {
    match text(medium, "format") {
        Some(format) if known.contains(&format) => Ok(()),
        other => Err(Refused::invalid(format!("{place}: format {other:?} is none of {known:?}"))),
    }
}

fn title(place: &str, name: &str, titles: &mut BTreeSet<String>) -> Result<(), Refused> {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "-()[] ".contains(letter);
    if name.is_empty() || name.len() > 200 || !name.chars().all(allowed) || name.contains("  ") {
        let why = "The document file name can only contain alphanumeric characters, whitespace characters, hyphens, parentheses, and square brackets.";
        return Err(Refused::invalid(format!("{place}: {why}")));
    }
    match titles.insert(name.to_owned()) {
        true => Ok(()),
        false => Err(Refused::invalid(format!("{place}: duplicate document name {name}"))),
    }
}

fn name(place: &str, name: &str) -> Result<(), Refused> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    match (1..=64).contains(&name.len()) && name.bytes().all(plain) {
        true => Ok(()),
        false => Err(Refused::invalid(format!(
            "{place}: Value '{name}' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_-]+"
        ))),
    }
}

fn thought(place: &str, inner: &Value) -> Result<(), Refused> {
    let signed = inner.get("reasoningText").is_some_and(|thought| {
        let words = text(thought, "text").map(signature);
        words.is_some() && words.as_deref() == text(thought, "signature")
    });
    let sealed = text(inner, "redactedContent").is_some_and(|data| data.len() == redacted("").len());
    match signed || sealed {
        true => Ok(()),
        false => Err(Refused::invalid(format!("{place}: Invalid `signature` in `thinking` block"))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(body: &Value) -> Option<String> {
        check(body, list(body, "messages")).err().map(|refused| refused.message)
    }

    #[test]
    fn turns_alternate_and_results_answer_all_calls() {
        let user = json!({"role": "user", "content": [{"text": "hello"}]});
        let call = json!({"role": "assistant", "content": [{"toolUse": {"toolUseId": "a", "name": "f", "input": {}}}]});
        let result = json!({"role": "user", "content": [{"toolResult": {"toolUseId": "a", "content": [{"text": "1"}]}}]});
        let tools = json!({"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {}}}}]});
        assert_eq!(refusal(&json!({"messages": [user, call, result], "toolConfig": tools})), None);
        assert!(refusal(&json!({"messages": [user, call, result]})).unwrap().contains("toolConfig"));
        assert!(
            refusal(&json!({"messages": [user, call, user], "toolConfig": tools}))
                .unwrap()
                .contains("toolResult")
        );
        assert!(refusal(&json!({"messages": [user, user]})).unwrap().contains("alternate"));
        assert!(refusal(&json!({"messages": [call]})).unwrap().contains("alternate"));
    }

    #[test]
    fn what_it_cannot_read_is_refused_by_its_place() {
        let document =
            |name: &str| json!({"document": {"format": "pdf", "name": name, "source": {"bytes": ""}}});
        for (blocks, words) in [
            (json!([{"text": " "}]), "blank"),
            (json!([{"image": {"format": "bmp"}}]), "format"),
            (json!([document("a.pdf")]), "document file name"),
            (json!([document("a"), document("a")]), "duplicate"),
            (json!([{"text": "a", "image": {}}]), "exactly one"),
            (json!([{"reasoningContent": {"reasoningText": {"text": "a", "signature": "b"}}}]), "signature"),
        ] {
            let found = refusal(&json!({"messages": [{"role": "user", "content": blocks}]})).unwrap();
            assert!(found.contains(words), "{found}");
        }
    }
}
