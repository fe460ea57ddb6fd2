//! The file as it is written. Fields that change no id, such as those for offsets and decoding, are left out.

use std::collections::HashMap;

use serde::Deserialize;

use super::{damaged, unsupported};
use crate::error::RuntimeError;

#[derive(Deserialize)]
pub(super) struct File {
    #[serde(default)]
    pub(super) added_tokens: Vec<AddedToken>,
    #[serde(default)]
    pub(super) normalizer: Option<Normalizer>,
    #[serde(default)]
    pub(super) pre_tokenizer: Option<PreTokenizer>,
    pub(super) model: Model,
    #[serde(default)]
    pub(super) post_processor: Option<PostProcessor>,
    #[serde(default)]
    pub(super) padding: Option<Padding>,
}

#[derive(Deserialize)]
pub(super) struct Padding {
    pub(super) pad_id: u32,
}

#[derive(Deserialize)]
pub(super) struct AddedToken {
    pub(super) id: u32,
    pub(super) content: String,
    #[serde(default)]
    pub(super) single_word: bool,
    #[serde(default)]
    pub(super) lstrip: bool,
    #[serde(default)]
    pub(super) rstrip: bool,
    #[serde(default)]
    pub(super) normalized: bool,
}

/// A pattern: words as they are, or a regular expression.
#[derive(Deserialize)]
pub(super) enum Pattern {
    String(String),
    Regex(String),
}

#[derive(Deserialize)]
#[serde(tag = "type")]
pub(super) enum Normalizer {
    #[serde(rename = "BertNormalizer")]
    Bert {
        clean_text: bool,
        handle_chinese_chars: bool,
        #[serde(default)]
        strip_accents: Option<bool>,
        lowercase: bool,
    },
    Lowercase {},
    #[serde(rename = "NFC")]
    Nfc {},
    #[serde(rename = "NFD")]
    Nfd {},
    #[serde(rename = "NFKC")]
    Nfkc {},
    #[serde(rename = "NFKD")]
    Nfkd {},
    StripAccents {},
    Strip {
        strip_left: bool,
        strip_right: bool,
    },
    Replace {
        pattern: Pattern,
        content: String,
    },
    Prepend {
        prepend: String,
    },
    ByteLevel {},
    Precompiled {
        precompiled_charsmap: String,
    },
    Sequence {
        normalizers: Vec<Self>,
    },
}

#[derive(Deserialize)]
#[serde(tag = "type")]
pub(super) enum PreTokenizer {
    #[serde(rename = "BertPreTokenizer")]
    Bert {},
    Whitespace {},
    WhitespaceSplit {},
    ByteLevel {
        add_prefix_space: bool,
        #[serde(default = "yes")]
        use_regex: bool,
    },
    Metaspace {
        replacement: char,
        #[serde(default)]
        add_prefix_space: Option<bool>,
        #[serde(default)]
        prepend_scheme: PrependScheme,
        #[serde(default)]
        split: Option<bool>,
    },
    Punctuation {
        #[serde(default)]
        behavior: Behaviour,
    },
    Digits {
        individual_digits: bool,
    },
    Split {
        pattern: Pattern,
        behavior: Behaviour,
        invert: bool,
    },
    CharDelimiterSplit {
        delimiter: char,
    },
    Sequence {
        pretokenizers: Vec<Self>,
    },
}

const fn yes() -> bool {
    true
}

/// When a text gets the mark of a space in front.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum PrependScheme {
    First,
    Never,
    #[default]
    Always,
}

/// What becomes of the places where a text is cut.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub(super) enum Behaviour {
    Removed,
    #[default]
    Isolated,
    MergedWithPrevious,
    MergedWithNext,
    Contiguous,
}

#[derive(Deserialize)]
#[serde(tag = "type")]
pub(super) enum Model {
    WordPiece(WordPiece),
    WordLevel {
        vocab: HashMap<String, u32>,
        unk_token: String,
    },
    #[serde(rename = "BPE")]
    Bpe(Box<Bpe>),
    Unigram(Unigram),
}

#[derive(Deserialize)]
pub(super) struct WordPiece {
    pub(super) vocab: HashMap<String, u32>,
    pub(super) unk_token: String,
    pub(super) continuing_subword_prefix: String,
    pub(super) max_input_chars_per_word: usize,
}

#[derive(Deserialize)]
pub(super) struct Bpe {
    pub(super) vocab: HashMap<String, u32>,
    pub(super) merges: Vec<Merge>,
    #[serde(default)]
    pub(super) dropout: Option<f64>,
    #[serde(default)]
    pub(super) unk_token: Option<String>,
    #[serde(default)]
    pub(super) continuing_subword_prefix: Option<String>,
    #[serde(default)]
    pub(super) end_of_word_suffix: Option<String>,
    #[serde(default)]
    pub(super) fuse_unk: bool,
    #[serde(default)]
    pub(super) byte_fallback: bool,
    #[serde(default)]
    pub(super) ignore_merges: bool,
}

/// A pair: two words, or one with a space between them.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Merge {
    Pair(String, String),
    Joined(String),
}

#[derive(Deserialize)]
pub(super) struct Unigram {
    pub(super) vocab: Vec<(String, f64)>,
    #[serde(default)]
    pub(super) unk_id: Option<u32>,
    #[serde(default)]
    pub(super) byte_fallback: bool,
}

#[derive(Deserialize)]
#[serde(tag = "type")]
pub(super) enum PostProcessor {
    TemplateProcessing {
        single: Vec<TemplatePart>,
        #[serde(default)]
        special_tokens: HashMap<String, SpecialToken>,
    },
    BertProcessing {
        sep: (String, u32),
        cls: (String, u32),
    },
    RobertaProcessing {
        sep: (String, u32),
        cls: (String, u32),
    },
    ByteLevel {},
    Sequence {
        processors: Vec<Self>,
    },
}

#[derive(Deserialize)]
pub(super) enum TemplatePart {
    SpecialToken { id: String, type_id: u8 },
    Sequence { id: String, type_id: u8 },
}

#[derive(Deserialize)]
pub(super) struct SpecialToken {
    pub(super) ids: Vec<u32>,
}

/// Reads a file. A part of a type that is not known here is not supported; anything else that does not fit is damage.
pub(super) fn read(bytes: &[u8]) -> Result<File, RuntimeError> {
    serde_json::from_slice(bytes).map_err(|error| {
        let words: String = error.to_string().chars().take(300).collect();
        match words.strip_prefix("unknown variant ") {
            Some(rest) => unsupported(rest.split(',').next().unwrap_or_default().to_owned()),
            None => damaged(words),
        }
    })
}
