//! Characters that nobody sees and a model reads.

use std::ops::Range;

use crate::{detector::UnicodeKind, find::Check};

/// A flag of a part of a country is a black flag, its letters in tags, and the tag that ends it: that one is seen.
const TAGS: &str = r"[\x{E0000}-\x{E007F}]+";
const BIDI: &str = r"[\x{202A}-\x{202E}\x{2066}-\x{2069}]+";
/// Joiners belong to letters and pictures, one at a time.
const ZERO_WIDTH: &str = r"[\x{200B}\x{2060}-\x{2064}\x{FEFF}\x{180E}\x{200C}\x{200D}]+";
const VARIATION_SELECTORS: &str = r"[\x{FE00}-\x{FE0F}\x{E0100}-\x{E01EF}]+";

/// The longest name of a part of a country, in tags.
const LONGEST_FLAG: usize = 6;

/// The label, the pattern and the check of a kind.
pub(crate) fn of(kind: UnicodeKind) -> (&'static str, &'static str, Check) {
    match kind {
        UnicodeKind::Tags => ("tags", TAGS, tags),
        UnicodeKind::Bidi => ("bidi", BIDI, |_, range| Some(range)),
        UnicodeKind::ZeroWidth => ("zero_width", ZERO_WIDTH, zero_width),
        UnicodeKind::VariationSelectors => ("variation_selectors", VARIATION_SELECTORS, variation_selectors),
    }
}

fn tags(text: &str, range: Range<usize>) -> Option<Range<usize>> {
    let before = text[..range.start].chars().next_back();
    // A part of what was judged as a whole.
    if before.is_some_and(|before| ('\u{E0000}'..='\u{E007F}').contains(&before)) {
        return None;
    }
    let letters = &text[range.clone()];
    let is_name = letters.ends_with('\u{E007F}') && letters.chars().count() <= LONGEST_FLAG;
    (before != Some('\u{1F3F4}') || !is_name).then_some(range)
}

/// A single joiner joins; a mark of the order of bytes at the very beginning is one.
fn zero_width(text: &str, range: Range<usize>) -> Option<Range<usize>> {
    match &text[range.clone()] {
        "\u{200C}" | "\u{200D}" => None,
        "\u{FEFF}" if range.start == 0 => None,
        _ => Some(range),
    }
}

/// A single one selects a variant of the character before it.
fn variation_selectors(text: &str, range: Range<usize>) -> Option<Range<usize>> {
    let is_single = text[range.clone()].chars().count() == 1;
    (!is_single || range.start == 0).then_some(range)
}
