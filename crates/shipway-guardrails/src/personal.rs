//! What tells who somebody is: a pattern, and a check of what it matched, so that a number that only looks like one is left alone.

use std::{net::Ipv6Addr, ops::Range};

use crate::{detector::PersonalKind, find::Check};

const EMAIL: &str = r"(?-u:\b)[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})\.){1,8}[A-Za-z]{2,24}(?-u:\b)";
const PHONE: &str = r"\+[0-9]{1,3}(?:[ .-]?\(?[0-9]{1,5}\)?){2,6}(?-u:\b)|\([2-9][0-9]{2}\) ?[2-9][0-9]{2}[-. ][0-9]{4}(?-u:\b)|(?-u:\b)(?:1[-. ])?[2-9][0-9]{2}[-. ][2-9][0-9]{2}[-. ][0-9]{4}(?-u:\b)";
const CREDIT_CARD: &str = r"(?-u:\b)(?:[0-9]{13,19}|[0-9]{4}[ -][0-9]{4}[ -][0-9]{4}[ -][0-9]{4}(?:[ -][0-9]{3})?|[0-9]{4}[ -][0-9]{6}[ -][0-9]{5})(?-u:\b)";
const IBAN: &str = r"(?-u:\b)[A-Z]{2}[0-9]{2}(?:[ -]?[A-Z0-9]{1,4}){3,9}(?-u:\b)";
const US_SSN: &str = r"(?-u:\b)[0-9]{3}-[0-9]{2}-[0-9]{4}(?-u:\b)";
const IP_ADDRESS: &str = r"(?-u:\b)[0-9]{1,3}(?:\.[0-9]{1,3}){3,8}(?-u:\b)|(?:::|(?-u:\b)[0-9A-Fa-f]{1,4}:)[0-9A-Fa-f:]{1,38}(?-u:\b)";

/// The label, the pattern and the check of a kind.
pub(crate) fn of(kind: PersonalKind) -> (&'static str, &'static str, Check) {
    match kind {
        PersonalKind::Email => ("email", EMAIL, email),
        PersonalKind::Phone => ("phone", PHONE, phone),
        PersonalKind::CreditCard => ("credit_card", CREDIT_CARD, credit_card),
        PersonalKind::Iban => ("iban", IBAN, iban),
        PersonalKind::UsSsn => ("us_ssn", US_SSN, us_ssn),
        PersonalKind::IpAddress => ("ip_address", IP_ADDRESS, ip_address),
    }
}

/// Neither the file of a picture for dense screens, `logo@2x.png`, nor where a repository lies, `git@host:path`.
fn email(text: &str, range: Range<usize>) -> Option<Range<usize>> {
    const FILES: [&str; 9] = ["png", "jpg", "jpeg", "gif", "svg", "webp", "css", "js", "json"];
    let found = &text[range.clone()];
    let (_, ending) = found.rsplit_once('.')?;
    let is_file = FILES.iter().any(|file| ending.eq_ignore_ascii_case(file));
    let is_repository = found.starts_with("git@") && next(text, &range) == Some(':');
    (!is_file && !is_repository).then_some(range)
}

fn phone(text: &str, range: Range<usize>) -> Option<Range<usize>> {
    let found = &text[range.clone()];
    let digits = found.bytes().filter(u8::is_ascii_digit).count();
    let is_within =
        |character: char| character.is_alphanumeric() || matches!(character, '-' | '.' | '_' | '/' | '=');
    let begins = !before(text, &range).is_some_and(is_within);
    let ends = !next(text, &range).is_some_and(|next| next.is_alphanumeric() || matches!(next, '-' | '_'));
    ((8..=15).contains(&digits) && begins && ends).then_some(range)
}

fn credit_card(text: &str, range: Range<usize>) -> Option<Range<usize>> {
    let digits: Vec<u8> =
        text[range.clone()].bytes().filter(u8::is_ascii_digit).map(|byte| byte - b'0').collect();
    // The first digits of those who issue cards: American Express, Diners, JCB 3; Visa 4; Mastercard 5 and 2; Discover, UnionPay, Maestro 6.
    let is_issued = matches!(digits.first(), Some(2..=6));
    let is_apart = !before(text, &range).is_some_and(|before| matches!(before, '.' | '-' | '_'));
    let goes_on = next(text, &range).is_some_and(|next| matches!(next, '-' | '_'));
    let is_one_digit = digits.iter().all(|digit| Some(digit) == digits.first());
    (is_issued && is_apart && !goes_on && !is_one_digit && luhn(&digits)).then_some(range)
}

/// The check of Luhn: every second digit from the last is doubled.
fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let digit = u32::from(*digit) * if place % 2 == 1 { 2 } else { 1 };
            if digit > 9 { digit - 9 } else { digit }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// How long the numbers of a country are (ISO 13616).
