//! How a text is spelled before it is cut. The tables of Unicode are those of the library, whose spelling the model was trained on.

use unicode_categories::UnicodeCategories as _;
use unicode_normalization_alignments::{UnicodeNormalization as _, char::is_combining_mark};

use super::{MAX_PARTS, bounded, bytes, charsmap::CharsMap, damaged, pattern::Pattern, schema};
use crate::error::RuntimeError;

/// The most of a text that is left after each step, in bytes: more than the tokens of any model are made of.
const MAX_SPELLED_BYTES: usize = 2 * 1024 * 1024;

#[derive(Debug)]
pub(super) enum Normalizer {
    Bert { clean: bool, chinese: bool, strip_accents: bool, lowercase: bool },
    Lowercase,
    Nfc,
    Nfd,
    Nfkc,
    Nfkd,
    StripAccents,
    Strip { left: bool, right: bool },
    Replace { pattern: Pattern, content: String },
    Prepend(String),
    Bytes,
    Charsmap(CharsMap),
    Sequence(Vec<Self>),
}

impl Normalizer {
    pub(super) fn of(file: Option<schema::Normalizer>) -> Result<Self, RuntimeError> {
        use schema::Normalizer as File;
        Ok(match file {
            None => Self::Sequence(Vec::new()),
            Some(File::Bert { clean_text, handle_chinese_chars, strip_accents, lowercase }) => Self::Bert {
                clean: clean_text,
                chinese: handle_chinese_chars,
                strip_accents: strip_accents.unwrap_or(lowercase),
                lowercase,
            },
            Some(File::Lowercase {}) => Self::Lowercase,
            Some(File::Nfc {}) => Self::Nfc,
            Some(File::Nfd {}) => Self::Nfd,
            Some(File::Nfkc {}) => Self::Nfkc,
            Some(File::Nfkd {}) => Self::Nfkd,
            Some(File::StripAccents {}) => Self::StripAccents,
            Some(File::Strip { strip_left, strip_right }) => {
                Self::Strip { left: strip_left, right: strip_right }
            }
            Some(File::Replace { pattern, content }) => {
                Self::Replace { pattern: Pattern::of(&pattern)?, content: bounded(content)? }
            }
            Some(File::Prepend { prepend }) => Self::Prepend(bounded(prepend)?),
            Some(File::ByteLevel {}) => Self::Bytes,
            Some(File::Precompiled { precompiled_charsmap }) => {
                Self::Charsmap(CharsMap::of(&precompiled_charsmap)?)
            }
            Some(File::Sequence { normalizers }) => {
                if normalizers.len() > MAX_PARTS {
                    return Err(damaged(format!("more than {MAX_PARTS} normalizers")));
                }
                let all = normalizers.into_iter().map(|inner| Self::of(Some(inner)));
                Self::Sequence(all.collect::<Result<_, _>>()?)
            }
        })
    }

    pub(super) fn normalize(&self, text: &str) -> String {
        match self {
            Self::Bert { clean, chinese, strip_accents, lowercase } => {
                let mut text: String =
                    text.chars().flat_map(|each| bert(each, *clean, *chinese)).flatten().collect();
                if *strip_accents {
                    text = text.nfd().map(first).filter(|each| !each.is_mark_nonspacing()).collect();
                }
                if *lowercase { lowered(&text) } else { text }
            }
            Self::Lowercase => lowered(text),
            Self::Nfc => text.nfc().map(first).collect(),
            Self::Nfd => text.nfd().map(first).collect(),
            Self::Nfkc => text.nfkc().map(first).collect(),
            Self::Nfkd => text.nfkd().map(first).collect(),
            Self::StripAccents => text.chars().filter(|each| !is_combining_mark(*each)).collect(),
            Self::Strip { left, right } => {
                let text = if *left { text.trim_start() } else { text };
                if *right { text.trim_end() } else { text }.to_owned()
            }
            Self::Replace { pattern, content } => pattern.replaced(text, content),
            Self::Prepend(_) if text.is_empty() => String::new(),
            Self::Prepend(front) => format!("{front}{text}"),
            Self::Bytes => bytes::visible(text),
            Self::Charsmap(map) => map.normalize(text),
            Self::Sequence(all) => all.iter().fold(text.to_owned(), |text, one| {
                let mut text = one.normalize(&text);
                text.truncate(text.floor_char_boundary(MAX_SPELLED_BYTES));
                text
            }),
        }
    }
}

fn first((character, _): (char, isize)) -> char {
    character
}

/// Character by character: the end of a word makes no difference.
fn lowered(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).collect()
}

/// A character as BERT's texts have it: spaces for all that is white, none of what controls, spaces around Chinese characters.
fn bert(character: char, clean: bool, chinese: bool) -> [Option<char>; 3] {
    let is_white = matches!(character, '\t' | '\n' | '\r') || character.is_whitespace();
    let is_control = !matches!(character, '\t' | '\n' | '\r') && character.is_other();
    let kept = match clean {
        true if matches!(character, '\0' | '\u{fffd}') || is_control => return [None; 3],
        true if is_white => ' ',
        _ => character,
    };
    if chinese && is_chinese(kept) { [Some(' '), Some(kept), Some(' ')] } else { [Some(kept), None, None] }
}

const fn is_chinese(character: char) -> bool {
    matches!(
        character,
        '\u{4E00}'..='\u{9FFF}'
            | '\u{3400}'..='\u{4DBF}'
            | '\u{20000}'..='\u{2A6DF}'
            | '\u{2A700}'..='\u{2B73F}'
            | '\u{2B740}'..='\u{2B81F}'
            | '\u{2B920}'..='\u{2CEAF}'
            | '\u{F900}'..='\u{FAFF}'
            | '\u{2F800}'..='\u{2FA1F}'
    )
}
