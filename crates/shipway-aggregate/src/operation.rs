//! The operations that a windowed feature can ask for.

use std::fmt;

use serde::{Deserialize, Serialize};
use shipway_core::{DataType, ItemType, ScalarType};

use crate::AggregationError;

/// An operation over the events of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Number of events; with a column, of its non-null values. 0 for an empty window.
    Count,
    /// Sum: integers in 64 bits and decimals in 38 digits, with overflow an error; floats rounded once from the exact sum.
    Sum,
    /// The sum divided by the number of non-null values, a float; over decimals rounded once.
    Avg,
    /// The least value.
    Min,
    /// The greatest value; NaN is greater than every number.
    Max,
    /// Population variance.
    Var,
    /// Population standard deviation.
    Stddev,
    /// Population skewness: the third central moment over the cube of the standard deviation. NaN without a spread.
    Skew,
    /// Population excess kurtosis: the fourth central moment over the square of the variance, minus 3. NaN without a
    /// spread.
    Kurtosis,
    /// The value of the first event by (time, event id) that has one.
    First,
    /// The value of the last event by (time, event id) that has one.
    Last,
    /// The values of the first `k` events that have one, the first one first.
    FirstK {
        /// How many values at most.
        k: u32,
    },
    /// The values of the last `k` events that have one, the last one first.
    LastK {
        /// How many values at most.
        k: u32,
    },
    /// The `k` greatest values, the greatest first; equal values count each.
    TopK {
        /// How many values at most.
        k: u32,
    },
    /// The `k` least values, the least first; equal values count each.
    BottomK {
        /// How many values at most.
        k: u32,
    },
    /// Number of distinct non-null values, exact up to the bound and an error beyond it. 0 for an empty window.
    DistinctCount {
        /// The most distinct values that a window may hold.
        bound: u32,
    },
    /// Number of distinct non-null values by a HyperLogLog sketch of 4096 registers: within 1.7 % (one standard error),
    /// near exact up to a few hundred. 0 for an empty window.
    ApproxDistinct,
    /// The value at rank `ceil(q · n)`, its mantissa cut to seven bits: at most 0.8 % nearer to zero than the exact
    /// quantile, and exact for whole numbers up to 256.
    ApproxQuantile {
        /// The quantile in millionths, from 1 to 999 999.
        millionths: u32,
    },
    /// How many values lie in each of at most `k` bins. See [`crate::histogram_of_numbers`] for the bins of numbers;
    /// of other types each value has a bin of its own, and more than `k` of them are an error.
    Histogram {
        /// How many bins at most.
        k: u32,
    },
}

impl Operation {
    /// The bound of `distinct_count` where a definition states none.
    pub const DEFAULT_DISTINCT_BOUND: u32 = 10_000;

    /// The most values that `first_k`, `last_k`, `top_k`, `bottom_k` and `histogram` may be asked for.
    pub const MOST: u32 = 1_000;

