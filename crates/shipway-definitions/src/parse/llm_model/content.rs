//! Reads what is kept of what is asked and answered.

use shipway_core::{Sampling, nearest};

use super::whole;
use crate::{
    LlmContent, LlmContentKeep,
    parse::reader::{Fields, Reader},
    yaml::{Content, Node},
};

pub(crate) const FIELDS: &[&str] = &["keep", "share", "max_kib"];

const NOTHING: &str = "none";
const USUAL_KIB: u32 = 64;
const MOST_KIB: i128 = 4_096;

/// `content: full`, or with a share and a bound. None where nothing is kept, and where a message says what is wrong.
pub(super) fn read(node: &Node, reader: &mut Reader<'_>) -> Option<LlmContent> {
    let usual = |keep| LlmContent { keep, share: Sampling::All, most_bytes: USUAL_KIB * 1024 };
    if let Content::Text(_) = &node.content {
        return read_keep("content", node, reader).map(usual);
    }
    let fields = Fields::of(node, FIELDS, " in content", reader)?;
    let keep = fields.required("keep", reader).and_then(|node| read_keep("keep", node, reader));
    let share = match fields.optional("share") {
        Some(node) => read_share(node, reader),
        None => Some(Sampling::All),
    };
    let kib = match fields.optional("max_kib") {
        Some(node) => whole("max_kib", node, 1..=MOST_KIB, reader).and_then(|kib| u32::try_from(kib).ok()),
        None => Some(USUAL_KIB),
    };
    let content = LlmContent { keep: keep?, share: share?, most_bytes: kib? * 1024 };
    (content.share != Sampling::Off).then_some(content)
}

fn read_keep(what: &str, node: &Node, reader: &mut Reader<'_>) -> Option<LlmContentKeep> {
    let word = reader.text(what, node)?;
    let found = LlmContentKeep::ALL.into_iter().find(|keep| keep.word() == word.value);
    if found.is_none() && word.value != NOTHING {
        let words = [NOTHING, LlmContentKeep::Redacted.word(), LlmContentKeep::Full.word()];
        let hint = nearest(&word.value, words).map_or_else(
            || format!("write {}", words.join(", ")),
            |nearest| format!("did you mean {nearest}?"),
        );
        reader.refuse(word.line, format!("{what} {} does not exist", word.value), Some(hint));
    }
    found
}

fn read_share(node: &Node, reader: &mut Reader<'_>) -> Option<Sampling> {
    let share = reader.number("share", node)?;
    let sampling = Sampling::of_fraction(share);
    if sampling.is_none() {
        let hint = "write the share of calls whose content is kept, from 0 to 1: 0.1 for one in ten";
        reader.refuse(node.line, format!("share {share} is no share"), Some(hint.to_owned()));
    }
    sampling
}

/// What is redacted is what guardrails find; without any, everything would be kept under a word that promises less.
pub(super) fn refuse_without_guardrails(
    content: Option<&LlmContent>,
    has_guardrails: bool,
    node: Option<&Node>,
    reader: &mut Reader<'_>,
) {
    if let (Some(LlmContent { keep: LlmContentKeep::Redacted, .. }), false, Some(node)) =
        (content, has_guardrails, node)
    {
        let hint = "name guardrails that find what must not be kept, or write content: full";
        let message = "content is to be redacted, and no guardrail says what that means".to_owned();
        reader.refuse(node.line, message, Some(hint.to_owned()));
    }
}
