//! What spans say of the trace that they belong to: session, user, name, tags, metadata, in the words of each convention. Pure.

use serde_json::{Map, Value};

use super::conventions::{object, text};
use crate::model::{Pair, bounds, trace::key};

/// The first that is there counts.
const SESSIONS: [&str; 5] = [
    "session.id",
    "gen_ai.conversation.id",
    "langfuse.session.id",
    "traceloop.association.properties.session_id",
    "traceloop.association.properties.thread_id",
];
const USERS: [&str; 4] =
    ["user.id", "langfuse.user.id", "traceloop.association.properties.user_id", "enduser.id"];
const NAMES: [&str; 2] = ["langfuse.trace.name", "traceloop.workflow.name"];
/// Lists of words; they become one tag, whose value is the list as JSON.
const TAG_LISTS: [&str; 2] = ["langfuse.trace.tags", "tag.tags"];
const TAGS: &str = "tags";
/// Each of these is metadata under what stands behind it.
const METADATA: [&str; 2] = ["langfuse.trace.metadata.", "traceloop.association.properties."];
/// An object of OpenInference; its members are metadata.
const METADATA_OBJECT: &str = "metadata";

pub(super) fn session(attributes: &Map<String, Value>) -> Option<String> {
    SESSIONS.iter().find_map(|key| text(attributes, key))
}

pub(super) fn user(attributes: &Map<String, Value>) -> Option<String> {
    USERS.iter().find_map(|key| text(attributes, key))
}

/// Tags of the trace, which its root says.
pub(super) fn tags(attributes: &Map<String, Value>) -> Vec<Pair> {
    let name = NAMES.iter().find_map(|key| text(attributes, key));
    let list = TAG_LISTS.iter().find_map(|key| {
        let said: Value = serde_json::from_str(attributes.get(*key)?.as_str()?).ok()?;
        // Some senders write the list as a text.
        let list = match said {
            Value::String(text) => serde_json::from_str(&text).ok()?,
            list => list,
        };
        list.as_array().filter(|list| !list.is_empty()).map(|_| list.to_string())
    });
    let pairs = [(key::TRACE_NAME, name), (TAGS, list)];
    let pairs = pairs.into_iter().filter_map(|(key, value)| Some(Pair::new(key, value?)));
    pairs.filter(|pair| bounds::trace_tag(pair).is_ok()).collect()
}

/// Metadata of the trace. Session and user are known as such.
pub(super) fn metadata(attributes: &Map<String, Value>) -> Vec<Pair> {
    let is_known = |key: &str| SESSIONS.contains(&key) || USERS.contains(&key);
    let plain = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    let mut pairs: Vec<Pair> = Vec::new();
    for (key, value) in attributes.iter().filter(|(key, _)| !is_known(key)) {
        let name = METADATA.iter().find_map(|prefix| key.strip_prefix(prefix));
        if let (Some(name), Some(said)) = (name, value.as_str()) {
            let value = serde_json::from_str(said).unwrap_or_else(|_| Value::from(said));
            pairs.push(Pair::new(name, plain(value)));
        }
    }
    if let Some(Value::Object(members)) = object_or_text(attributes) {
        pairs.extend(members.into_iter().map(|(name, value)| Pair::new(name, plain(value))));
    }
    pairs.retain(|pair| !pair.key.starts_with("mlflow.") && bounds::trace_metadata(pair).is_ok());
    pairs.truncate(bounds::TRACE_PAIRS);
    pairs
}

/// OpenInference sends an object as its JSON text.
fn object_or_text(attributes: &Map<String, Value>) -> Option<Value> {
    object(attributes, METADATA_OBJECT)
        .or_else(|| serde_json::from_str(&text(attributes, METADATA_OBJECT)?).ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn attributes(value: Value) -> Map<String, Value> {
        let fields = value.as_object().unwrap().iter();
        fields.map(|(key, value)| (key.clone(), Value::from(value.to_string()))).collect()
    }

    #[test]
    fn each_convention_says_session_and_user_its_own_way() {
        for key in SESSIONS {
            assert_eq!(session(&attributes(json!({ key: "s" }))).as_deref(), Some("s"), "{key}");
        }
        for key in USERS {
            assert_eq!(user(&attributes(json!({ key: "u" }))).as_deref(), Some("u"), "{key}");
        }
        assert_eq!(session(&attributes(json!({ "session.id": "" }))), None);
    }

    #[test]
    fn tags_and_metadata_of_langfuse_openllmetry_and_openinference_are_those_of_the_trace() {
        let langfuse = attributes(json!({
            "langfuse.trace.name": "answers", "langfuse.trace.tags": ["beta", "eu"],
            "langfuse.trace.metadata.tier": "gold", "langfuse.session.id": "s",
        }));
        assert_eq!(
            tags(&langfuse),
            [Pair::new("mlflow.traceName", "answers"), Pair::new("tags", "[\"beta\",\"eu\"]")]
        );
        assert_eq!(metadata(&langfuse), [Pair::new("tier", "gold")]);
        let traceloop = attributes(json!({
            "traceloop.workflow.name": "flow", "traceloop.association.properties.user_id": "u",
            "traceloop.association.properties.tenant": 7,
        }));
        assert_eq!(tags(&traceloop), [Pair::new("mlflow.traceName", "flow")]);
        assert_eq!(metadata(&traceloop), [Pair::new("tenant", "7")]);
        let open_inference =
            attributes(json!({ "tag.tags": ["a"], "metadata": "{\"k\": \"v\", \"mlflow.x\": 1}" }));
        assert_eq!(tags(&open_inference), [Pair::new("tags", "[\"a\"]")]);
        assert_eq!(metadata(&open_inference), [Pair::new("k", "v")]);
    }
}
