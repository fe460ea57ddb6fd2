//! What decides an answer, and what its request says of caches.

use aws_lc_rs::digest::{Context, SHA256};
use http::{HeaderMap, header};
use shipway_dialects::{Dialect, canonical};

use crate::model::ModelSpec;

/// Headers that reach a provider and change its answer.
const DECISIVE_HEADERS: [&str; 3] = ["anthropic-beta", "anthropic-version", "openai-beta"];

/// A digest of all that decides an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key(pub(super) [u8; 32]);

/// What decides an answer besides its body.
#[derive(Debug)]
pub(crate) struct Question<'a> {
    pub(crate) model: &'a ModelSpec,
    pub(crate) dialect: Dialect,
    pub(crate) path: &'a str,
    pub(crate) is_stream: bool,
    /// A stream says what was used.
    pub(crate) has_usage: bool,
    /// Who shares it.
    pub(crate) tenant: &'a str,
    pub(crate) headers: &'a HeaderMap,
}

/// The key of a question; none where its body is not to be read.
pub(crate) fn key(question: &Question<'_>, body: &[u8]) -> Option<Key> {
    let form = canonical(question.dialect, body).ok()?;
    digest(b"shipway llm answer 1", question, &form)
}

/// The key that all questions share that differ in their last words only; `form` is the canonical one of the rest.
pub(crate) fn key_around(question: &Question<'_>, form: &[u8]) -> Option<Key> {
    digest(b"shipway llm question 1", question, form)
}

fn digest(what: &[u8], question: &Question<'_>, form: &[u8]) -> Option<Key> {
    let mut digest = Context::new(&SHA256);
    let mut part = |bytes: &[u8]| {
        digest.update(&(bytes.len() as u64).to_le_bytes());
        digest.update(bytes);
    };
    part(what);
    part(question.tenant.as_bytes());
    part(question.model.name.as_bytes());
    // Where another provider answers, or another model of it, the answer is another one.
    for deployment in &question.model.deployments {
        part(deployment.provider.as_bytes());
        part(deployment.model.as_bytes());
    }
    part(b"asked");
    part(question.dialect.as_str().as_bytes());
    part(question.path.as_bytes());
    part(match (question.is_stream, question.has_usage) {
        (true, true) => b"stream with usage",
        (true, false) => b"stream",
        (false, _) => b"whole",
    });
    for name in DECISIVE_HEADERS {
        for value in question.headers.get_all(name) {
            part(name.as_bytes());
            part(value.as_bytes());
        }
    }
    part(form);
    Some(Key(digest.finish().as_ref().try_into().ok()?))
}

/// What a request says of caches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// Nothing: an answer that is kept is good.
    Nothing,
    /// It wants a new answer, which may be kept.
    Refresh,
    /// It wants a new answer, which must not be kept.
    Leave,
}

/// Reads `cache-control: no-cache` and `no-store`.
pub(crate) fn cache_word(headers: &HeaderMap) -> Word {
    let values = headers.get_all(header::CACHE_CONTROL);
    let directives = values.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let mut word = Word::Nothing;
    for directive in directives {
        match directive.trim() {
            name if name.eq_ignore_ascii_case("no-store") => return Word::Leave,
            name if name.eq_ignore_ascii_case("no-cache") => word = Word::Refresh,
            _ => {}
        }
    }
    word
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn no_store_goes_before_no_cache() {
        let said = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::CACHE_CONTROL, HeaderValue::from_static(value));
            }
            cache_word(&headers)
        };
        assert_eq!(said(&[]), Word::Nothing);
        assert_eq!(said(&["max-age=0"]), Word::Nothing);
        assert_eq!(said(&["No-Cache"]), Word::Refresh);
        assert_eq!(said(&["no-cache, no-store"]), Word::Leave);
        assert_eq!(said(&["no-cache", "no-store"]), Word::Leave);
    }
}
