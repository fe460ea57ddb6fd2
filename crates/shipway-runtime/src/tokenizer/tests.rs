//! Tokenizers against what HuggingFace's library answers for them (`tests/make_tokenizer_goldens.py`), and against damage.

use std::path::Path;

use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::damages::{apply, damage};

#[derive(Deserialize)]
struct Golden {
    texts: Vec<String>,
    ids: Vec<Vec<u32>>,
    types: Vec<Vec<u8>>,
}

const NAMES: [&str; 12] = [
    "bert_uncased",
    "bert_cased",
    "bert_accents",
    "roberta",
    "gpt2",
    "split_bytes",
    "sentencepiece_bpe",
    "word_bpe",
    "unigram_always",
    "unigram_first",
    "unigram_whole",
    "words",
];

fn file(name: &str) -> Vec<u8> {
    fs_err::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/tokenizers").join(name)).unwrap()
}

fn tokenizer(name: &str) -> Tokenizer {
    Tokenizer::load(&file(&format!("{name}.json"))).unwrap()
}

#[test]
fn texts_have_the_ids_that_the_library_gives_them() {
    for name in NAMES {
        let tokenizer = tokenizer(name);
        let golden: Golden = serde_json::from_slice(&file(&format!("{name}.golden.json"))).unwrap();
        assert!(golden.texts.len() >= 150, "{name}");
        for ((text, ids), types) in golden.texts.iter().zip(&golden.ids).zip(&golden.types) {
            let framed = tokenizer.frame().around(&tokenizer.encode(text));
            let (got_ids, got_types): (Vec<u32>, Vec<u8>) = framed.into_iter().unzip();
            assert_eq!(&got_ids, ids, "{name}: {text:?}");
            assert_eq!(&got_types, types, "{name}: {text:?}");
            assert!(ids.iter().all(|id| (*id as usize) < tokenizer.tokens()));
        }
    }
}

#[test]
fn what_is_not_known_is_refused_by_name() {
    let refusal = |json: &str| Tokenizer::load(json.as_bytes()).unwrap_err().to_string();
    let with = |part: &str| {
        format!(r#"{{{part} "model": {{"type": "WordLevel", "vocab": {{"a": 0}}, "unk_token": "a"}}}}"#)
    };
    for (part, expected) in [
        (r#""normalizer": {"type": "Nmt"},"#, "tokenizer model: `Nmt` is not supported"),
        (
            r#""pre_tokenizer": {"type": "UnicodeScripts"},"#,
            "tokenizer model: `UnicodeScripts` is not supported",
        ),
        (
            r#""pre_tokenizer": {"type": "Split", "pattern": {"Regex": "a(?=b)"}, "behavior": "Isolated", "invert": false},"#,
            "tokenizer model: the pattern a(?=b) is not supported",
        ),
        (
            r#""post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x", "type_id": 0}}]},"#,
            "tokenizer model: the template's token `x` has no ids",
        ),
        (
            &format!(r#""normalizer": {{"type": "Prepend", "prepend": "{}"}},"#, "a".repeat(300)),
            &format!("tokenizer model: `{}…` has 300 bytes; at most 256 fit there", "a".repeat(60)),
        ),
        (
            r#""normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"},"#,
            "tokenizer model: precompiled_charsmap: it has no size",
        ),
    ] {
        assert_eq!(refusal(&with(part)), expected);
    }
    assert_eq!(
        refusal(r#"{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a b"]}}"#),
        "tokenizer model: the token `b` is not in the vocabulary"
    );
    assert_eq!(
        refusal(r#"{"model": {"type": "BPE", "vocab": {}, "merges": [], "dropout": 0.1}}"#),
        "tokenizer model: dropout, which cuts the same text in another way each time is not supported"
    );
    assert!(refusal(&"[".repeat(100_000)).starts_with("tokenizer model: "));
    assert!(refusal("{}").contains("missing field `model`"));
}

#[test]
fn a_text_does_not_grow_beyond_its_bound() {
    let replace = format!(
        r#"{{"type": "Replace", "pattern": {{"String": "a"}}, "content": "{}"}}"#,
        "a".repeat(MAX_FILLER_BYTES)
    );
    let file = format!(
        r#"{{"normalizer": {{"type": "Sequence", "normalizers": [{replace}, {replace}, {replace}]}},
        "model": {{"type": "WordLevel", "vocab": {{"a": 0}}, "unk_token": "a"}}}}"#
    );
    let tokenizer = Tokenizer::load(file.as_bytes()).unwrap();
    assert_eq!(tokenizer.normalizer.normalize("aaaa").len(), 2 * 1024 * 1024);
}

#[test]
fn a_long_word_takes_no_square_of_its_length() {
    let word = "ab".repeat(200_000);
    for name in ["gpt2", "sentencepiece_bpe", "unigram_whole", "bert_uncased"] {
        assert!(!tokenizer(name).encode(&word).is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_text_has_tokens_that_are_known(text in any::<String>(), place in 0..NAMES.len()) {
        let tokenizer = tokenizer(NAMES[place]);
        let ids = tokenizer.encode(&text);
        prop_assert!(ids.iter().all(|id| (*id as usize) < tokenizer.tokens()));
    }

    #[test]
    fn a_damaged_file_is_refused_or_reads_any_text(
        damages in prop::collection::vec(damage(), 1..4),
        place in 0..NAMES.len(),
        text in any::<String>(),
    ) {
        let mut bytes = file(&format!("{}.json", NAMES[place]));
        damages.iter().for_each(|damage| apply(&mut bytes, damage));
        if let Ok(tokenizer) = Tokenizer::load(&bytes) {
            let framed = tokenizer.frame().around(&tokenizer.encode(&text));
            prop_assert!(framed.iter().all(|(id, _)| (*id as usize) < tokenizer.tokens()));
        }
    }
}
