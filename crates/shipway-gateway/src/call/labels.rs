//! What a caller says about a call: in headers, which stay here, and in the members that the clients' APIs have for it.

use std::collections::{BTreeMap, BTreeSet};

use http::{HeaderMap, HeaderValue};

use super::{
    Asked,
    beside::Own,
    outlook::{SESSION, TAG},
};
use crate::{ledger::Labels, model::OURS, service::Principal};

const PROMPT: &str = "x-shipway-prompt";
const TRACE_PARENT: &str = "traceparent";
/// What is longer is cut.
const LONGEST: usize = 512;
const MOST_TAGS: usize = 32;
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
            None => tags(&asked.principal, headers, &head.metadata),
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

/// Those of the key go before headers, and these before members of the same name: who stands between a client and this server knows better.
fn tags(
    principal: &Principal,
    headers: &HeaderMap,
    metadata: &[(String, String)],
) -> BTreeMap<String, String> {
    let mut tags = of_key(principal);
    for (name, text) in said_tags(headers, metadata) {
        if tags.len() < MOST_TAGS {
            tags.entry(name).or_insert(text);
        }
    }
    tags
}

fn of_key(principal: &Principal) -> BTreeMap<String, String> {
    principal.key.as_ref().map(|key| key.terms.tags.clone()).unwrap_or_default()
}

/// All tags that limits may hold for, however many a call says: none is pushed out by others, and of several values of a name each counts.
/// Names are in lower case. What the key says stands in the place of what the call says.
pub(crate) fn charged_tags(
    principal: &Principal,
    headers: &HeaderMap,
    metadata: &[(String, String)],
) -> BTreeSet<(String, String)> {
    let fixed = of_key(principal);
    let said = said_tags(headers, metadata).map(|(name, text)| (name.to_ascii_lowercase(), text));
    let mut tags: BTreeSet<_> = said.filter(|(name, _)| !fixed.contains_key(name)).collect();
    tags.extend(fixed);
    tags
}

/// The tags that a call says, those of headers first.
fn said_tags<'a>(
    headers: &'a HeaderMap,
    metadata: &'a [(String, String)],
) -> impl Iterator<Item = (String, String)> + 'a {
    let in_headers = headers.iter().filter_map(|(name, text)| {
        let name = name.as_str().strip_prefix(TAG).filter(|name| !name.is_empty())?;
        Some((name.to_owned(), value(text)?))
    });
    let in_body = metadata.iter().filter_map(|(name, text)| Some((cut(name)?, cut(text)?)));
    in_headers.chain(in_body).filter(|(name, _)| !name.starts_with(OURS))
}

/// The trace of `traceparent` (W3C): the second of its parts.
fn trace(headers: &HeaderMap) -> Option<String> {
    let trace = headers.get(TRACE_PARENT)?.to_str().ok()?.trim().split('-').nth(1)?;
    let is_one = trace.len() == 32 && trace.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_one.then(|| trace.to_ascii_lowercase())
}
