//! Guesses the types of columns that nobody declared, out of the first rows of a file.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use shipway_core::{DataType, Timestamp};

use super::rows::{parse_bool, parse_float};
use crate::{LakeError, arrow_type, evolve::stored_schema};

/// Which types all values of a column so far could have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Guess {
    bool: bool,
    int: bool,
    float: bool,
    timestamp: bool,
    seen: bool,
}

impl Default for Guess {
    fn default() -> Self {
        Self { bool: true, int: true, float: true, timestamp: true, seen: false }
    }
}

impl Guess {
    /// Takes in a value that is written as text.
    pub(super) fn observe_text(&mut self, text: &str) {
        self.seen = true;
        self.bool &= parse_bool(text).is_some();
        // 007 and +1 are names of something rather than numbers; as numbers they would lose their form.
        let digits = text.strip_prefix('-').unwrap_or(text);
        let keeps_its_form = digits == "0" || !digits.starts_with(['0', '+']) || digits.starts_with("0.");
        self.int &= keeps_its_form && text.parse::<i64>().is_ok();
        self.float &= keeps_its_form && parse_float(text).is_some();
        self.timestamp &= Timestamp::parse(text).is_ok();
    }

    /// Takes in a value whose type is known.
    pub(super) fn observe(&mut self, found: DataType) {
        self.seen = true;
        self.bool &= found == DataType::Bool;
        self.int &= found == DataType::Int;
        self.float &= found.is_number();
        self.timestamp &= found == DataType::Timestamp;
    }

    fn data_type(self) -> DataType {
        match self {
            Self { seen: false, .. } => DataType::Text,
            Self { bool: true, .. } => DataType::Bool,
            Self { int: true, .. } => DataType::Int,
            Self { float: true, .. } => DataType::Float,
            Self { timestamp: true, .. } => DataType::Timestamp,
            _ => DataType::Text,
        }
    }
}

/// The schema that the guesses amount to; every column allows nulls.
pub(super) fn guessed_schema<'a>(
    columns: impl IntoIterator<Item = (&'a str, Guess)>,
) -> Result<SchemaRef, LakeError> {
    let fields: Vec<Field> = columns
        .into_iter()
        .map(|(name, guess)| Field::new(name, arrow_type(guess.data_type()), true))
        .collect();
    stored_schema(&Arc::new(Schema::new(fields)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guessed(texts: &[&str]) -> DataType {
        let mut guess = Guess::default();
        texts.iter().for_each(|text| guess.observe_text(text));
        guess.data_type()
    }

    #[test]
    fn a_type_is_the_narrowest_that_holds_every_value() {
        assert_eq!(guessed(&["1", "-2", "0"]), DataType::Int);
        assert_eq!(guessed(&["1", "2.5", "-0.5", "NaN"]), DataType::Float);
        assert_eq!(guessed(&["true", "FALSE"]), DataType::Bool);
        assert_eq!(guessed(&["2013-01-01", "2013-01-01T05:00:00Z"]), DataType::Timestamp);
        assert_eq!(guessed(&["1", "x"]), DataType::Text);
        assert_eq!(guessed(&["007"]), DataType::Text, "leading zeros are kept");
        assert_eq!(guessed(&["99999999999999999999"]), DataType::Float);
        assert_eq!(guessed(&[]), DataType::Text);
    }
}
