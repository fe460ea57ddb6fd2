//! Columns that definitions compute from other columns of one row.

use serde::{Deserialize, Serialize};
use shipway_core::{DataType, Name};

/// A column computed by an expression: of a view from the columns of an event, of a service from those of a request's row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Derived {
    /// Its name.
    pub name: Name,
    /// The expression, as it was written. It may name the columns before this one.
    pub expression: String,
    /// The type of its values.
    pub data_type: DataType,
}

impl Derived {
    pub(crate) const fn new(name: Name, expression: String, data_type: DataType) -> Self {
        Self { name, expression, data_type }
    }
}
