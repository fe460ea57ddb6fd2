//! What a text may name, and the row in which the values of these names lie.

use shipway_core::{DataType, Value};

/// The columns that a text may name, each with the position of its value in a [`Row`].
#[derive(Debug, Clone, Default)]
pub struct Scope {
    columns: Vec<(String, DataType, usize)>,
}

impl Scope {
    /// Nothing can be named.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same columns at the positions in which they come.
    pub fn of<'a>(columns: impl IntoIterator<Item = (&'a str, DataType)>) -> Self {
        let mut scope = Self::new();
        for (position, (name, data_type)) in columns.into_iter().enumerate() {
            scope.add(name, data_type, position);
        }
        scope
    }

    /// Adds a column. Of two with one name the first is found.
    pub fn add(&mut self, name: &str, data_type: DataType, position: usize) {
        self.columns.push((name.to_owned(), data_type, position));
    }

    pub(crate) fn find(&self, name: &str) -> Option<(DataType, usize)> {
        self.columns
            .iter()
            .find(|(held, ..)| held == name)
            .map(|(_, data_type, position)| (*data_type, *position))
    }

    /// Whether columns are named with their tables in front.
    pub(crate) fn has_tables(&self) -> bool {
        self.columns.iter().any(|(name, ..)| name.contains('.'))
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.columns.iter().map(|(name, ..)| name.clone()).collect()
    }
}

/// The values of one row in two parts, so that computed values need not be put behind those of an event: positions from
/// the length of the first part on lie in the second. A position beyond both is null.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    first: &'a [Value],
    second: &'a [Value],
}

impl<'a> Row<'a> {
    /// A row of two parts.
    pub const fn new(first: &'a [Value], second: &'a [Value]) -> Self {
        Self { first, second }
    }

    /// The value at `position`.
    #[inline]
    pub fn get(self, position: usize) -> &'a Value {
        let found = match self.first.get(position) {
            Some(value) => Some(value),
            None => self.second.get(position - self.first.len()),
        };
        found.unwrap_or(&Value::Null)
    }
}

impl<'a> From<&'a [Value]> for Row<'a> {
    fn from(values: &'a [Value]) -> Self {
        Self::new(values, &[])
    }
}
