//! Reads how answers are kept.

use shipway_core::nearest;

use crate::{
    LlmCache, LlmCacheScope,
    parse::reader::{Fields, Reader},
    yaml::Node,
};

pub(crate) const FIELDS: &[&str] = &["time", "scope"];

/// What is refused leaves a message behind, and no model then.
pub(super) fn read(node: &Node, reader: &mut Reader<'_>) -> Option<LlmCache> {
    let fields = Fields::of(node, FIELDS, " in cache", reader)?;
    let time = fields.required("time", reader).and_then(|node| reader.length("time", node));
    let scope = match fields.optional("scope") {
        Some(node) => read_scope(node, reader),
        None => Some(LlmCacheScope::Key),
    };
    Some(LlmCache { time: time?.value, scope: scope? })
}

fn read_scope(node: &Node, reader: &mut Reader<'_>) -> Option<LlmCacheScope> {
    let word = reader.text("scope", node)?;
    let words = LlmCacheScope::ALL.map(LlmCacheScope::word);
    let found = LlmCacheScope::ALL.into_iter().find(|scope| scope.word() == word.value);
    if found.is_none() {
        let hint = nearest(&word.value, words).map_or_else(
            || format!("the scopes are {}", words.join(", ")),
            |nearest| format!("did you mean {nearest}?"),
        );
        reader.refuse(word.line, format!("scope {} does not exist", word.value), Some(hint));
    }
    found
}
