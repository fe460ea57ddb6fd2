//! The unigram model (Kudo 2018): of all ways to cut a text into tokens, the likeliest, found by Viterbi's algorithm.

use std::collections::HashMap;

use super::{bpe::byte_tokens, damaged, schema};
use crate::error::RuntimeError;

/// How much less likely than the unlikeliest token an unknown character is.
const UNKNOWN_PENALTY: f64 = 10.0;

/// The longest token, in bytes: at every place all beginnings up to it are looked up.
const LONGEST_TOKEN_BYTES: usize = 256;

#[derive(Debug)]
pub(super) struct Unigram {
    ids: HashMap<String, u32>,
    scores: Vec<f64>,
    unknown: u32,
    unknown_score: f64,
    byte_fallback: bool,
    longest: usize,
}

/// The likeliest way to a place: how likely, from where, with which token.
#[derive(Clone, Copy)]
struct Best {
    score: f64,
    from: usize,
    id: u32,
}

impl Unigram {
    pub(super) fn of(file: schema::Unigram) -> Result<Self, RuntimeError> {
        let unknown = file.unk_id.filter(|id| usize::try_from(*id).is_ok_and(|id| id < file.vocab.len()));
        let unknown = unknown.ok_or_else(|| damaged("unk_id is not in the vocabulary"))?;
        let longest = file.vocab.iter().map(|(token, _)| token.len()).max().unwrap_or(0);
        if longest > LONGEST_TOKEN_BYTES {
            return Err(damaged(format!(
                "a token of {longest} bytes; at most {LONGEST_TOKEN_BYTES} are read"
            )));
        }
        let least = file.vocab.iter().map(|(_, score)| *score).fold(f64::INFINITY, f64::min);
        let scores = file.vocab.iter().map(|(_, score)| *score).collect();
        let ids = file.vocab.into_iter().map(|(token, _)| token).zip(0..).collect();
        let unknown_score = least - UNKNOWN_PENALTY;
        Ok(Self { ids, scores, unknown, unknown_score, byte_fallback: file.byte_fallback, longest })
    }

    pub(super) const fn ids(&self) -> &HashMap<String, u32> {
        &self.ids
    }

    pub(super) fn encode(&self, word: &str, into: &mut Vec<u32>) {
        let mut cuts = self.cuts(word);
        cuts.reverse();
        let mut cuts = cuts.into_iter().peekable();
        while let Some((from, mut to, id)) = cuts.next() {
            if id != self.unknown {
                into.push(id);
                continue;
            }
            // Neighbours that are unknown are one token.
            while let Some((_, end, _)) = cuts.next_if(|(_, _, next)| *next == self.unknown) {
                to = end;
            }
            let text = word.get(from..to).unwrap_or_default();
            let known = self.ids.get(text).map(|id| vec![*id]);
            let bytes = || self.byte_fallback.then(|| byte_tokens(&self.ids, text)).flatten();
            into.extend(known.or_else(bytes).unwrap_or_else(|| vec![self.unknown]));
        }
    }

    /// The likeliest tokens, from the last to the first: from where, to where, which.
    fn cuts(&self, word: &str) -> Vec<(usize, usize, u32)> {
        let mut best: Vec<Option<Best>> = vec![None; word.len() + 1];
        for (from, character) in word.char_indices() {
            // The score of a place that no token ends at is that of the beginning, as in the library; no text has such a place.
            let here = best.get(from).copied().flatten().map_or(0.0, |best| best.score);
            let rest = word.get(from..).unwrap_or_default();
            let single = character.len_utf8();
            let mut has_single = false;
            for (start, each) in rest.char_indices() {
                let length = start + each.len_utf8();
                if length > self.longest {
                    break;
                }
                let Some(id) = rest.get(..length).and_then(|token| self.ids.get(token)) else { continue };
                let score =
                    usize::try_from(*id).ok().and_then(|id| self.scores.get(id)).copied().unwrap_or(0.0);
                improve(&mut best, from + length, Best { score: score + here, from, id: *id });
                has_single |= length == single;
            }
            if !has_single {
                let unknown = Best { score: self.unknown_score + here, from, id: self.unknown };
                improve(&mut best, from + single, unknown);
            }
        }
        let mut cuts = Vec::new();
        let mut end = word.len();
        while let Some(Best { from, id, .. }) = best.get(end).copied().flatten().filter(|_| end > 0) {
            cuts.push((from, end, id));
            end = from;
        }
        cuts
    }
}

fn improve(best: &mut [Option<Best>], place: usize, candidate: Best) {
    if let Some(held) = best.get_mut(place)
        && held.is_none_or(|held| candidate.score > held.score)
    {
        *held = Some(candidate);
    }
}
