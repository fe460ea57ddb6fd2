//! Reads how answers are kept, and to whom they are given.

use shipway_core::{Sampling, nearest};

use super::{read_flag, word_or};
use crate::{
    LlmCache, LlmCacheScope, LlmEmbeddings, LlmSimilar, LlmSimilarMode,
    parse::reader::{Fields, Reader},
    yaml::{Content, Node},
};

pub(crate) const FIELDS: &[&str] = &["time", "scope", "together", "similar"];
pub(crate) const SIMILAR_FIELDS: &[&str] = &["embeddings", "mode", "least", "same", "wrong", "check"];
pub(crate) const SERVED_FIELDS: &[&str] = &["served"];

const MILLION: f64 = 1_000_000.0;
/// Below this, texts have little more in common than their language.
const LEAST_COSINE: f64 = 0.5;
const USUAL_LEAST: u32 = 950_000;
const USUAL_SAME: u32 = 900_000;
const USUAL_WRONG: u32 = 20_000;
const USUAL_CHECK: u32 = 50_000;

/// What is refused leaves a message behind, and no model then.
pub(super) fn read(node: &Node, reader: &mut Reader<'_>) -> Option<LlmCache> {
    let fields = Fields::of(node, FIELDS, " in cache", reader)?;
    let time = fields.required("time", reader).and_then(|node| reader.length("time", node));
    let scope = match fields.optional("scope") {
        Some(node) => read_scope(node, reader),
        None => Some(LlmCacheScope::Key),
    };
    let together = match fields.optional("together") {
        Some(node) => read_flag("together", node, reader),
        None => Some(false),
    };
    let similar = match fields.optional("similar") {
        Some(node) => read_similar(node, reader).map(Some),
        None => Some(None),
    };
    Some(LlmCache { time: time?.value, scope: scope?, together: together?, similar: similar? })
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

fn read_similar(node: &Node, reader: &mut Reader<'_>) -> Option<LlmSimilar> {
    let fields = Fields::of(node, SIMILAR_FIELDS, " in similar", reader)?;
    let embeddings = fields.required("embeddings", reader).and_then(|node| read_embeddings(node, reader));
    let modes = LlmSimilarMode::ALL.map(|mode| (mode.word(), mode));
    let mode = word_or("mode", fields.optional("mode"), &modes, reader);
    let [least, same] = [("least", USUAL_LEAST), ("same", USUAL_SAME)].map(|(what, usual)| {
        let hint = format!("write a cosine from {LEAST_COSINE} to 1");
        part((what, fields.optional(what)), usual, LEAST_COSINE, &hint, reader)
    });
    let [wrong, check] = [("wrong", USUAL_WRONG), ("check", USUAL_CHECK)].map(|(what, usual)| {
        let hint = "write a share from 0 to 1: 0.02 for two of a hundred";
        part((what, fields.optional(what)), usual, 0.0, hint, reader)
    });
    Some(LlmSimilar {
        embeddings: embeddings?,
        mode: mode?,
        least: least?,
        same: same?,
        wrong: wrong?,
        check: Sampling::of_fraction(f64::from(check?) / MILLION)?,
    })
}

/// The name of a model of language, or `{ served: NAME }`.
fn read_embeddings(node: &Node, reader: &mut Reader<'_>) -> Option<LlmEmbeddings> {
    if let Content::Text(_) = &node.content {
        return reader.name("embeddings", node).map(|name| LlmEmbeddings::Model(name.value));
    }
    let fields = Fields::of(node, SERVED_FIELDS, " in embeddings", reader)?;
    let served = fields.required("served", reader).and_then(|node| reader.name("served", node));
    served.map(|name| LlmEmbeddings::Served(name.value))
}

/// A number from `from` to 1, in millionths.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to a million")]
fn part(
    (what, node): (&str, Option<&Node>),
    usual: u32,
    from: f64,
    hint: &str,
    reader: &mut Reader<'_>,
) -> Option<u32> {
    let Some(node) = node else { return Some(usual) };
    let number = reader.number(what, node)?;
    if (from..=1.0).contains(&number) {
        return Some((number * MILLION).round() as u32);
    }
    reader.refuse(node.line, format!("{what} {number} is none"), Some(hint.to_owned()));
    None
}
