//! BERT's vocabulary: a word is cut from its beginning into the longest tokens that are known; one that cannot be is unknown.

use std::collections::HashMap;

use super::{bounded, damaged, known, schema};
use crate::error::RuntimeError;

/// The most characters of a word that is cut: each of its beginnings may be looked up, from each of its places.
const MOST_CHARACTERS: usize = 1_000;

#[derive(Debug)]
pub(super) struct WordPiece {
    ids: HashMap<String, u32>,
    unknown: u32,
    /// In front of a token that does not begin a word.
    prefix: String,
    most_characters: usize,
    /// Bytes of the longest token.
    longest: usize,
}

impl WordPiece {
    pub(super) fn of(file: schema::WordPiece) -> Result<Self, RuntimeError> {
        let unknown = known(&file.vocab, &file.unk_token)?;
        let most_characters = file.max_input_chars_per_word;
        if most_characters > MOST_CHARACTERS {
            let reason =
                format!("max_input_chars_per_word is {most_characters}; at most {MOST_CHARACTERS} are cut");
            return Err(damaged(reason));
        }
        let longest = file.vocab.keys().map(String::len).max().unwrap_or(0);
        Ok(Self {
            ids: file.vocab,
            unknown,
            prefix: bounded(file.continuing_subword_prefix)?,
            most_characters,
            longest,
        })
    }

    pub(super) const fn ids(&self) -> &HashMap<String, u32> {
        &self.ids
    }

    pub(super) fn encode(&self, word: &str, into: &mut Vec<u32>) {
        let before = into.len();
        let is_whole = word.chars().count() <= self.most_characters && self.pieces(word, into).is_some();
        if !is_whole {
            into.truncate(before);
            into.push(self.unknown);
        }
    }

    fn pieces(&self, word: &str, into: &mut Vec<u32>) -> Option<()> {
        let mut rest = word;
        let mut key = String::new();
        while !rest.is_empty() {
            key.clear();
            if rest.len() < word.len() {
                key.push_str(&self.prefix);
            }
            let front = key.len();
            let most = self.longest.saturating_sub(front).min(rest.len());
            key.push_str(rest.get(..rest.floor_char_boundary(most))?);
            let id = loop {
                if key.len() <= front {
                    return None;
                }
                match self.ids.get(key.as_str()) {
                    Some(id) => break *id,
                    None => key.pop(),
                };
            };
            into.push(id);
            rest = rest.get(key.len() - front..)?;
        }
        Some(())
    }
}
