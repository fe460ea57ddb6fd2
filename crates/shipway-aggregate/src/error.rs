//! What can be wrong with an aggregation, in its definition or with its data.

use std::borrow::Cow;

use shipway_core::{DataType, Failure, Kind};

use crate::{Aggregation, Operation, Over};

/// An aggregation that cannot be defined, or a value that cannot be given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AggregationError {
    /// The operation does not fit the column's type.
    #[error("{operation} needs {needs}, the column is {got}")]
    DoesNotFit {
        /// The operation asked for.
        operation: Operation,
        /// What it needs, in words.
        needs: &'static str,
        /// The type of the column.
        got: DataType,
    },
    /// The operation needs a column and none is given.
    #[error("{operation} needs a column")]
    NeedsColumn {
        /// The operation asked for.
        operation: Operation,
    },
    /// An integer sum left the range of 64 bits.
    #[error("the sum of integers does not fit 64 bits")]
    Overflow,
    /// A sum of decimals has more digits than a decimal can have.
    #[error("the sum of decimals does not fit 38 digits")]
    DecimalOverflow,
    /// More distinct values than the definition allows to count exactly.
    #[error("more than {bound} distinct values, the bound of an exact distinct count")]
    TooManyDistinct {
        /// The bound in the definition.
        bound: u32,
    },
    /// More distinct values than the bins of a histogram that counts each value.
    #[error("more than {k} distinct values, the bins of histogram({k})")]
    TooManyBins {
        /// The number of bins in the definition.
        k: u32,
    },
    /// `over` needs a column of lists.
    #[error("over: {} needs a list, {}", over.word(), column_in_words(*got))]
    NeedsList {
        /// What was asked for.
        over: Over,
        /// The type of the column, `None` without one.
        got: Option<DataType>,
    },
    /// The bucket column has a type whose values make no buckets.
    #[error("by needs a bool, an int, a decimal, a text or a timestamp, the column is {got}")]
    NotABucket {
        /// The type of the bucket column.
        got: DataType,
    },
    /// The value would be lists or maps three deep.
    #[error("the values of {operation} would be lists or maps three deep")]
    TooDeep {
        /// The operation asked for.
        operation: Operation,
    },
    /// A window has more buckets than an aggregation may hold.
    #[error("more than {} buckets", Aggregation::MOST_BUCKETS)]
    TooManyBuckets,
    /// A list is longer than an aggregation over positions may hold.
    #[error("a list has more than {} positions", Aggregation::MOST_POSITIONS)]
    TooManyPositions,
    /// A value or a state of another type than the aggregation's own.
    #[error("a value or state does not belong to this aggregation")]
    Foreign,
}

fn column_in_words(got: Option<DataType>) -> String {
    got.map_or_else(|| "there is no column".to_owned(), |got| format!("the column is {got}"))
}

impl Failure for AggregationError {
    fn kind(&self) -> Kind {
        match self {
            Self::DoesNotFit { .. }
            | Self::NeedsColumn { .. }
            | Self::NeedsList { .. }
            | Self::NotABucket { .. }
            | Self::TooDeep { .. } => Kind::Invalid,
            Self::Overflow
            | Self::DecimalOverflow
            | Self::TooManyDistinct { .. }
            | Self::TooManyBins { .. }
            | Self::TooManyBuckets
            | Self::TooManyPositions => Kind::Conflict,
            Self::Foreign => Kind::Internal,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::DoesNotFit { .. } => "aggregate.operation_does_not_fit",
            Self::NeedsColumn { .. } => "aggregate.column_needed",
            Self::Overflow => "aggregate.integer_overflow",
            Self::DecimalOverflow => "aggregate.decimal_overflow",
            Self::TooManyDistinct { .. } => "aggregate.too_many_distinct",
            Self::TooManyBins { .. } => "aggregate.too_many_bins",
            Self::NeedsList { .. } => "aggregate.list_needed",
            Self::NotABucket { .. } => "aggregate.not_a_bucket",
            Self::TooDeep { .. } => "aggregate.too_deep",
            Self::TooManyBuckets => "aggregate.too_many_buckets",
            Self::TooManyPositions => "aggregate.too_many_positions",
            Self::Foreign => "aggregate.foreign_state",
        }
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Overflow => Some("declare the column as float, or use a shorter window".into()),
            Self::DecimalOverflow => {
                Some("declare the column with fewer digits after the point, or use a shorter window".into())
            }
            Self::TooManyDistinct { .. } => {
                Some("raise the bound in the view, or use a shorter window".into())
            }
            Self::NeedsColumn { .. } => Some("add `column:` to this entry of the view".into()),
            Self::DoesNotFit { got: DataType::List(_), .. } => {
                Some("say `over: elements` or `over: positions`, to look into the lists".into())
            }
            Self::TooManyBins { .. } => Some("raise the k of histogram, or use a shorter window".into()),
            Self::NeedsList { .. } => Some("remove `over:`, or name a column of lists".into()),
            Self::NotABucket { .. } => Some("name a column of few distinct values with `by:`".into()),
            Self::TooDeep { .. } => Some("leave `by:` or `over: positions` away for this operation".into()),
            Self::TooManyBuckets => {
                Some("use a bucket column with fewer distinct values, or a shorter window".into())
            }
            Self::TooManyPositions => Some("use `over: elements`, or shorter lists".into()),
            Self::DoesNotFit { .. } | Self::Foreign => None,
        }
    }
}
