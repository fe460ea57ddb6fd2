//! What can go wrong with the metadata database, told apart by what the caller can do about it.

use std::borrow::Cow;

use shipway_core::{Failure, Kind};

use crate::postgres;

/// The error of the database engine, whose type stays inside this crate.
pub type Cause = Box<dyn std::error::Error + Send + Sync + 'static>;

/// A failure of the metadata database.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A unique or foreign key does not allow the change.
    #[error("the change conflicts with what is stored")]
    Conflict(#[source] Cause),
    /// Another writer holds the database for too long.
    #[error("the metadata database is busy")]
    Busy(#[source] Cause),
    /// The disk has no room left.
    #[error("the disk of the metadata database is full")]
    Full(#[source] Cause),
    /// The store was closed: the server is shutting down.
    #[error("the metadata database is closed")]
    Closed,
    /// The database server cannot be reached, or is not taking work just now.
    #[error("the metadata database cannot be reached")]
    Unreachable(#[source] Cause),
    /// The file cannot be opened or created, or the server does not let us in.
    #[error("metadata database {place}: cannot be opened")]
    Open {
        /// The file, or the address without its password.
        place: String,
        /// Why.
        source: Cause,
    },
    /// The server is too old, or keeps text in another encoding than UTF-8.
    #[error("metadata database {place}: PostgreSQL 13 or newer with the encoding UTF8 is needed; {found}")]
    Unsuitable {
        /// The address without its password.
        place: String,
        /// What the server is.
        found: String,
    },
    /// The database belongs to another data folder.
    #[error("the metadata database belongs to another data folder, {home}")]
    OtherHome {
        /// What that folder is called.
        home: String,
    },
    /// Metadata can only be moved into a database without tables.
    #[error("the database to move to has tables already, such as {table}")]
    NotEmpty {
        /// One of them.
        table: String,
    },
    /// The file is not a database, or is damaged.
    #[error("the metadata database is damaged")]
    Damaged(#[source] Cause),
    /// The statement is wrong, or the engine failed in a way that has no name here.
    #[error("a statement on the metadata database failed")]
    Statement(#[source] Cause),
    /// A parameter is NaN, which SQLite would turn into null.
    #[error("parameter ${position} is not a number")]
    NotANumber {
        /// Which one, from 1.
        position: usize,
    },
    /// A parameter is text with the character NUL, which PostgreSQL cannot keep.
    #[error("the text of parameter ${position} contains the character NUL")]
    NulCharacter {
        /// Which one, from 1.
        position: usize,
    },
    /// The statement has a placeholder without a parameter, which SQLite would take for null.
    #[error("a statement asks for {expected} parameters and was given {given}")]
    MissingParameters {
        /// The highest placeholder.
        expected: usize,
        /// How many parameters there were.
        given: usize,
    },
    /// The row has no column of that name.
    #[error("column {column}: the row has no such column")]
    NoColumn {
        /// The column asked for.
        column: String,
    },
    /// The column holds something else.
    #[error("column {column}: expected {expected}, found {found}")]
    ColumnType {
        /// The column asked for.
        column: String,
        /// The type asked for.
        expected: &'static str,
        /// The type stored.
        found: &'static str,
    },
    /// A migration that was applied has been edited since.
    #[error("migration {owner} {version} {name}: its text changed after it was applied")]
    MigrationChanged {
        /// The crate that owns it.
        owner: String,
        /// Its number.
        version: i64,
        /// Its name.
        name: String,
    },
    /// The database has a migration that this program does not know.
    #[error("migration {owner} {version} {name}: applied to the database, but unknown to this program")]
    MigrationUnknown {
        /// The crate that owns it.
        owner: String,
        /// Its number.
        version: i64,
        /// Its name.
        name: String,
    },
    /// A crate's migrations are not numbered upwards, or a new one was put before an applied one.
    #[error("migration {owner} {version} {name}: out of order")]
    MigrationOutOfOrder {
        /// The crate that owns it.
        owner: String,
        /// Its number.
        version: i64,
        /// Its name.
        name: String,
    },
    /// A migration failed; nothing of it was applied.
    #[error("migration {owner} {version} {name}: failed")]
    MigrationFailed {
        /// The crate that owns it.
        owner: String,
        /// Its number.
        version: i64,
        /// Its name.
        name: String,
        /// Why.
        source: Cause,
    },
}

impl StoreError {
    /// Whether a unique or foreign key did not allow the change.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict(_))
    }
}

impl Failure for StoreError {
    fn kind(&self) -> Kind {
        match self {
            Self::Conflict(_) => Kind::Conflict,
            Self::NulCharacter { .. } => Kind::Invalid,
            Self::OtherHome { .. } | Self::NotEmpty { .. } => Kind::Conflict,
            Self::Busy(_) | Self::Full(_) | Self::Unreachable(_) | Self::Closed => Kind::Unavailable,
            _ => Kind::Internal,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Conflict(_) => "store.conflict",
            Self::Busy(_) => "store.busy",
            Self::Full(_) => "store.disk_full",
            Self::Closed => "store.closed",
            Self::Unreachable(_) => "store.unreachable",
            Self::Open { .. } => "store.cannot_open",
            Self::Unsuitable { .. } => "store.unsuitable",
            Self::OtherHome { .. } => "store.other_home",
            Self::NotEmpty { .. } => "store.not_empty",
            Self::Damaged(_) => "store.damaged",
            Self::Statement(_) => "store.statement_failed",
            Self::NotANumber { .. } => "store.not_a_number",
            Self::NulCharacter { .. } => "store.nul_character",
            Self::MissingParameters { .. } => "store.missing_parameters",
            Self::NoColumn { .. } | Self::ColumnType { .. } => "store.column_mismatch",
            Self::MigrationChanged { .. } => "store.migration_changed",
            Self::MigrationUnknown { .. } => "store.migration_unknown",
            Self::MigrationOutOfOrder { .. } => "store.migration_out_of_order",
            Self::MigrationFailed { .. } => "store.migration_failed",
        }
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        let hint = match self {
            Self::Busy(_) => "try again",
            Self::Full(_) => "make room on the disk; nothing that was acknowledged is lost",
            Self::Unreachable(_) => "try again; nothing that was acknowledged is lost",
            Self::Open { .. } => {
                "check that the data folder exists and may be written, or that metadata.url names a database that lets this user in"
            }
            Self::Unsuitable { .. } => "give metadata.url another database",
            Self::OtherHome { .. } => {
                "a data folder and its metadata belong together: give this server a database of its own, or the folder whose file \
                 metadata.home says that name"
            }
            Self::NotEmpty { .. } => "make an empty database, and name it in metadata.url",
            Self::NulCharacter { .. } => "leave that character out",
            Self::Damaged(_) => "restore the metadata database from a backup",
            Self::MigrationUnknown { .. } => {
                "the data folder was written by a newer release; run that release or a later one"
            }
            Self::MigrationChanged { .. } => "undo the edit, and put the change into a new migration",
            _ => return None,
        };
        Some(hint.into())
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let database = match &error {
            sqlx::Error::PoolTimedOut => return Self::Busy(error.into()),
            sqlx::Error::PoolClosed => return Self::Closed,
            sqlx::Error::Io(_) | sqlx::Error::Protocol(_) => return Self::Unreachable(error.into()),
            sqlx::Error::Database(database) => database,
            _ => return Self::Statement(error.into()),
        };
        if database.is_unique_violation() || database.is_foreign_key_violation() {
            return Self::Conflict(error.into());
        }
        postgres::meaning(database.as_ref()).unwrap_or(Self::Statement)(error.into())
    }
}
