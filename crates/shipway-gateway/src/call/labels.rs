//! What a caller says about a call: in headers, which stay here, and in the members that the clients' APIs have for it.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderValue};

use super::{
    Asked,
    beside::Own,
    outlook::{SESSION, TAG},
};
use crate::ledger::Labels;

const PROMPT: &str = "x-shipway-prompt";
const TRACE_PARENT: &str = "traceparent";
/// What is longer is cut.
const LONGEST: usize = 512;
const MOST_TAGS: usize = 32;
/// Tags that this server itself gives begin so.
const OURS: &str = "shipway.";
/// The call that a call judges.
const JUDGES: &str = "shipway.judges";
/// The model whose questions and answers a call compares.
const COMPARES: &str = "shipway.compares";

/// Costs nothing where nothing is said.
pub(super) fn labels(asked: &Asked) -> Labels {
    let (headers, head) = (&asked.headers, &asked.head);
    Labels {
        session: said(headers, SESSION).or_else(|| head.session.as_deref().and_then(cut)),
        prompt: said(headers, PROMPT).or_else(|| head.prompt.as_deref().and_then(cut)),
        trace: trace(headers),
        tags: match &asked.own {
            Some(Own::Judges(judged)) => BTreeMap::from([(JUDGES.to_owned(), judged.call.clone())]),
            Some(Own::Compares(model)) => BTreeMap::from([(COMPARES.to_owned(), model.clone())]),
            None => tags(headers, &head.metadata),
        },
    }
}

fn said(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(value)
}

fn value(value: &HeaderValue) -> Option<String> {
    cut(value.to_str().ok()?)
}

fn cut(text: &str) -> Option<String> {
    let end = (0..=text.len().min(LONGEST)).rev().find(|end| text.is_char_boundary(*end))?;
    (end > 0).then(|| text[..end].to_owned())
}

/// Headers go before members of the same name: who stands between a client and this server knows better.
fn tags(headers: &HeaderMap, metadata: &[(String, String)]) -> BTreeMap<String, String> {
    let mut tags = BTreeMap::new();
    let in_headers = headers.iter().filter_map(|(name, text)| {
        let name = name.as_str().strip_prefix(TAG).filter(|name| !name.is_empty())?;
        Some((name.to_owned(), value(text)?))
    });
    let in_body = metadata.iter().filter_map(|(name, text)| Some((cut(name)?, cut(text)?)));
    for (name, text) in in_headers.chain(in_body) {
        if tags.len() < MOST_TAGS && !name.starts_with(OURS) {
            tags.entry(name).or_insert(text);
        }
    }
    tags
}

/// The trace of `traceparent` (W3C): the second of its parts.
fn trace(headers: &HeaderMap) -> Option<String> {
    let trace = headers.get(TRACE_PARENT)?.to_str().ok()?.trim().split('-').nth(1)?;
    let is_one = trace.len() == 32 && trace.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_one.then(|| trace.to_ascii_lowercase())
}
