//! What can go wrong: with a message, which is then to blame for ever, and with what is around it, which may pass.

use std::borrow::Cow;

use shipway_core::{Failure, Kind, Name};

/// Why one message is refused. Reading it again gives the same answer, so it belongs into a table of refused messages.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// The bytes are not of the format.
    #[error("not {format}: {reason}")]
    Malformed {
        /// The format, with its article: `a JSON object`.
        format: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The header that a registry's clients write is not there, or is there where none is expected.
    #[error("{reason}")]
    Header {
        /// What is wrong.
        reason: &'static str,
    },
    /// The registry knows no schema of this id.
    #[error("schema {id} is not in the registry")]
    SchemaUnknown {
        /// The id that the message begins with.
        id: u32,
    },
    /// There is a schema, and it cannot be read or has nothing to do with the declared columns.
    #[error("schema {id}: {reason}")]
    SchemaUnusable {
        /// The id that the message begins with.
        id: u32,
        /// What is wrong.
        reason: String,
    },
    /// A value does not fit the column.
    #[error("column {column}: {reason}")]
    Column {
        /// The column.
        column: Name,
        /// Why not.
        reason: String,
    },
    /// There is a field that no column names, and the format refuses such.
    #[error("field {field} belongs to no declared column{near}")]
    UnknownField {
        /// The field, with those that it lies in.
        field: String,
        /// A column with a similar name, or nothing.
        near: String,
    },
    /// The envelope is not Debezium's.
    #[error("not a change event of Debezium: {reason}")]
    Envelope {
        /// What is wrong.
        reason: String,
    },
    /// The message is longer than the bound.
    #[error("the message has {bytes} bytes, the limit is {limit}")]
    TooLarge {
        /// Its length.
        bytes: usize,
        /// The bound.
        limit: usize,
    },
}

impl Failure for MessageError {
    fn kind(&self) -> Kind {
        match self {
            Self::TooLarge { .. } => Kind::TooLarge,
            Self::SchemaUnknown { .. } => Kind::NotFound,
            _ => Kind::Invalid,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "formats.message_malformed",
            Self::Header { .. } => "formats.header_wrong",
            Self::SchemaUnknown { .. } => "formats.schema_unknown",
            Self::SchemaUnusable { .. } => "formats.schema_unusable",
            Self::Column { .. } => "formats.column_mismatch",
            Self::UnknownField { .. } => "formats.field_unknown",
            Self::Envelope { .. } => "formats.envelope_wrong",
            Self::TooLarge { .. } => "formats.message_too_large",
        }
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        let hint = match self {
            Self::Header { .. } => "compare schema_registry in the source with how the producer writes",
            Self::SchemaUnknown { .. } => "check that producer and source name the same registry",
            Self::UnknownField { .. } => "declare a column for it, or set unknown_fields: ignore",
            Self::Envelope { .. } => "set envelope: none for messages that are plain rows",
            _ => return None,
        };
        Some(hint.into())
    }
}

/// Why nothing can be said about any message for now, or at all with this definition.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FormatError {
    /// The definition cannot work.
    #[error("format: {reason}")]
    Invalid {
        /// What is wrong.
        reason: String,
    },
    /// The registry does not answer, or says that it cannot now. The message is not to blame: read it again later.
    #[error("schema registry {address}: {reason}")]
    RegistryUnavailable {
        /// Where it should be.
        address: String,
        /// What happened.
        reason: String,
    },
    /// The registry wants other credentials.
    #[error("schema registry {address}: the credentials are refused ({status})")]
    RegistryDenied {
        /// Where it is.
        address: String,
        /// The status of its answer.
        status: u16,
    },
    /// What answers does not speak as a registry does.
    #[error("schema registry {address}: {reason}")]
    RegistryAnswer {
        /// Where it should be.
        address: String,
        /// What came.
        reason: String,
    },
    /// The registry refuses a schema under this subject, for instance because it is not compatible with those before it.
    #[error("schema registry: subject {subject} refuses the schema: {reason}")]
    SchemaRefused {
        /// The subject.
        subject: String,
        /// What the registry says.
        reason: String,
    },
    /// A row to be written has not the values that the encoder's columns have.
    #[error("a row to be written: {reason}")]
    RowMismatch {
        /// What is wrong.
        reason: String,
    },
}

impl FormatError {
    /// Whether the same may work later without anybody changing the definition.
    pub const fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::RegistryUnavailable { .. } | Self::RegistryDenied { .. } | Self::RegistryAnswer { .. }
        )
    }
}

impl Failure for FormatError {
    fn kind(&self) -> Kind {
        match self {
            Self::Invalid { .. } | Self::RowMismatch { .. } => Kind::Invalid,
            Self::RegistryUnavailable { .. } | Self::RegistryDenied { .. } | Self::RegistryAnswer { .. } => {
                Kind::Unavailable
            }
            Self::SchemaRefused { .. } => Kind::Conflict,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Invalid { .. } => "formats.definition_invalid",
            Self::RegistryUnavailable { .. } => "formats.registry_unavailable",
            Self::RegistryDenied { .. } => "formats.registry_denied",
            Self::RegistryAnswer { .. } => "formats.registry_answer",
            Self::SchemaRefused { .. } => "formats.schema_refused",
            Self::RowMismatch { .. } => "formats.row_mismatch",
        }
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        let hint = match self {
            Self::RegistryUnavailable { .. } => {
                "no message is lost; it is read again when the registry answers"
            }
            Self::RegistryDenied { .. } => "set user and password of schema_registry",
            Self::RegistryAnswer { .. } => "check the address of schema_registry; redirects are not followed",
            Self::SchemaRefused { .. } => "change the columns compatibly, or register under another subject",
            Self::Invalid { .. } | Self::RowMismatch { .. } => return None,
        };
        Some(hint.into())
    }
}
