//! Conversations that are spread over numbered attributes, as OpenLLMetry and OpenInference send them, put together again; and those that
//! the older conventions for generative AI send as events of a span. Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::value::spaced;

/// Where a convention has the messages of one side.
struct Numbered {
    /// Before the number.
    prefix: &'static str,
    /// Between the number and the members.
    infix: &'static str,
    /// Who says a message that does not say it.
    role: &'static str,
}

const ASKED: [Numbered; 2] = [
    Numbered { prefix: "gen_ai.prompt.", infix: "", role: "user" },
    Numbered { prefix: "llm.input_messages.", infix: "message.", role: "user" },
];
const ANSWERED: [Numbered; 2] = [
    Numbered { prefix: "gen_ai.completion.", infix: "", role: "assistant" },
    Numbered { prefix: "llm.output_messages.", infix: "message.", role: "assistant" },
];
const DOCUMENTS: &str = "retrieval.documents.";

/// What was asked, as the JSON text of an object with `messages`.
pub(super) fn asked(attributes: &Map<String, Value>) -> Option<String> {
    ASKED.iter().find_map(|numbered| numbered.conversation(attributes))
}

/// What was answered, likewise; of a retriever the documents that it found.
pub(super) fn answered(attributes: &Map<String, Value>) -> Option<String> {
    ANSWERED.iter().find_map(|numbered| numbered.conversation(attributes)).or_else(|| documents(attributes))
}

/// What an attribute says: they are kept as JSON texts.
fn said(value: &Value) -> Value {
    value.as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or(Value::Null)
}

/// Number and rest of the keys with a prefix, with what they say.
fn members<'a>(
    attributes: &'a Map<String, Value>,
    prefix: &'a str,
) -> impl Iterator<Item = (u32, &'a str, Value)> {
    attributes.iter().filter_map(move |(key, value)| {
        let (number, rest) = key.strip_prefix(prefix)?.split_once('.')?;
        Some((number.parse().ok()?, rest, said(value)))
    })
}

impl Numbered {
    fn conversation(&self, attributes: &Map<String, Value>) -> Option<String> {
        let mut messages: BTreeMap<u32, Message> = BTreeMap::new();
        for (number, rest, value) in members(attributes, self.prefix) {
            if let Some(member) = rest.strip_prefix(self.infix) {
                messages.entry(number).or_default().take(member, value);
            }
        }
        if messages.is_empty() {
            return None;
        }
        let messages: Vec<Value> = messages.into_values().map(|message| message.value(self.role)).collect();
        Some(spaced(&json!({ "messages": messages })))
    }
}

/// A message that is put together.
#[derive(Default)]
struct Message {
    role: Option<Value>,
    content: Option<Value>,
    /// Parts of a content that has several, by their number.
    contents: BTreeMap<u32, String>,
    calls: BTreeMap<u32, Map<String, Value>>,
}

impl Message {
    fn take(&mut self, member: &str, value: Value) {
        match member.split('.').collect::<Vec<_>>().as_slice() {
            ["role"] => self.role = Some(value),
            ["content"] => self.content = Some(value),
            ["contents", number, .., "text"] => {
                if let (Ok(number), Value::String(text)) = (number.parse(), value) {
                    self.contents.insert(number, text);
                }
            }
            ["tool_calls", number, .., name @ ("id" | "name" | "arguments")] => {
                if let Ok(number) = number.parse() {
                    self.calls.entry(number).or_default().insert((*name).to_owned(), value);
                }
            }
            _ => {}
        }
    }

    fn value(self, role: &str) -> Value {
        let texts = || self.contents.values().cloned().collect::<Vec<_>>().join("\n");
        let content = self.content.clone().unwrap_or_else(|| Value::String(texts()));
        let mut message = json!({ "role": self.role.unwrap_or_else(|| role.into()), "content": content });
        if !self.calls.is_empty() {
            let calls: Vec<Value> = self.calls.into_values().map(Value::Object).collect();
            message["tool_calls"] = Value::Array(calls);
        }
        message
    }
}

fn documents(attributes: &Map<String, Value>) -> Option<String> {
    let mut documents: BTreeMap<u32, Map<String, Value>> = BTreeMap::new();
    for (number, rest, value) in members(attributes, DOCUMENTS) {
        if let Some(name) = rest.strip_prefix("document.") {
            documents.entry(number).or_default().insert(name.to_owned(), value);
        }
    }
    let documents: Vec<Value> = documents.into_values().map(Value::Object).collect();
    (!documents.is_empty()).then(|| spaced(&Value::Array(documents)))
}

