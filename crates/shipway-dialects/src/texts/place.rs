//! Texts out of JSON and back into it.

use std::ops::Range;

use bytes::Bytes;

/// What a text in JSON says; `json` has its quotes. Half of a surrogate pair, which a stream may have cut, is `U+FFFD`, as is whatever else
/// is no character.
pub fn decode_text(json: &[u8]) -> String {
    if let Ok(text) = serde_json::from_slice(json) {
        return text;
    }
    let inner = json.get(1..json.len().saturating_sub(1)).unwrap_or_default();
    let raw = String::from_utf8_lossy(inner);
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw.chars();
    while let Some(character) = rest.next() {
        if character != '\\' {
            out.push(character);
            continue;
        }
        match rest.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('u') => out.push(unescaped(&mut rest)),
            Some(other) => out.push(other),
            None => {}
        }
    }
    out
}

/// The character of `\\uXXXX`, the second half of a pair taken along.
fn unescaped(rest: &mut std::str::Chars<'_>) -> char {
    let unit = |rest: &mut std::str::Chars<'_>| {
        let digits = rest.as_str().get(..4)?;
        let unit = u32::from_str_radix(digits, 16).ok()?;
        *rest = rest.as_str().get(4..)?.chars();
        Some(unit)
    };
    let Some(first) = unit(rest) else { return char::REPLACEMENT_CHARACTER };
    if let 0xD800..=0xDBFF = first
        && let Some(mut behind) = rest.as_str().strip_prefix("\\u").map(str::chars)
        && let Some(second @ 0xDC00..=0xDFFF) = unit(&mut behind)
    {
        *rest = behind;
        let whole = 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00);
        return char::from_u32(whole).unwrap_or(char::REPLACEMENT_CHARACTER);
    }
    char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// A text as it stands in JSON, with its quotes.
pub fn encode_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// `body` with these ranges replaced, which must not overlap; every other byte stays as it was. Without any the body itself comes back.
pub fn splice(body: &Bytes, mut edits: Vec<(Range<usize>, String)>) -> Bytes {
    if edits.is_empty() {
        return body.clone();
    }
    edits.sort_by_key(|(range, _)| range.start);
    let mut out = Vec::with_capacity(body.len() + edits.iter().map(|(_, text)| text.len()).sum::<usize>());
    let mut at = 0;
    for (range, text) in &edits {
        out.extend_from_slice(body.get(at..range.start).unwrap_or_default());
        out.extend_from_slice(text.as_bytes());
        at = range.end;
    }
    out.extend_from_slice(body.get(at..).unwrap_or_default());
    Bytes::from(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_pair_is_no_character_and_hides_nothing_beside_it() {
        assert_eq!(decode_text(br#""a\u00e9\ud83d\ude00""#), "a\u{e9}\u{1F600}");
        assert_eq!(decode_text(br#""secret\n\ud83d""#), "secret\n\u{FFFD}");
        assert_eq!(decode_text(br#""\ude00\u0041\ud83d\ude00\ud83dx""#), "\u{FFFD}A\u{1F600}\u{FFFD}x");
        assert_eq!(decode_text(b"\"\\"), "");
        let body = Bytes::from_static(b"0123456789");
        let edits = vec![(7..8, "b".to_owned()), (1..3, String::new())];
        assert_eq!(splice(&body, edits), Bytes::from_static(b"03456b89"));
    }
}
