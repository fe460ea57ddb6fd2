//! What can be wrong with an aggregation, in its definition or with its data.

use std::borrow::Cow;

use shipway_core::{DataType, Failure, Kind};

use crate::Operation;

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
    /// More distinct values than the definition allows to count exactly.
    #[error("more than {bound} distinct values, the bound of an exact distinct count")]
    TooManyDistinct {
        /// The bound in the definition.
        bound: u32,
    },
    /// A value or a state of another type than the aggregation's own.
    #[error("a value or state does not belong to this aggregation")]
    Foreign,
}

impl Failure for AggregationError {
    fn kind(&self) -> Kind {
        match self {
            Self::DoesNotFit { .. } | Self::NeedsColumn { .. } => Kind::Invalid,
            Self::Overflow | Self::TooManyDistinct { .. } => Kind::Conflict,
            Self::Foreign => Kind::Internal,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::DoesNotFit { .. } => "aggregate.operation_does_not_fit",
            Self::NeedsColumn { .. } => "aggregate.column_needed",
            Self::Overflow => "aggregate.integer_overflow",
            Self::TooManyDistinct { .. } => "aggregate.too_many_distinct",
            Self::Foreign => "aggregate.foreign_state",
        }
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Overflow => Some("declare the column as float, or use a shorter window".into()),
            Self::TooManyDistinct { .. } => {
                Some("raise the bound in the view, or use a shorter window".into())
            }
            Self::NeedsColumn { .. } => Some("add `column:` to this entry of the view".into()),
            Self::DoesNotFit { .. } | Self::Foreign => None,
        }
    }
}
