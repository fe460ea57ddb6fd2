//! Into which words a text is cut.

use unicode_categories::UnicodeCategories as _;

use super::{
    MAX_PARTS, Piece, bytes, damaged,
    pattern::Pattern,
    schema::{self, Behaviour, PrependScheme},
    unsupported,
};
use crate::error::RuntimeError;

/// The words of GPT-2, and of the byte-level vocabularies after it.
const BYTE_LEVEL_WORDS: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

#[derive(Debug)]
pub(super) enum Splitter {
    /// Cut at every character that is white.
    Space,
    /// Cut at a character, which is left out.
    Delimiter(char),
    Punctuation(Behaviour),
    Digits(Behaviour),
    Pattern {
        pattern: Pattern,
        behaviour: Behaviour,
        invert: bool,
    },
    Bytes {
        prefix_space: bool,
        words: Option<Pattern>,
    },
    Metaspace {
        mark: char,
        scheme: PrependScheme,
        split: bool,
    },
}

/// A stretch of a text, and whether it is a place to cut at.
type Stretch = (usize, usize, bool);

impl Splitter {
    /// The splitters of a file, which each cut what the ones before them left.
    pub(super) fn all_of(file: Option<schema::PreTokenizer>) -> Result<Vec<Self>, RuntimeError> {
        use schema::PreTokenizer as File;
        let Some(file) = file else { return Ok(Vec::new()) };
        Ok(match file {
            File::Bert {} => vec![Self::Space, Self::Punctuation(Behaviour::Isolated)],
            File::Whitespace {} => {
                let pattern = Pattern::of_regex(r"\w+|[^\w\s]+")?;
                vec![Self::Pattern { pattern, behaviour: Behaviour::Removed, invert: true }]
            }
            File::WhitespaceSplit {} => vec![Self::Space],
            File::CharDelimiterSplit { delimiter } => vec![Self::Delimiter(delimiter)],
            File::Punctuation { behavior } => vec![Self::Punctuation(behavior)],
            File::Digits { individual_digits: true } => vec![Self::Digits(Behaviour::Isolated)],
            File::Digits { individual_digits: false } => vec![Self::Digits(Behaviour::Contiguous)],
            File::Split { pattern, behavior, invert } => {
                vec![Self::Pattern { pattern: Pattern::of(&pattern)?, behaviour: behavior, invert }]
            }
            File::ByteLevel { add_prefix_space, use_regex } => {
                let words = use_regex.then(|| Pattern::of_regex(BYTE_LEVEL_WORDS)).transpose()?;
                vec![Self::Bytes { prefix_space: add_prefix_space, words }]
            }
            File::Metaspace { replacement, add_prefix_space, prepend_scheme, split } => {
                let scheme = match (add_prefix_space, prepend_scheme) {
                    (Some(false), PrependScheme::First) => {
                        return Err(unsupported(
                            "Metaspace with add_prefix_space and prepend_scheme that differ",
                        ));
                    }
                    (Some(false), _) => PrependScheme::Never,
                    (_, scheme) => scheme,
                };
                vec![Self::Metaspace { mark: replacement, scheme, split: split.unwrap_or(true) }]
            }
            File::Sequence { pretokenizers } => {
                let mut all = Vec::new();
                for inner in pretokenizers {
                    all.extend(Self::all_of(Some(inner))?);
                    if all.len() > MAX_PARTS {
                        return Err(damaged(format!("more than {MAX_PARTS} pre-tokenizers")));
                    }
                }
                all
            }
        })
    }

