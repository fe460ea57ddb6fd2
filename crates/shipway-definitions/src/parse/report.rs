//! Where the errors of one run are collected.

use std::sync::Arc;

use crate::DefinitionError;

/// The errors so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    errors: Vec<DefinitionError>,
}

impl Report {
    pub(crate) fn refuse(&mut self, path: &Arc<str>, line: u64, message: String, hint: Option<String>) {
        self.errors.push(DefinitionError { path: path.to_string(), line, message, hint });
    }

    pub(crate) fn count(&self) -> usize {
        self.errors.len()
    }

    pub(crate) fn into_errors(self) -> Vec<DefinitionError> {
        self.errors
    }
}
