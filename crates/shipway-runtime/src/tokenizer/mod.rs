//! Text as the tokens of a model, by a `tokenizer.json` as HuggingFace's library writes it: the same ids as the library answers.
//!
//! What the file says goes through five stages, and each has a file. A part that is not known is refused by name when the file is
//! loaded, so that no text is ever cut in another way than in training. Pure: no threads, no state, and no text that it fails on.
//!
//! - `schema`: the file as it is written
//! - `added`: tokens that are found in the text before anything else, such as `[SEP]`
//! - `normalize`, `charsmap`: how a text is spelled before it is cut
//! - `split`, `pattern`: into which words it is cut
//! - `bytes`: bytes as visible characters, as byte-level vocabularies have them
//! - `wordpiece`, `bpe`, `unigram`: which tokens a word is
//! - `frame`: which tokens stand around a text

mod added;
mod bpe;
mod bytes;
mod charsmap;
mod frame;
mod normalize;
mod pattern;
mod schema;
mod split;
#[cfg(test)]
mod tests;
mod unigram;
mod wordpiece;

use std::collections::HashMap;

use added::AddedTokens;
use bpe::Bpe;
pub(crate) use frame::Frame;
use normalize::Normalizer;
use split::Splitter;
use unigram::Unigram;
use wordpiece::WordPiece;

use crate::error::RuntimeError;

const FORMAT: &str = "tokenizer";

/// The most normalizers, and the most pre-tokenizers, of a file.
const MAX_PARTS: usize = 64;

/// The longest text that a file may put in the place of another, in bytes: the text of a request must not grow without bounds.
const MAX_FILLER_BYTES: usize = 256;

fn damaged(reason: impl Into<String>) -> RuntimeError {
    RuntimeError::Damaged { format: FORMAT, reason: reason.into() }
}

fn unsupported(what: impl Into<String>) -> RuntimeError {
    RuntimeError::Unsupported { format: FORMAT, what: what.into() }
}

/// A loaded tokenizer.
#[derive(Debug)]
pub(crate) struct Tokenizer {
    added: AddedTokens,
    normalizer: Normalizer,
    splitters: Vec<Splitter>,
    vocabulary: Vocabulary,
    frame: Frame,
    /// One more than the largest id.
    tokens: usize,
    pad: Option<u32>,
}

/// A part of a text on its way to tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Piece {
    text: String,
    /// Whether the text begins with it.
    is_first: bool,
}

#[derive(Debug)]
enum Vocabulary {
    WordPiece(WordPiece),
    WordLevel { ids: HashMap<String, u32>, unknown: u32 },
    Bpe(Bpe),
    Unigram(Unigram),
}

impl Tokenizer {
    /// Reads a file. Its settings of padding and truncation are not taken: who runs the model knows how long a text may be.
    pub(crate) fn load(bytes: &[u8]) -> Result<Self, RuntimeError> {
        let file = schema::read(bytes)?;
        let normalizer = Normalizer::of(file.normalizer)?;
        let splitters = Splitter::all_of(file.pre_tokenizer)?;
        let vocabulary = Vocabulary::of(file.model)?;
        let id_of = |content: &str| vocabulary.id(content);
        let added = AddedTokens::of(file.added_tokens, &normalizer, id_of)?;
        let frame = Frame::of(file.post_processor)?;
        let largest = vocabulary.largest_id().max(added.largest_id()).max(frame.largest_id());
        let tokens = usize::try_from(largest).unwrap_or(usize::MAX).saturating_add(1);
        let pad = file.padding.map(|padding| padding.pad_id);
        Ok(Self { added, normalizer, splitters, vocabulary, frame, tokens, pad })
    }

    /// The tokens of a text, without those that stand around it.
    pub(crate) fn encode(&self, text: &str) -> Vec<u32> {
        let mut ids = Vec::new();
        for part in self.added.taken_out(text, &self.normalizer) {
            match part {
                added::Part::Token(id) => ids.push(id),
                added::Part::Text(piece) if piece.text.is_empty() => {}
                added::Part::Text(piece) => {
                    let mut pieces = vec![piece];
                    for splitter in &self.splitters {
                        pieces = pieces.into_iter().flat_map(|piece| splitter.split(piece)).collect();
                    }
                    pieces.iter().for_each(|piece| self.vocabulary.encode(&piece.text, &mut ids));
                }
            }
        }
        ids
    }

    /// What stands around a text.
    pub(crate) const fn frame(&self) -> &Frame {
        &self.frame
    }

    /// One more than the largest id that there is.
    pub(crate) const fn tokens(&self) -> usize {
        self.tokens
    }

    /// The token that fills short texts up, if the file names one.
    pub(crate) const fn pad(&self) -> Option<u32> {
        self.pad
    }
}

impl Vocabulary {
    fn of(model: schema::Model) -> Result<Self, RuntimeError> {
        Ok(match model {
            schema::Model::WordPiece(model) => Self::WordPiece(WordPiece::of(model)?),
            schema::Model::WordLevel { vocab, unk_token } => {
                let unknown = known(&vocab, &unk_token)?;
                Self::WordLevel { ids: vocab, unknown }
            }
            schema::Model::Bpe(model) => Self::Bpe(Bpe::of(*model)?),
            schema::Model::Unigram(model) => Self::Unigram(Unigram::of(model)?),
        })
    }

    /// Appends the tokens of a word.
    fn encode(&self, word: &str, into: &mut Vec<u32>) {
        if word.is_empty() {
            return;
        }
        match self {
            Self::WordPiece(model) => model.encode(word, into),
            Self::WordLevel { ids, unknown } => into.push(ids.get(word).copied().unwrap_or(*unknown)),
            Self::Bpe(model) => model.encode(word, into),
            Self::Unigram(model) => model.encode(word, into),
        }
    }

    fn ids(&self) -> &HashMap<String, u32> {
        match self {
            Self::WordPiece(model) => model.ids(),
            Self::WordLevel { ids, .. } => ids,
            Self::Bpe(model) => model.ids(),
            Self::Unigram(model) => model.ids(),
        }
    }

    fn id(&self, token: &str) -> Option<u32> {
        self.ids().get(token).copied()
    }

    fn largest_id(&self) -> u32 {
        self.ids().values().copied().max().unwrap_or(0)
    }
}

/// Refuses a filler that is too long.
fn bounded(filler: String) -> Result<String, RuntimeError> {
    match filler.len() {
        0..=MAX_FILLER_BYTES => Ok(filler),
        bytes => Err(damaged(format!(
            "`{}…` has {bytes} bytes; at most {MAX_FILLER_BYTES} fit there",
            shown(&filler)
        ))),
    }
}

/// The id of a token that must be in the vocabulary.
fn known(ids: &HashMap<String, u32>, token: &str) -> Result<u32, RuntimeError> {
    let missing = || damaged(format!("the token `{}` is not in the vocabulary", shown(token)));
    ids.get(token).copied().ok_or_else(missing)
}

/// The beginning of a word from a file, for messages.
fn shown(word: &str) -> String {
    word.chars().take(60).collect()
}
