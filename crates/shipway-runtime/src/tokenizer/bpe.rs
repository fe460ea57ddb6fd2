//! Byte pair encoding (Sennrich 2016): of the neighbours in a word, those that were joined first in training are joined first.

use std::{cmp::Reverse, collections::BinaryHeap, collections::HashMap};

use super::{bounded, damaged, known, schema, shown, unsupported};
use crate::error::RuntimeError;

#[derive(Debug)]
pub(super) struct Bpe {
    ids: HashMap<String, u32>,
    /// For two neighbours: when they are joined, and what they become.
    merges: HashMap<(u32, u32), (u32, u32)>,
    unknown: Option<u32>,
    prefix: Option<String>,
    suffix: Option<String>,
    fuse_unknown: bool,
    byte_fallback: bool,
    ignore_merges: bool,
}

/// A token of a word with its neighbours, by their places.
#[derive(Clone, Copy)]
struct Link {
    id: u32,
    before: Option<usize>,
    behind: Option<usize>,
    is_gone: bool,
}

impl Bpe {
    pub(super) fn of(file: schema::Bpe) -> Result<Self, RuntimeError> {
        if file.dropout.is_some_and(|dropout| dropout != 0.0) {
            return Err(unsupported("dropout, which cuts the same text in another way each time"));
        }
        let ids = file.vocab;
        let unknown = file.unk_token.map(|token| known(&ids, &token)).transpose()?;
        let prefix =
            file.continuing_subword_prefix.filter(|prefix| !prefix.is_empty()).map(bounded).transpose()?;
        let suffix = file.end_of_word_suffix.filter(|suffix| !suffix.is_empty()).map(bounded).transpose()?;
        let skipped = prefix.as_ref().map_or(0, String::len);
        let mut merges = HashMap::with_capacity(file.merges.len());
        for (rank, merge) in (0_u32..).zip(file.merges) {
            let (left, right) = match merge {
                schema::Merge::Pair(left, right) => (left, right),
                schema::Merge::Joined(both) => match both.split_once(' ') {
                    Some((left, right)) if !right.contains(' ') => (left.to_owned(), right.to_owned()),
                    _ => return Err(damaged(format!("`{}` is no pair to merge", shown(&both)))),
                },
            };
            let joined = format!("{left}{}", right.get(skipped..).unwrap_or_default());
            let pair = (known(&ids, &left)?, known(&ids, &right)?);
            merges.insert(pair, (rank, known(&ids, &joined)?));
        }
        Ok(Self {
            ids,
            merges,
            unknown,
            prefix,
            suffix,
            fuse_unknown: file.fuse_unk,
            byte_fallback: file.byte_fallback,
            ignore_merges: file.ignore_merges,
        })
    }

    pub(super) const fn ids(&self) -> &HashMap<String, u32> {
        &self.ids
    }

    pub(super) fn encode(&self, word: &str, into: &mut Vec<u32>) {
        match self.ids.get(word).filter(|_| self.ignore_merges) {
            Some(id) => into.push(*id),
            None => self.merged(self.characters(word), into),
        }
    }

    /// The tokens of the word's characters.
    fn characters(&self, word: &str) -> Vec<u32> {
        let mut tokens = Vec::with_capacity(word.len());
        let mut waits: Option<u32> = None;
        let mut key = String::new();
        for (place, character) in word.char_indices() {
            key.clear();
            if let Some(prefix) = self.prefix.as_ref().filter(|_| place > 0) {
                key.push_str(prefix);
            }
            key.push(character);
            if let Some(suffix) = self.suffix.as_ref().filter(|_| place + character.len_utf8() == word.len())
            {
                key.push_str(suffix);
            }
            if let Some(id) = self.ids.get(key.as_str()) {
                tokens.extend(waits.take());
                tokens.push(*id);
            } else if let Some(bytes) = self.byte_fallback.then(|| byte_tokens(&self.ids, &key)).flatten() {
                tokens.extend(bytes);
            } else if let Some(unknown) = self.unknown {
                if !self.fuse_unknown {
                    tokens.extend(waits);
                }
                waits = Some(unknown);
            }
        }
        tokens.extend(waits);
        tokens
    }

    /// Joins neighbours until none are left to join.
    fn merged(&self, tokens: Vec<u32>, into: &mut Vec<u32>) {
        let last = tokens.len().saturating_sub(1);
        let link = |(place, id): (usize, u32)| Link {
            id,
            before: place.checked_sub(1),
            behind: (place < last).then_some(place + 1),
            is_gone: false,
        };
        let mut links: Vec<Link> = tokens.into_iter().enumerate().map(link).collect();
        let mut waiting = BinaryHeap::new();
        (0..links.len()).for_each(|place| self.offer(&links, place, &mut waiting));
        while let Some(Reverse((_, place, joined))) = waiting.pop() {
            let Some((left, behind)) = pair_at(&links, place) else { continue };
            let Some(right) = links.get(behind).copied() else { continue };
            // One of the two may have been joined with another since.
            if self.merges.get(&(left.id, right.id)).is_none_or(|(_, becomes)| *becomes != joined) {
                continue;
            }
            if let Some(link) = links.get_mut(place) {
                *link = Link { id: joined, behind: right.behind, ..left };
            }
            if let Some(link) = links.get_mut(behind) {
                link.is_gone = true;
            }
            if let Some(next) = right.behind.and_then(|next| links.get_mut(next)) {
                next.before = Some(place);
            }
            if let Some(before) = left.before {
                self.offer(&links, before, &mut waiting);
            }
            self.offer(&links, place, &mut waiting);
        }
        into.extend(links.iter().filter(|link| !link.is_gone).map(|link| link.id));
    }

    /// Queues the pair at `place`, if it is one to join: the earliest in training first, then from left to right.
    fn offer(&self, links: &[Link], place: usize, waiting: &mut BinaryHeap<Reverse<(u32, usize, u32)>>) {
        let pair = pair_at(links, place).and_then(|(left, behind)| Some((left.id, links.get(behind)?.id)));
        if let Some((rank, joined)) = pair.and_then(|pair| self.merges.get(&pair)) {
            waiting.push(Reverse((*rank, place, *joined)));
        }
    }
}

/// The token at `place` and the place of the one behind it.
fn pair_at(links: &[Link], place: usize) -> Option<(Link, usize)> {
    let left = links.get(place).copied().filter(|link| !link.is_gone)?;
    Some((left, left.behind?))
}

/// The tokens of a word's bytes, if there is one for each.
pub(super) fn byte_tokens(ids: &HashMap<String, u32>, word: &str) -> Option<Vec<u32>> {
    word.bytes().map(|byte| ids.get(&format!("<0x{byte:02X}>")).copied()).collect()
}
