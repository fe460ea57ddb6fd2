//! The errors that a writer of definitions reads: file, line, thing, remedy.

use std::{borrow::Cow, fmt};

use serde::Serialize;
use shipway_core::{Digest, Failure, Kind, Name};

use crate::DefinitionKind;

/// One error, at its place. Ordered by file, then line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct DefinitionError {
    /// The path of the file as it was given.
    pub path: String,
    /// The line, from 1.
    pub line: u64,
    /// The thing first, then what is wrong with it.
    pub message: String,
    /// What the writer can do about it.
    pub hint: Option<String>,
}

impl fmt::Display for DefinitionError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// Every error of every file, at least one, in the order of files and lines. Nothing of the files is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefinitionErrors {
    errors: Vec<DefinitionError>,
}

impl DefinitionErrors {
    /// Sorts `errors` by place; `None` when there are none.
    pub(crate) fn of(mut errors: Vec<DefinitionError>) -> Option<Self> {
        errors.sort();
        errors.dedup();
        if errors.is_empty() { None } else { Some(Self { errors }) }
    }

    /// The errors by file and line.
    pub fn list(&self) -> &[DefinitionError] {
        &self.errors
    }
}

/// A line per error, its hint in brackets.
impl fmt::Display for DefinitionErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            if index > 0 {
                formatter.write_str("\n")?;
            }
            write!(formatter, "{error}")?;
            if let Some(hint) = &error.hint {
                write!(formatter, " ({hint})")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for DefinitionErrors {}

impl Failure for DefinitionErrors {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }

    fn code(&self) -> &'static str {
        "definitions.invalid"
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        Some("nothing was applied; correct every line and try again".into())
    }
}

/// A definition that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {name} does not exist")]
pub struct UnknownDefinition {
    /// The kind that was looked for.
    pub kind: DefinitionKind,
    /// The name as it was written.
    pub name: String,
    /// The existing name that is most like it.
    pub nearest: Option<Name>,
}

impl Failure for UnknownDefinition {
    fn kind(&self) -> Kind {
        Kind::NotFound
    }

    fn code(&self) -> &'static str {
        "definitions.unknown"
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        self.nearest.as_ref().map(|nearest| format!("did you mean {nearest}?").into())
    }
}

/// A stored definition cannot be read back.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The stored text is not a definition of this kind.
    #[error("the stored {kind} {name} cannot be read")]
    Unreadable {
        /// The kind it was stored under.
        kind: DefinitionKind,
        /// The name it was stored under.
        name: String,
        /// Why not.
        source: serde_json::Error,
    },
    /// The stored text has another hash than the one it was stored under.
    #[error("the stored {kind} {name} has the hash {actual}, it was stored as {expected}")]
    Altered {
        /// The kind it was stored under.
        kind: DefinitionKind,
        /// The name it was stored under.
        name: String,
        /// The hash that it was stored under.
        expected: Digest,
        /// The hash of what is there now.
        actual: Digest,
    },
}

impl Failure for RestoreError {
    fn kind(&self) -> Kind {
        Kind::Internal
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "definitions.stored_unreadable",
            Self::Altered { .. } => "definitions.stored_altered",
        }
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        Some("the metadata database was changed from outside; restore it from a backup".into())
    }
}
