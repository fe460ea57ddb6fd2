//! Bytes as visible characters, as byte-level vocabularies have them: one character for each byte of the text in UTF-8.

/// The text with each of its bytes as a character.
pub(super) fn visible(text: &str) -> String {
    text.bytes().map(of_byte).collect()
}

/// Bytes that are visible in Latin-1 stand for themselves, the others for the characters from 256 on, in order.
fn of_byte(byte: u8) -> char {
    let hidden_before = match byte {
        0..=32 => u32::from(byte),
        127..=160 => u32::from(byte) - 127 + 33,
        173 => 67,
        _ => return char::from(byte),
    };
    char::from_u32(256 + hidden_before).unwrap_or(char::REPLACEMENT_CHARACTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_a_character_of_its_own() {
        let all: std::collections::BTreeSet<char> = (0..=255).map(of_byte).collect();
        assert_eq!(all.len(), 256);
        assert!(all.iter().all(|one| !one.is_whitespace() && !one.is_control()));
        assert_eq!(visible("a b\u{ad}é"), "aĠbÂŃÃ©");
    }
}