    pub(super) fn split(&self, mut piece: Piece) -> Vec<Piece> {
        match self {
            Self::Space => cut(&piece, &at_characters(&piece.text, char::is_whitespace), Behaviour::Removed),
            Self::Delimiter(delimiter) => {
                cut(&piece, &at_characters(&piece.text, |each| each == *delimiter), Behaviour::Removed)
            }
            Self::Punctuation(behaviour) => {
                let is_punctuation = |each: char| each.is_ascii_punctuation() || each.is_punctuation();
                cut(&piece, &at_characters(&piece.text, is_punctuation), *behaviour)
            }
            Self::Digits(behaviour) => cut(&piece, &at_characters(&piece.text, char::is_numeric), *behaviour),
            Self::Pattern { pattern, behaviour, invert } => {
                let mut stretches = at_matches(&piece.text, &pattern.matches(&piece.text));
                stretches.iter_mut().for_each(|(_, _, is_cut)| *is_cut ^= invert);
                cut(&piece, &stretches, *behaviour)
            }
            Self::Bytes { prefix_space, words } => {
                if *prefix_space && !piece.text.starts_with(' ') {
                    piece.text.insert(0, ' ');
                }
                let pieces = match words {
                    Some(words) => cut(
                        &piece,
                        &at_matches(&piece.text, &words.matches(&piece.text)),
                        Behaviour::Isolated,
                    ),
                    None => vec![piece],
                };
                let visible = |piece: Piece| Piece { text: bytes::visible(&piece.text), ..piece };
                pieces.into_iter().map(visible).collect()
            }
            Self::Metaspace { mark, scheme, split } => {
                piece.text = piece.text.replace(' ', mark.encode_utf8(&mut [0; 4]));
                let prepends = match scheme {
                    PrependScheme::Always => true,
                    PrependScheme::First => piece.is_first,
                    PrependScheme::Never => false,
                };
                if prepends && !piece.text.starts_with(*mark) {
                    piece.text.insert(0, *mark);
                }
                match split {
                    true => cut(
                        &piece,
                        &at_characters(&piece.text, |each| each == *mark),
                        Behaviour::MergedWithNext,
                    ),
                    false => vec![piece],
                }
            }
        }
    }
}

/// Each character that `is_cut` is true of is a place to cut at by itself.
fn at_characters(text: &str, is_cut: impl Fn(char) -> bool) -> Vec<Stretch> {
    let places: Vec<(usize, usize)> = text
        .char_indices()
        .filter(|(_, each)| is_cut(*each))
        .map(|(place, each)| (place, place + each.len_utf8()))
        .collect();
    at_matches(text, &places)
}

fn at_matches(text: &str, matches: &[(usize, usize)]) -> Vec<Stretch> {
    let mut stretches = Vec::with_capacity(matches.len() * 2 + 1);
    let mut done = 0;
    for (start, end) in matches {
        if done < *start {
            stretches.push((done, *start, false));
        }
        stretches.push((*start, *end, true));
        done = *end;
    }
    if done < text.len() {
        stretches.push((done, text.len(), false));
    }
    stretches
}

fn cut(piece: &Piece, stretches: &[Stretch], behaviour: Behaviour) -> Vec<Piece> {
    let mut kept: Vec<Stretch> = Vec::with_capacity(stretches.len());
    match behaviour {
        Behaviour::Isolated => kept.extend(stretches),
        Behaviour::Removed => kept.extend(stretches.iter().filter(|(_, _, is_cut)| !is_cut)),
        Behaviour::Contiguous => {
            for stretch in stretches {
                match kept.last_mut().filter(|last| last.2 == stretch.2) {
                    Some(last) => last.1 = stretch.1,
                    None => kept.push(*stretch),
                }
            }
        }
        Behaviour::MergedWithPrevious => {
            let mut was_cut = false;
            for stretch in stretches {
                match kept.last_mut().filter(|_| stretch.2 && !was_cut) {
                    Some(last) => last.1 = stretch.1,
                    None => kept.push(*stretch),
                }
                was_cut = stretch.2;
            }
        }
        Behaviour::MergedWithNext => {
            let mut was_cut = false;
            for stretch in stretches.iter().rev() {
                match kept.last_mut().filter(|_| stretch.2 && !was_cut) {
                    Some(last) => last.0 = stretch.0,
                    None => kept.push(*stretch),
                }
                was_cut = stretch.2;
            }
            kept.reverse();
        }
    }
    let inner = |(start, end, _): Stretch| {
        let text = piece.text.get(start..end).filter(|text| !text.is_empty())?;
        Some(Piece { text: text.to_owned(), is_first: piece.is_first && start == 0 })
    };
    kept.into_iter().filter_map(inner).collect()
}
