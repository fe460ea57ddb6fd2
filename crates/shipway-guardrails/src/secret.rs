//! What opens something.

use std::ops::Range;

use crate::{detector::SecretKind, find::Check};

/// Keys of services that begin in a way of their own: OpenAI, Anthropic and others (`sk-`), AWS, GitHub, GitLab, Slack, Google, Stripe,
/// Hugging Face, npm, PyPI, SendGrid, DigitalOcean, Shopify, Groq, xAI, Replicate, Perplexity, Telegram, age, and Shipway's own.
const API_KEY: &str = concat!(
    r"(?-u:\b)(?:sk-[A-Za-z0-9_-]{20,220}|(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{22,255}",
    r"|glpat-[A-Za-z0-9_-]{20,64}|xox[abeoprs]-[A-Za-z0-9-]{10,250}|xapp-[0-9]-[A-Za-z0-9-]{10,250}|AIza[0-9A-Za-z_-]{35}|ya29\.[0-9A-Za-z_-]{20,250}",
    r"|[srp]k_(?:live|test)_[0-9A-Za-z]{16,250}|hf_[A-Za-z0-9]{30,64}|npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_-]{50,250}",
    r"|SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{16,64}|do[opr]_v1_[a-f0-9]{64}|shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}",
    r"|gsk_[A-Za-z0-9]{40,64}|xai-[A-Za-z0-9]{60,100}|r8_[A-Za-z0-9]{37}|pplx-[A-Za-z0-9]{40,64}|[0-9]{8,10}:AA[A-Za-z0-9_-]{33}",
    r"|AGE-SECRET-KEY-1[A-Z0-9]{58}|shipway_[a-z]{2,12}_[0-9a-f]{8,64}_[0-9a-f]{32,128})",
);
/// All of it to its end, where that comes; else its first line.
const PRIVATE_KEY: &str = r"-----BEGIN (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY(?: BLOCK)?-----(?:[A-Za-z0-9+/=\s\\:,.()-]*?-----END (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY(?: BLOCK)?-----)?";
const JWT: &str = r"(?-u:\b)eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*";
const HIGH_ENTROPY: &str = r"[A-Za-z0-9+/_-]{24,200}={0,2}";

/// Bits for each character from which on a word looks like chance. Words and identifiers of programs have 3 to 3.9.
const LEAST_BITS: f64 = 4.2;

/// The label, the pattern and the check of a kind.
pub(crate) fn of(kind: SecretKind) -> (&'static str, &'static str, Check) {
    match kind {
        SecretKind::ApiKey => ("api_key", API_KEY, api_key),
        SecretKind::PrivateKey => ("private_key", PRIVATE_KEY, |_, range| Some(range)),
        SecretKind::Jwt => ("jwt", JWT, |_, range| Some(range)),
        SecretKind::HighEntropy => ("secret", HIGH_ENTROPY, high_entropy),
    }
}

/// `sk-` also begins words with hyphens: a key has digits.
fn api_key(text: &str, range: Range<usize>) -> Option<Range<usize>> {
    let found = &text[range.clone()];
    let is_word = found.starts_with("sk-") && !found.bytes().any(|byte| byte.is_ascii_digit());
    // A part of a longer word is none.
    let goes_on = text[range.end..].starts_with(|next: char| next.is_ascii_alphanumeric());
    (!is_word && !goes_on).then_some(range)
}

/// Letters of both kinds and digits in no order. Digests in hexadecimal digits and UUIDs have too few kinds of characters, and paths too
/// many slashes.
fn high_entropy(text: &str, range: Range<usize>) -> Option<Range<usize>> {
    let is_part = |character: char| character.is_ascii_alphanumeric() || "+/_-".contains(character);
    let found = &text[range.clone()];
    if text[..range.start].ends_with(is_part) || text[range.end..].starts_with(is_part) {
        return None;
    }
    let has = |kind: fn(&u8) -> bool| found.bytes().any(|byte| kind(&byte));
    let is_mixed = has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase) && has(u8::is_ascii_digit);
    let slashes = found.bytes().filter(|byte| *byte == b'/').count();
    (is_mixed && slashes * 8 <= found.len() && bits(found.as_bytes()) >= LEAST_BITS).then_some(range)
}

/// The entropy of the characters of a word, in bits for each (Shannon).
fn bits(word: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in word {
        counts[usize::from(*byte)] += 1;
    }
    #[expect(clippy::cast_precision_loss, reason = "at most 200 bytes")]
    let length = word.len() as f64;
    let share = |count: &u32| f64::from(*count) / length;
    counts.iter().filter(|count| **count > 0).map(share).map(|share| -share * share.log2()).sum()
}
