//! What a version of a step's model takes and gives, as the plan needs it.

use shipway_core::{DataType, ScalarType};
use shipway_runtime::InputKind;

/// What a version takes and gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Who it is, in words.
    pub(crate) who: String,
    pub(crate) inputs: Vec<(String, Takes)>,
    /// Numbers for each row.
    pub(crate) outputs: usize,
}

/// What an input takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    Number,
    Category,
    /// Exactly this: a key or a request column of a feature service.
    Typed(DataType),
}

impl From<InputKind> for Takes {
    fn from(kind: InputKind) -> Self {
        match kind {
            InputKind::Number => Self::Number,
            InputKind::Category => Self::Category,
        }
    }
}

impl Takes {
    /// Whether values of a column can be given to it.
    pub(crate) fn fits(self, column: DataType) -> bool {
        match (self, column.as_scalar()) {
            (Self::Typed(expected), _) => {
                expected == column || (expected == DataType::Float && column == DataType::Int)
            }
            (Self::Number, scalar) => {
                matches!(
                    scalar,
                    Some(ScalarType::Bool | ScalarType::Int | ScalarType::Float | ScalarType::Decimal(_))
                )
            }
            (Self::Category, scalar) => scalar.is_some(),
        }
    }

    /// What it takes, in words.
    pub(crate) fn expected(self) -> String {
        match self {
            Self::Number => "a number".to_owned(),
            Self::Category => "a category: one value".to_owned(),
            Self::Typed(data_type) => data_type.to_string(),
        }
    }
}