const IBAN_LENGTHS: &[(&str, usize)] = &[
    ("AD", 24),
    ("AE", 23),
    ("AL", 28),
    ("AT", 20),
    ("AZ", 28),
    ("BA", 20),
    ("BE", 16),
    ("BG", 22),
    ("BH", 22),
    ("BR", 29),
    ("BY", 28),
    ("CH", 21),
    ("CR", 22),
    ("CY", 28),
    ("CZ", 24),
    ("DE", 22),
    ("DK", 18),
    ("DO", 28),
    ("EE", 20),
    ("EG", 29),
    ("ES", 24),
    ("FI", 18),
    ("FO", 18),
    ("FR", 27),
    ("GB", 22),
    ("GE", 22),
    ("GI", 23),
    ("GL", 18),
    ("GR", 27),
    ("GT", 28),
    ("HR", 21),
    ("HU", 28),
    ("IE", 22),
    ("IL", 23),
    ("IQ", 23),
    ("IS", 26),
    ("IT", 27),
    ("JO", 30),
    ("KW", 30),
    ("KZ", 20),
    ("LB", 28),
    ("LC", 32),
    ("LI", 21),
    ("LT", 20),
    ("LU", 20),
    ("LV", 21),
    ("LY", 25),
    ("MC", 27),
    ("MD", 24),
    ("ME", 22),
    ("MK", 19),
    ("MR", 27),
    ("MT", 31),
    ("MU", 30),
    ("NL", 18),
    ("NO", 15),
    ("PK", 24),
    ("PL", 28),
    ("PS", 29),
    ("PT", 25),
    ("QA", 29),
    ("RO", 24),
    ("RS", 22),
    ("SA", 24),
    ("SC", 31),
    ("SE", 24),
    ("SI", 19),
    ("SK", 24),
    ("SM", 27),
    ("ST", 25),
    ("SV", 28),
    ("TL", 23),
    ("TN", 24),
    ("TR", 26),
    ("UA", 29),
    ("VA", 22),
    ("VG", 24),
    ("XK", 20),
];

/// The remainder by 97 must be 1, with the first four characters behind the others and letters as numbers from 10. What stands behind as
/// many characters as the country's numbers have is no part of it.
fn iban(text: &str, range: Range<usize>) -> Option<Range<usize>> {
    let found = &text[range.clone()];
    let (_, length) = IBAN_LENGTHS.iter().find(|(country, _)| found.starts_with(country))?;
    let places = || found.bytes().enumerate().filter(|(_, byte)| byte.is_ascii_alphanumeric());
    let (last, _) = places().nth(length - 1)?;
    let is_cut = found.as_bytes().get(last + 1).is_some_and(u8::is_ascii_alphanumeric);
    let bytes: Vec<u8> = places().take(*length).map(|(_, byte)| byte).collect();
    let remainder = bytes[4..].iter().chain(&bytes[..4]).fold(0_u32, |remainder, byte| {
        let value = u32::from(if byte.is_ascii_digit() { byte - b'0' } else { byte - b'A' + 10 });
        (remainder * if value > 9 { 100 } else { 10 } + value) % 97
    });
    (!is_cut && remainder == 1).then_some(range.start..range.start + last + 1)
}

/// Numbers that were never given out are none, nor are parts of longer ones.
fn us_ssn(text: &str, range: Range<usize>) -> Option<Range<usize>> {
    let found = &text[range.clone()];
    let never = matches!(&found[..3], "000" | "666")
        || found.starts_with('9')
        || &found[4..6] == "00"
        || &found[7..] == "0000";
    let joins = |character: char| matches!(character, '-' | '.' | '_' | '/');
    let is_part = before(text, &range).is_some_and(joins)
        || next(text, &range).is_some_and(|next| matches!(next, '-' | '_'));
    (!never && !is_part).then_some(range)
}

/// Four numbers below 256 that are no version of something, or what can be read as an address of version 6 and is no path of a program.
fn ip_address(text: &str, range: Range<usize>) -> Option<Range<usize>> {
    let found = &text[range.clone()];
    let before = &text[..range.start];
    if found.contains(':') {
        let is_apart =
            !before.ends_with(|last: char| last.is_alphanumeric() || matches!(last, ':' | '_' | '.'));
        let has_digit = found.bytes().any(|byte| byte.is_ascii_digit());
        let goes_on = next(text, &range) == Some(':');
        return (is_apart && has_digit && !goes_on && found.parse::<Ipv6Addr>().is_ok()).then_some(range);
    }
    let parts: Vec<&str> = found.split('.').collect();
    let fits = |part: &&str| part.parse::<u8>().is_ok() && (part.len() == 1 || !part.starts_with('0'));
    if parts.len() != 4 || !parts.iter().all(fits) {
        return None;
    }
    let joins = |last: char| last.is_alphanumeric() || matches!(last, '.' | '-' | '_' | '=' | '^' | '~');
    let is_product = before.ends_with('/') && !before.ends_with("//");
    let words = ["v", "ver", "version", "release", "build", "rev", "section", "chapter"];
    let word = before
        .trim_end_matches([' ', ':', '.'])
        .rsplit(|last: char| !last.is_ascii_alphabetic())
        .next()
        .unwrap_or("");
    let is_version = words.iter().any(|known| word.eq_ignore_ascii_case(known));
    let goes_on = next(text, &range).is_some_and(|next| matches!(next, '-' | '_'));
    (!before.ends_with(joins) && !is_product && !is_version && !goes_on).then_some(range)
}

fn before(text: &str, range: &Range<usize>) -> Option<char> {
    text[..range.start].chars().next_back()
}

fn next(text: &str, range: &Range<usize>) -> Option<char> {
    text[range.end..].chars().next()
}
