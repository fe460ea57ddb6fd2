//! Reads what people and policies want to know: tags, the class of personal data, deprecation, and all of it per feature.

use shipway_core::{Length, Name, Timestamp, nearest};

use crate::{
    Deprecation, FeatureMetadata, Pii,
    parse::{
        reader::{Fields, Located, Reader},
        view::read_freshness,
    },
    yaml::{Content, Node},
};

pub(crate) const FEATURE_FIELDS: &[&str] =
    &["description", "owner", "tags", "pii", "freshness", "ttl", "deprecated"];
pub(crate) const DEPRECATION_FIELDS: &[&str] = &["since", "reason", "use"];

/// The longest tag, in characters.
const LONGEST_TAG: usize = 63;
/// The most tags of one thing.
const MOST_TAGS: usize = 64;

/// What is said about one feature.
#[derive(Debug)]
pub(crate) struct FeatureNote {
    pub(crate) name: Located<Name>,
    pub(crate) metadata: FeatureMetadata,
    pub(crate) ttl: Option<Located<Length>>,
    /// Where the replacement of a deprecated feature is named.
    pub(crate) replacement_line: u64,
}

/// A deprecation, and the line of its replacement.
pub(crate) type LocatedDeprecation = Located<Deprecation>;

/// The entries of `features`, each name once.
pub(crate) fn read_features(node: &Node, reader: &mut Reader<'_>) -> Vec<FeatureNote> {
    let Content::Map(map) = &node.content else {
        let message = format!("features is a map, got {}", node.content.word());
        let hint = "write features: { feature: { owner: … }, … }".to_owned();
        reader.refuse(node.line, message, Some(hint));
        return Vec::new();
    };
    let mut notes: Vec<FeatureNote> = Vec::new();
    for (key, node) in map {
        let Some(name) = reader.name_of("feature", key.line, &key.text) else { continue };
        if notes.iter().any(|note| note.name.value == name.value) {
            reader.refuse(key.line, format!("feature {} is described twice", name.value), None);
            continue;
        }
        notes.extend(read_feature(name, node, reader));
    }
    notes
}

fn read_feature(name: Located<Name>, node: &Node, reader: &mut Reader<'_>) -> Option<FeatureNote> {
    let fields = Fields::of(node, FEATURE_FIELDS, " in features", reader)?;
    let text = |field: &'static str, reader: &mut Reader<'_>| {
        let read = fields.optional(field).and_then(|node| reader.text(field, node));
        read.map(|located| located.value)
    };
    let (description, owner) = (text("description", reader), text("owner", reader));
    let tags = fields.optional("tags").map(|node| read_tags(node, reader)).unwrap_or_default();
    let pii = fields.optional("pii").and_then(|node| read_pii(node, reader));
    let freshness = fields.optional("freshness").and_then(|node| read_freshness(node, reader));
    let ttl = fields.optional("ttl").and_then(|node| reader.length("ttl", node));
    let deprecated = fields.optional("deprecated").and_then(|node| read_deprecated(node, reader));
    let replacement_line = deprecated.as_ref().map_or(node.line, |deprecated| deprecated.line);
    let deprecated = deprecated.map(|deprecated| deprecated.value);
    let metadata = FeatureMetadata { description, owner, tags, pii, freshness, deprecated };
    Some(FeatureNote { name, metadata, ttl, replacement_line })
}

/// Tags in the order written; one that is written twice counts once.
pub(crate) fn read_tags(node: &Node, reader: &mut Reader<'_>) -> Vec<String> {
    let mut tags: Vec<String> = Vec::new();
    let nodes = reader.list("tags", node);
    if nodes.len() > MOST_TAGS {
        let hint = format!("keep at most {MOST_TAGS}");
        reader.refuse(node.line, format!("tags has {} entries", nodes.len()), Some(hint));
    }
    for node in nodes {
        let Some(tag) = reader.text("a tag", node) else { continue };
        let word = tag.value.trim();
        if word.chars().count() > LONGEST_TAG || word.chars().any(char::is_control) {
            let hint = format!("write a word of at most {LONGEST_TAG} characters");
            reader.refuse(tag.line, "a tag is too long or has control characters".to_owned(), Some(hint));
        } else if !tags.iter().any(|known| known == word) {
            tags.push(word.to_owned());
        }
    }
    tags
}

pub(crate) fn read_pii(node: &Node, reader: &mut Reader<'_>) -> Option<Pii> {
    let word = reader.text("pii", node)?;
    let words = Pii::ALL.map(Pii::word);
    let pii = Pii::ALL.into_iter().find(|pii| pii.word() == word.value);
    if pii.is_none() {
        let hint = nearest(&word.value, words).map_or_else(
            || format!("write one of {}", words.join(", ")),
            |near| format!("did you mean {near}?"),
        );
        reader.refuse(word.line, format!("pii {} does not exist", word.value), Some(hint));
    }
    pii
}

/// A reason, or a map with one. The line is that of `use`, where there is one.
pub(crate) fn read_deprecated(node: &Node, reader: &mut Reader<'_>) -> Option<LocatedDeprecation> {
    if let Content::Text(_) = &node.content {
        let reason = reader.text("deprecated", node)?;
        let value = Deprecation { since: None, reason: reason.value, replacement: None };
        return Some(Located { line: reason.line, value });
    }
    let fields = Fields::of(node, DEPRECATION_FIELDS, " in deprecated", reader)?;
    let reason = fields.required("reason", reader).and_then(|node| reader.text("reason", node));
    let since = fields.optional("since").and_then(|node| read_day(node, reader));
    let replacement = fields.optional("use").and_then(|node| read_reference(node, reader));
    let line = replacement.as_ref().map_or(node.line, |replacement| replacement.line);
    let replacement = replacement.map(|replacement| replacement.value);
    Some(Located { line, value: Deprecation { since, reason: reason?.value, replacement } })
}

fn read_day(node: &Node, reader: &mut Reader<'_>) -> Option<String> {
    let text = reader.text("since", node)?;
    let day = text.value.trim();
    let is_day = day.len() == "2026-01-31".len() && Timestamp::parse(day).is_ok();
    if !is_day {
        let hint = "write it as 2026-01-31".to_owned();
        reader.refuse(text.line, format!("since `{day}` is not a day"), Some(hint));
    }
    is_day.then(|| day.to_owned())
}

/// `name`, or `view:feature`.
fn read_reference(node: &Node, reader: &mut Reader<'_>) -> Option<Located<String>> {
    let text = reader.text("use", node)?;
    for part in text.value.splitn(2, ':') {
        reader.name_of("use", text.line, part)?;
    }
    Some(text)
}