/// What the events of a span say: the messages that were sent and those that came back. Events are as they are kept: a name and attributes.
pub(super) fn of_events(events: &[(&str, Map<String, Value>)]) -> (Option<String>, Option<String>) {
    let (mut asked, mut answered) = (Vec::new(), Vec::new());
    let (mut whole_asked, mut whole_answered) = (None, None);
    for (name, attributes) in events {
        let member = |name: &str| attributes.get(name).cloned();
        match *name {
            "gen_ai.client.inference.operation.details" => {
                whole_asked = member("gen_ai.input.messages").map(parsed);
                whole_answered = member("gen_ai.output.messages").map(parsed);
            }
            "gen_ai.content.prompt" => whole_asked = member("gen_ai.prompt").map(parsed),
            "gen_ai.content.completion" => whole_answered = member("gen_ai.completion").map(parsed),
            "gen_ai.choice" => {
                let message =
                    member("message").map(parsed).unwrap_or_else(|| Value::Object(attributes.clone()));
                answered.push(with_role(message, "assistant"));
            }
            _ => {
                let role = name.strip_prefix("gen_ai.").and_then(|name| name.strip_suffix(".message"));
                if let Some(role) = role {
                    asked.push(with_role(Value::Object(attributes.clone()), role));
                }
            }
        }
    }
    let told = |whole: Option<Value>, messages: Vec<Value>| {
        let listed = (!messages.is_empty()).then(|| json!({ "messages": messages }));
        whole.or(listed).map(|value| spaced(&value))
    };
    (told(whole_asked, asked), told(whole_answered, answered))
}

/// A text that is JSON is what it says.
fn parsed(value: Value) -> Value {
    match &value {
        Value::String(text) => serde_json::from_str(text).unwrap_or(value),
        _ => value,
    }
}

fn with_role(message: Value, role: &str) -> Value {
    match message {
        Value::Object(mut fields) => {
            fields.entry("role").or_insert_with(|| role.into());
            Value::Object(fields)
        }
        other => json!({ "role": role, "content": other }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(value: Value) -> Map<String, Value> {
        let fields = value.as_object().unwrap().iter();
        fields.map(|(key, value)| (key.clone(), Value::from(value.to_string()))).collect()
    }

    #[test]
    fn a_conversation_is_put_together_in_the_order_of_its_numbers() {
        let sent = attributes(json!({
            "gen_ai.prompt.10.role": "user", "gen_ai.prompt.10.content": "last",
            "gen_ai.prompt.2.role": "system", "gen_ai.prompt.2.content": "be kind",
            "gen_ai.completion.0.role": "assistant", "gen_ai.completion.0.content": "hi",
            "gen_ai.completion.0.tool_calls.0.id": "c1", "gen_ai.completion.0.tool_calls.0.name": "find",
            "gen_ai.completion.0.tool_calls.0.arguments": "{}", "gen_ai.prompt.x.role": "none",
        }));
        let found: Value = serde_json::from_str(&asked(&sent).unwrap()).unwrap();
        assert_eq!(
            found,
            json!({ "messages": [{ "role": "system", "content": "be kind" }, { "role": "user", "content": "last" }] })
        );
        let found: Value = serde_json::from_str(&answered(&sent).unwrap()).unwrap();
        assert_eq!(
            found["messages"][0],
            json!({ "role": "assistant", "content": "hi", "tool_calls": [{ "id": "c1", "name": "find", "arguments": "{}" }] })
        );
    }

    #[test]
    fn messages_of_openinference_and_its_documents_are_put_together() {
        let sent = attributes(json!({
            "llm.input_messages.0.message.role": "user",
            "llm.input_messages.0.message.contents.0.message_content.type": "text",
            "llm.input_messages.0.message.contents.0.message_content.text": "what is",
            "llm.input_messages.0.message.contents.1.message_content.text": "this",
            "retrieval.documents.0.document.content": "found", "retrieval.documents.0.document.score": 0.5,
        }));
        let found: Value = serde_json::from_str(&asked(&sent).unwrap()).unwrap();
        assert_eq!(found, json!({ "messages": [{ "role": "user", "content": "what is\nthis" }] }));
        let found: Value = serde_json::from_str(&answered(&sent).unwrap()).unwrap();
        assert_eq!(found, json!([{ "content": "found", "score": 0.5 }]));
        assert_eq!(asked(&Map::new()), None);
    }

    #[test]
    fn events_of_older_conventions_are_messages() {
        let event = |name: &'static str, fields: Value| (name, fields.as_object().unwrap().clone());
        let (asked, answered) = of_events(&[
            event("gen_ai.system.message", json!({ "content": "be kind" })),
            event("gen_ai.user.message", json!({ "content": "hello" })),
            event("gen_ai.choice", json!({ "index": 0, "message": "{\"content\": \"hi\"}" })),
            event("exception", json!({ "exception.type": "ValueError" })),
        ]);
        let parsed = |text: Option<String>| serde_json::from_str::<Value>(&text.unwrap()).unwrap();
        assert_eq!(
            parsed(asked),
            json!({ "messages": [{ "content": "be kind", "role": "system" }, { "content": "hello", "role": "user" }] })
        );
        assert_eq!(parsed(answered), json!({ "messages": [{ "content": "hi", "role": "assistant" }] }));
        assert_eq!(of_events(&[event("exception", json!({}))]), (None, None));
    }
}
