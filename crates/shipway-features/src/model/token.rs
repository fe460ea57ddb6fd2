//! Tokens: which events a caller wants to see in the next read.

use std::collections::BTreeMap;

use crate::error::{FeaturesError, invalid};

/// Source to log offset: every event before the offset must be visible.
///
/// Written `source@offset`; several are joined by commas, so a caller can join tokens of several requests as text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Token(BTreeMap<String, u64>);

impl Token {
    /// The token that asks for every event of `source` before `offset`.
    pub fn new(source: &str, offset: u64) -> Self {
        Self(BTreeMap::from([(source.to_owned(), offset)]))
    }

    /// Reads one token, or several joined by commas; of two for one source the later counts.
    pub fn parse(text: &str) -> Result<Self, FeaturesError> {
        let mut offsets = BTreeMap::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (source, offset) = part
                .split_once('@')
                .and_then(|(source, offset)| Some((source, offset.parse::<u64>().ok()?)))
                .ok_or_else(|| invalid(format!("token `{part}` was not made by this server")))?;
            let held = offsets.entry(source.to_owned()).or_insert(offset);
            *held = offset.max(*held);
        }
        Ok(Self(offsets))
    }

    /// The sources and offsets.
    pub fn offsets(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(source, offset)| (source.as_str(), *offset))
    }
}

impl std::fmt::Display for Token {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (position, (source, offset)) in self.0.iter().enumerate() {
            let comma = if position == 0 { "" } else { "," };
            write!(formatter, "{comma}{source}@{offset}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_join_by_commas_and_the_later_offset_of_a_source_counts() {
        let token = Token::parse("departures@7, arrivals@3,departures@5").unwrap();
        assert_eq!(token.to_string(), "arrivals@3,departures@7");
        assert_eq!(Token::parse("").unwrap(), Token::default());
        for wrong in ["departures", "departures@", "departures@-1", "departures@x"] {
            assert!(Token::parse(wrong).is_err(), "{wrong}");
        }
    }
}