    /// The word for it in definitions, without its parameter.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Sum => "sum",
            Self::Avg => "avg",
            Self::Min => "min",
            Self::Max => "max",
            Self::Var => "var",
            Self::Stddev => "stddev",
            Self::Skew => "skew",
            Self::Kurtosis => "kurtosis",
            Self::First => "first",
            Self::Last => "last",
            Self::FirstK { .. } => "first_k",
            Self::LastK { .. } => "last_k",
            Self::TopK { .. } => "top_k",
            Self::BottomK { .. } => "bottom_k",
            Self::DistinctCount { .. } => "distinct_count",
            Self::ApproxDistinct => "approx_distinct",
            Self::ApproxQuantile { .. } => "approx_quantile",
            Self::Histogram { .. } => "histogram",
        }
    }

    /// Every word that names an operation.
    pub const WORDS: [&'static str; 19] = [
        "count",
        "sum",
        "avg",
        "min",
        "max",
        "var",
        "stddev",
        "skew",
        "kurtosis",
        "first",
        "last",
        "first_k",
        "last_k",
        "top_k",
        "bottom_k",
        "distinct_count",
        "approx_distinct",
        "approx_quantile",
        "histogram",
    ];

    /// Whether event ids decide anything: which of two events at one microsecond is the earlier.
    pub const fn needs_event_id(self) -> bool {
        matches!(self, Self::First | Self::Last | Self::FirstK { .. } | Self::LastK { .. })
    }

    /// The type of the result over a column of type `input`, `None` for whole events.
    pub fn output_type(self, input: Option<DataType>) -> Result<DataType, AggregationError> {
        if self == Self::Count {
            return Ok(DataType::Int);
        }
        let input = input.ok_or(AggregationError::NeedsColumn { operation: self })?;
        let does_not_fit = |needs| Err(AggregationError::DoesNotFit { operation: self, needs, got: input });
        let is_ordered = input != DataType::Bool && input.as_scalar().is_some();
        let listed = || match input.as_item() {
            Some(item) => Ok(DataType::List(item)),
            None => does_not_fit("a column of single values or of lists of them"),
        };
        match self {
            Self::Sum => match input {
                DataType::Decimal(decimal) => Ok(DataType::Decimal(decimal.widest())),
                input if input.is_number() => Ok(input),
                _ => does_not_fit("a number"),
            },
            Self::Avg
            | Self::Var
            | Self::Stddev
            | Self::Skew
            | Self::Kurtosis
            | Self::ApproxQuantile { .. }
                if input.is_number() =>
            {
                Ok(DataType::Float)
            }
            Self::Avg
            | Self::Var
            | Self::Stddev
            | Self::Skew
            | Self::Kurtosis
            | Self::ApproxQuantile { .. } => does_not_fit("a number"),
            Self::Min | Self::Max if !is_ordered => does_not_fit("a number, a time or text"),
            Self::TopK { .. } | Self::BottomK { .. } if !is_ordered => {
                does_not_fit("a number, a time or text")
            }
            Self::Min | Self::Max | Self::First | Self::Last => Ok(input),
            Self::TopK { .. } | Self::BottomK { .. } | Self::FirstK { .. } | Self::LastK { .. } => listed(),
            Self::Histogram { .. } if input.as_scalar().is_none() => {
                does_not_fit("a column of single values")
            }
            Self::Histogram { .. } => Ok(DataType::Map(ItemType::Scalar(ScalarType::Int))),
            Self::Count | Self::DistinctCount { .. } | Self::ApproxDistinct => Ok(DataType::Int),
        }
    }
}

/// The word with its parameter, as definitions have it; the bound of `distinct_count` is left out.
impl fmt::Display for Operation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.word())?;
        match self {
            Self::FirstK { k }
            | Self::LastK { k }
            | Self::TopK { k }
            | Self::BottomK { k }
            | Self::Histogram { k } => write!(formatter, "({k})"),
            Self::ApproxQuantile { millionths } => {
                let digits = format!("{millionths:06}");
                write!(formatter, "(0.{})", digits.trim_end_matches('0'))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_average_of_text_is_refused_in_words() {
        let error = Operation::Avg.output_type(Some(DataType::Text)).unwrap_err();
        assert_eq!(error.to_string(), "avg needs a number, the column is text");
        assert!(Operation::Sum.output_type(None).is_err());
        assert_eq!(Operation::Count.output_type(None), Ok(DataType::Int));
    }

    #[test]
    fn operations_of_many_values_give_lists_and_maps() {
        let output =
            |operation: Operation, input| operation.output_type(Some(input)).map(|output| output.to_string());
        assert_eq!(output(Operation::LastK { k: 2 }, DataType::Text), Ok("list(text)".to_owned()));
        assert_eq!(
            output(Operation::LastK { k: 2 }, DataType::list(ScalarType::Float)),
            Ok("list(list(float))".to_owned())
        );
        assert_eq!(output(Operation::Histogram { k: 2 }, DataType::Float), Ok("map(int)".to_owned()));
        assert!(output(Operation::TopK { k: 2 }, DataType::Bool).is_err());
        assert!(output(Operation::Max, DataType::list(ScalarType::Float)).is_err());
    }
}
