//! Where the history of a source comes from, beside its stream.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use shipway_core::{Length, Location, Name};

/// Files or a table of somebody else that are loaded into a source, each file or version once.
///
/// No part of the source's hash: the same events give the same values, whatever way they came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Batch {
    /// What is loaded.
    pub from: BatchFrom,
    /// Columns of the source that have another name there: the source's name to theirs.
    #[serde(default)]
    pub columns: BTreeMap<Name, String>,
    /// Columns of the source that may be missing there, and are null then.
    #[serde(default)]
    pub optional: BTreeSet<Name>,
    /// How often it is looked for news; never by itself without it.
    pub every: Option<Length>,
}

/// What a batch source loads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchFrom {
    /// Every file that the pattern stands for, once.
    Files {
        /// The pattern.
        pattern: Location,
        /// The format of every file; without it each one's name says.
        format: Option<BatchFormat>,
        /// Text that means null in a CSV file, beside the empty field.
        #[serde(default)]
        nulls: Vec<String>,
    },
    /// A Delta table: its rows when it is first read, then the rows that each version adds.
    Delta {
        /// The folder of the table.
        table: Location,
    },
}

/// A format of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BatchFormat {
    /// Comma-separated values with a header.
    Csv,
    /// One JSON object per line.
    Jsonl,
    /// Parquet.
    Parquet,
}

impl BatchFormat {
    /// Every format.
    pub const ALL: [Self; 3] = [Self::Csv, Self::Jsonl, Self::Parquet];

    /// The word for it in definitions.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
            Self::Parquet => "parquet",
        }
    }
}

impl Batch {
    /// The pattern of the files, or the folder of the table.
    pub fn location(&self) -> &Location {
        match &self.from {
            BatchFrom::Files { pattern, .. } => pattern,
            BatchFrom::Delta { table } => table,
        }
    }

    /// The name that a column of the source has there.
    pub fn name_there<'a>(&'a self, column: &'a Name) -> &'a str {
        self.columns.get(column).map_or(column.as_str(), String::as_str)
    }
}
