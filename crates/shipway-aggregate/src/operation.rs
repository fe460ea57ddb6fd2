//! The operations that a windowed feature can ask for.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shipway_core::DataType;

use crate::AggregationError;

/// An operation over the events of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Number of events; with a column, of its non-null values. 0 for an empty window.
    Count,
    /// Sum: integers in 64 bits with overflow an error, floats rounded once from the exact sum.
    Sum,
    /// The sum divided by the number of non-null values.
    Avg,
    /// The least value.
    Min,
    /// The greatest value; NaN is greater than every number.
    Max,
    /// Population variance.
    Var,
    /// Population standard deviation.
    Stddev,
    /// The value of the first event by (time, event id) that has one.
    First,
    /// The value of the last event by (time, event id) that has one.
    Last,
    /// Number of distinct non-null values, exact up to the bound and an error beyond it. 0 for an empty window.
    DistinctCount {
        /// The most distinct values that a window may hold.
        bound: u32,
    },
}

impl Operation {
    /// The bound of `distinct_count` where a definition states none.
    pub const DEFAULT_DISTINCT_BOUND: u32 = 10_000;

    /// The word for it in definitions and feature names.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Sum => "sum",
            Self::Avg => "avg",
            Self::Min => "min",
            Self::Max => "max",
            Self::Var => "var",
            Self::Stddev => "stddev",
            Self::First => "first",
            Self::Last => "last",
            Self::DistinctCount { .. } => "distinct_count",
        }
    }

    /// Every word that names an operation.
    pub const WORDS: [&'static str; 10] =
        ["count", "sum", "avg", "min", "max", "var", "stddev", "first", "last", "distinct_count"];

    /// The operation that `word` names, `distinct_count` with its default bound.
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "count" => Self::Count,
            "sum" => Self::Sum,
            "avg" => Self::Avg,
            "min" => Self::Min,
            "max" => Self::Max,
            "var" => Self::Var,
            "stddev" => Self::Stddev,
            "first" => Self::First,
            "last" => Self::Last,
            "distinct_count" => Self::DistinctCount { bound: Self::DEFAULT_DISTINCT_BOUND },
            _ => return None,
        })
    }

    /// The type of the result over a column of type `input`, `None` for whole events.
    pub fn output_type(self, input: Option<DataType>) -> Result<DataType, AggregationError> {
        if self == Self::Count {
            return Ok(DataType::Int);
        }
        let input = input.ok_or(AggregationError::NeedsColumn { operation: self })?;
        let does_not_fit = |needs| Err(AggregationError::DoesNotFit { operation: self, needs, got: input });
        match self {
            Self::Sum if input.is_number() => Ok(input),
            Self::Avg | Self::Var | Self::Stddev if input.is_number() => Ok(DataType::Float),
            Self::Sum | Self::Avg | Self::Var | Self::Stddev => does_not_fit("a number"),
            Self::Min | Self::Max if input == DataType::Bool => does_not_fit("a number, a time or text"),
            Self::Min | Self::Max | Self::First | Self::Last => Ok(input),
            Self::Count | Self::DistinctCount { .. } => Ok(DataType::Int),
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_names_its_operation() {
        for word in Operation::WORDS {
            assert_eq!(Operation::from_word(word).map(Operation::word), Some(word));
        }
        assert_eq!(Operation::from_word("median"), None);
    }

    #[test]
    fn an_average_of_text_is_refused_in_words() {
        let error = Operation::Avg.output_type(Some(DataType::Text)).unwrap_err();
        assert_eq!(error.to_string(), "avg needs a number, the column is text");
        assert!(Operation::Sum.output_type(None).is_err());
        assert_eq!(Operation::Count.output_type(None), Ok(DataType::Int));
    }
}
