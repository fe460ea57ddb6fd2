//! Tokens that are found in a text before anything else. Those that are said to be normalised are looked for in the normalised text.

use std::collections::HashMap;

use regex::{Regex, RegexBuilder};

use super::{Piece, damaged, normalize::Normalizer, schema};
use crate::error::RuntimeError;

/// The most memory that the search for all added tokens may take.
const MAX_SEARCH_BYTES: usize = 256 * 1024 * 1024;

/// Part of a text: a token that was found, or what lies between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Token(u32),
    Text(Piece),
}

#[derive(Debug)]
pub(super) struct AddedTokens {
    raw: Search,
    normalized: Search,
}

/// The tokens of one kind, the longest first, so that of two that begin at one place the longer is found.
#[derive(Debug)]
struct Search {
    any: Option<Regex>,
    tokens: HashMap<String, Token>,
    ends_with_word: Regex,
    starts_with_word: Regex,
}

#[derive(Debug, Clone, Copy)]
struct Token {
    id: u32,
    single_word: bool,
    lstrip: bool,
    rstrip: bool,
}

impl AddedTokens {
    /// A token that is in the vocabulary has its id there.
    pub(super) fn of(
        tokens: Vec<schema::AddedToken>,
        normalizer: &Normalizer,
        id_of: impl Fn(&str) -> Option<u32>,
    ) -> Result<Self, RuntimeError> {
        let (mut raw, mut normalized) = (Vec::new(), Vec::new());
        for token in tokens.into_iter().filter(|token| !token.content.is_empty()) {
            let found = Token {
                id: id_of(&token.content).unwrap_or(token.id),
                single_word: token.single_word,
                lstrip: token.lstrip,
                rstrip: token.rstrip,
            };
            match token.normalized {
                true => normalized.push((normalizer.normalize(&token.content), found)),
                false => raw.push((token.content, found)),
            }
        }
        Ok(Self { raw: Search::new(raw)?, normalized: Search::new(normalized)? })
    }

    pub(super) fn largest_id(&self) -> u32 {
        let tokens = self.raw.tokens.values().chain(self.normalized.tokens.values());
        tokens.map(|token| token.id).max().unwrap_or(0)
    }

    /// The text in parts: tokens, and normalised text between them.
    pub(super) fn taken_out(&self, text: &str, normalizer: &Normalizer) -> Vec<Part> {
        let raw = self.raw.parts(&Piece { text: text.to_owned(), is_first: true });
        let inner = |part| match part {
            Part::Token(_) => vec![part],
            Part::Text(Piece { text, is_first }) => {
                self.normalized.parts(&Piece { text: normalizer.normalize(&text), is_first })
            }
        };
        raw.into_iter().flat_map(inner).collect()
    }
}

impl Search {
    fn new(mut tokens: Vec<(String, Token)>) -> Result<Self, RuntimeError> {
        let wrong = |error: regex::Error| damaged(format!("added tokens: {error}"));
        tokens.retain(|(content, _)| !content.is_empty());
        tokens.sort_by_key(|(content, _)| std::cmp::Reverse(content.len()));
        let any: Vec<String> = tokens.iter().map(|(content, _)| regex::escape(content)).collect();
        let any = (!any.is_empty())
            .then(|| RegexBuilder::new(&any.join("|")).size_limit(MAX_SEARCH_BYTES).build())
            .transpose()
            .map_err(wrong)?;
        let ends_with_word = Regex::new(r"\w\z").map_err(wrong)?;
        let starts_with_word = Regex::new(r"\A\w").map_err(wrong)?;
        Ok(Self { any, tokens: tokens.into_iter().collect(), ends_with_word, starts_with_word })
    }

    fn parts(&self, piece: &Piece) -> Vec<Part> {
        let text = piece.text.as_str();
        let slice = |from: usize, to: usize| {
            let text = text.get(from..to).unwrap_or_default().to_owned();
            Part::Text(Piece { text, is_first: piece.is_first && from == 0 })
        };
        let Some(any) = &self.any else { return vec![slice(0, text.len())] };
        let mut parts = Vec::new();
        let mut done = 0;
        for found in any.find_iter(text) {
            let Some(token) = self.tokens.get(found.as_str()) else { continue };
            let before = text.get(..found.start()).unwrap_or_default();
            let behind = text.get(found.end()..).unwrap_or_default();
            if token.single_word && (self.follows_word(before) || self.starts_with_word.is_match(behind)) {
                continue;
            }
            let mut start = found.start();
            if token.lstrip {
                start = before.trim_end().len().max(done);
            }
            let mut end = found.end();
            if token.rstrip {
                end += behind.len() - behind.trim_start().len();
            }
            if done < start {
                parts.push(slice(done, start));
            }
            parts.push(Part::Token(token.id));
            done = end;
        }
        if done < text.len() {
            parts.push(slice(done, text.len()));
        }
        parts
    }

    /// Whether what stands before a place ends with a word. Only its last character is looked at.
    fn follows_word(&self, before: &str) -> bool {
        let last = before.char_indices().next_back().map_or(0, |(place, _)| place);
        self.ends_with_word.is_match(before.get(last..).unwrap_or_default())
    }
}
