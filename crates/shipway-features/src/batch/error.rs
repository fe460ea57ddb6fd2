//! What can be refused about the history of a source that lies elsewhere.

use std::borrow::Cow;

use shipway_core::{Failure, Kind};

/// A refused request about a batch source, or a reason why an item of it is not loaded.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// The source loads nothing by itself.
    #[error("source {source_name} has no batch part")]
    NoBatch {
        /// The source.
        source_name: String,
    },
    /// A file that is loaded has another content now.
    #[error("{file} changed after it was loaded; its rows stay as they were")]
    FileChanged {
        /// The file.
        file: String,
    },
    /// The name of a file does not say its format.
    #[error("{file} does not say by its name what format it has")]
    FormatUnclear {
        /// The file.
        file: String,
    },
    /// Another table lies where the known one was.
    #[error("table {table} is another one than before: it was made anew")]
    TableReplaced {
        /// The table.
        table: String,
    },
    /// Ended because it was asked to end.
    #[error("the look at source {source_name} was cancelled")]
    Cancelled {
        /// The source.
        source_name: String,
    },
}

impl Failure for BatchError {
    fn kind(&self) -> Kind {
        match self {
            Self::NoBatch { .. } | Self::FormatUnclear { .. } => Kind::Invalid,
            Self::FileChanged { .. } | Self::TableReplaced { .. } | Self::Cancelled { .. } => Kind::Conflict,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::NoBatch { .. } => "features.batch_none",
            Self::FileChanged { .. } => "features.batch_file_changed",
            Self::FormatUnclear { .. } => "features.batch_format_unclear",
            Self::TableReplaced { .. } => "features.batch_table_replaced",
            Self::Cancelled { .. } => "features.batch_cancelled",
        }
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        let hint = match self {
            Self::NoBatch { .. } => "add batch to its definition, or load files with `shipway table load`",
            Self::FileChanged { .. } => {
                "history only grows: put the old file back, and new rows into a file of another name"
            }
            Self::FormatUnclear { .. } => "add format to the batch part of the source",
            Self::TableReplaced { .. } => "load the new table into a source of its own",
            Self::Cancelled { .. } => return None,
        };
        Some(hint.into())
    }
}

/// As an error of the feature platform.
pub(super) fn error(error: BatchError) -> crate::FeaturesError {
    crate::FeaturesError::Elsewhere(Box::new(error))
}
