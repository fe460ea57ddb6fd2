//! How far a selection is.

use serde::Serialize;
use shipway_core::{Failure, Name, failure::chain};

use crate::error::FeaturesError;

/// How far a selected source is in the one it selects from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SelectionStatus {
    /// The source that it selects from.
    pub from: Name,
    /// What it is doing.
    #[serde(flatten)]
    pub state: SelectionState,
    /// The next record of that source's log to be asked.
    pub position: u64,
    /// Records that were not asked yet.
    pub lag: u64,
    /// Rows of history that came out and are no events of the source, since the server started: they are left out.
    pub refused_rows: u64,
}

/// What a selection is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum SelectionState {
    /// It has not begun yet.
    #[default]
    Starting,
    /// It asks rows of history, in bulk.
    Loading,
    /// It follows the log.
    Following,
    /// It cannot go on, and tries again by itself.
    Failing {
        /// The code of the failure.
        code: String,
        /// What is wrong.
        error: String,
        /// What can be done about it.
        #[serde(skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
    },
}

/// The status of one selection, kept up to date by its task.
#[derive(Debug, Default)]
pub(crate) struct SelectionBoard {
    state: SelectionState,
    position: u64,
    refused_rows: u64,
}

impl SelectionBoard {
    pub(crate) fn is(&mut self, state: SelectionState, position: u64) {
        self.state = state;
        self.position = position;
    }

    pub(crate) fn refused(&mut self, rows: u64) {
        self.refused_rows += rows;
    }

    /// Whether this is news: a failure that lasts is told once.
    pub(crate) fn failed(&mut self, failure: &FeaturesError) -> bool {
        let hint = failure.hint().map(std::borrow::Cow::into_owned);
        let state = SelectionState::Failing { code: failure.code().to_owned(), error: chain(failure), hint };
        let is_news = self.state != state;
        self.state = state;
        is_news
    }

    pub(crate) fn show(&self, from: Name, end: u64) -> SelectionStatus {
        SelectionStatus {
            from,
            state: self.state.clone(),
            position: self.position,
            lag: end.saturating_sub(self.position),
            refused_rows: self.refused_rows,
        }
    }
}
