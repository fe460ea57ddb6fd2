//! Reads a guardrail. It refers to nothing that is defined here, so what is read is the definition.

use std::sync::Arc;

use serde_json::{Map, Value};
use shipway_core::nearest;
use shipway_guardrails::Detector;

use crate::{
    LlmGuardrail, LlmGuardrailAction, LlmGuardrailOn,
    parse::reader::{Fields, Head, Reader},
    yaml::{Content, Node},
};

pub(super) const FIELDS: &[&str] = &["kind", "name", "on", "action", "find", "description", "owner", "tags"];

const HINT: &str = "write one of personal, secrets, patterns, unicode, urls, tools, size, json_schema, fits, judge, classifier: docs/guardrails.md shows each";

/// A guardrail as it is written; `None` where a part could not be read.
#[derive(Debug)]
pub(crate) struct LlmGuardrailDraft {
    pub(crate) name: shipway_core::Name,
    pub(crate) guardrail: Option<LlmGuardrail>,
    /// Where it stands, and how messages call it.
    pub(crate) place: (Arc<str>, u64, String),
}

pub(super) fn read(head: Head, fields: &Fields<'_>, reader: &mut Reader<'_>) -> LlmGuardrailDraft {
    let place = (head.path.clone(), head.line, head.thing.clone());
    let find = fields.required("find", reader).and_then(|node| read_find(node, reader));
    let written_on = fields.optional("on");
    let on = match written_on {
        Some(node) => word("on", node, LlmGuardrailOn::ALL, LlmGuardrailOn::word, reader),
        None => Some(LlmGuardrailOn::Both),
    };
    let action = fields
        .required("action", reader)
        .and_then(|node| word("action", node, LlmGuardrailAction::ALL, LlmGuardrailAction::word, reader));
    if let (Some(find), Some(action)) = (&find, action) {
        if action == LlmGuardrailAction::Redact && !find.reads_texts() {
            let hint =
                "block, annotate or shadow: nothing can be put in the place of what it finds".to_owned();
            reader.refuse(fields.line, format!("{} cannot be redacted", find.word()), Some(hint));
        }
        let needed = needed_on(find);
        if needed.is_some() && written_on.is_some() && on != needed {
            let (of, hint) = match find {
                Detector::Size(_) => (
                    "requests",
                    "write `on: input`; what an answer may have is up to the request's own bound",
                ),
                _ => ("answers", "write `on: output`"),
            };
            reader.refuse(fields.line, format!("{} is of {of}", find.word()), Some(hint.to_owned()));
        }
    }
    let name = head.name.clone();
    if reader.has_refused() {
        return LlmGuardrailDraft { name, guardrail: None, place };
    }
    let guardrail = find.zip(on).zip(action).map(|((find, on), action)| LlmGuardrail {
        name: head.name,
        on: needed_on(&find).unwrap_or(on),
        action,
        find,
        description: head.description,
        owner: head.owner,
        tags: head.tags,
    });
    LlmGuardrailDraft { name, guardrail, place }
}

/// What it looks at, where that is not for the definition to say.
fn needed_on(find: &Detector) -> Option<LlmGuardrailOn> {
    let of_answers = find.is_of_answers()?;
    Some(if of_answers { LlmGuardrailOn::Output } else { LlmGuardrailOn::Input })
}

fn word<T: Copy, const N: usize>(
    what: &str,
    node: &Node,
    all: [T; N],
    of: fn(T) -> &'static str,
    reader: &mut Reader<'_>,
) -> Option<T> {
    let written = reader.text(what, node)?;
    let words = all.map(of);
    let found = all.into_iter().find(|one| of(*one) == written.value);
    if found.is_none() {
        let hint = nearest(&written.value, words).map_or_else(
            || format!("write {}", words.join(", ")),
            |nearest| format!("did you mean {nearest}?"),
        );
        reader.refuse(written.line, format!("{what} {} does not exist", written.value), Some(hint));
    }
    found
}

fn read_find(node: &Node, reader: &mut Reader<'_>) -> Option<Detector> {
    if !matches!(&node.content, Content::Map(entries) if entries.len() == 1) {
        reader.refuse(node.line, "find is not one detector".to_owned(), Some(HINT.to_owned()));
        return None;
    }
    let refuse = |reader: &mut Reader<'_>, reason: String| {
        reader.refuse(node.line, format!("find: {reason}"), Some(HINT.to_owned()));
        None
    };
    let mut written = value(node);
    // In which order members of a schema stand has no meaning.
    written.sort_all_objects();
    match serde_json::from_value::<Detector>(written) {
        Err(error) => refuse(reader, error.to_string()),
        Ok(detector) => match detector.check() {
            Ok(()) => Some(detector),
            Err(bad) => refuse(reader, bad.to_string()),
        },
    }
}

/// The node as JSON.
fn value(node: &Node) -> Value {
    match &node.content {
        Content::Null => Value::Null,
        Content::Bool(flag) => Value::Bool(*flag),
        Content::Int(number) => {
            i64::try_from(*number).map_or_else(|_| Value::from(number.to_string()), Value::from)
        }
        Content::Float(number) => Value::from(*number),
        Content::Text(text) => Value::from(text.as_str()),
        Content::List(items) => items.iter().map(value).collect(),
        Content::Map(entries) => {
            let members: Map<String, Value> =
                entries.iter().map(|(key, node)| (key.text.clone(), value(node))).collect();
            Value::Object(members)
        }
    }
}
