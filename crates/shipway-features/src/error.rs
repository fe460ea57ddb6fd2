//! Everything that this crate refuses or fails at: the kind, a stable code, and what the reader can do about it.

use std::borrow::Cow;

use shipway_aggregate::AggregationError;
use shipway_core::{Failure, Kind, Timestamp};
use shipway_expression::ExpressionError;
use shipway_lake::LakeError;
use shipway_log::LogError;
use shipway_online::{OnlineError, copy::CopyError};
use shipway_store::StoreError;

/// A refused request or a failed operation of the feature platform.
#[derive(Debug, thiserror::Error)]
pub enum FeaturesError {
    /// No source has this name.
    #[error("source {name} does not exist{}", did_you_mean(.nearest))]
    UnknownSource {
        /// The name asked for.
        name: String,
        /// The most similar name that exists.
        nearest: Option<String>,
    },
    /// The events of this source are selected from another one.
    #[error("source {source_name} takes no events: they are selected from source {from}")]
    Selected {
        /// The source.
        source_name: String,
        /// The source that they are selected from.
        from: String,
    },
    /// The events of this source are corrected by their ids, and rows of a file are not looked up one by one.
    #[error("source {source_name} takes no files: its events are replaced by their ids (same_id: replace)")]
    Corrected {
        /// The source.
        source_name: String,
    },
    /// No service has this name.
    #[error("service {name} does not exist{}", did_you_mean(.nearest))]
    UnknownService {
        /// The name asked for.
        name: String,
        /// The most similar name that exists.
        nearest: Option<String>,
    },
    /// No view has this name.
    #[error("view {name} does not exist{}", did_you_mean(.nearest))]
    UnknownView {
        /// The name asked for.
        name: String,
        /// The most similar name that exists.
        nearest: Option<String>,
    },
    /// The view has no such feature.
    #[error("feature {feature} does not exist{}", did_you_mean(.nearest))]
    UnknownFeature {
        /// The feature asked for, `view:feature`.
        feature: String,
        /// The most similar one that exists.
        nearest: Option<String>,
    },
    /// No view that is read has this key, and the service no such request column.
    #[error("entity {name} is not one of what is read{}", did_you_mean(.nearest))]
    UnknownEntity {
        /// The name given.
        name: String,
        /// The most similar one that is needed.
        nearest: Option<String>,
    },
    /// A stored expression cannot be compiled any more.
    #[error("an expression of {thing} cannot be compiled")]
    Expression {
        /// The view or service.
        thing: String,
        /// Why not.
        source: Box<ExpressionError>,
    },
    /// Two columns of an answer would have one name.
    #[error("feature {name} is there twice, of two views or beside a key")]
    FeatureNamesCollide {
        /// The name.
        name: String,
    },
    /// Features of a view cannot be written, because they are computed.
    #[error("view {view} computes its features from the events of source {source_name}")]
    ComputedFeatures {
        /// The view.
        view: String,
        /// Its source.
        source_name: String,
    },
    /// A definition names another one that this server does not hold.
    #[error("{what} is not among the definitions of this server")]
    MissingDefinition {
        /// The definition that is missing, in words.
        what: String,
    },
    /// A request that is wrong in itself.
    #[error("{what}")]
    Invalid {
        /// What is wrong, the thing first.
        what: String,
    },
    /// A request beyond a documented bound.
    #[error("{what} is {got}, the limit is {limit}")]
    TooLarge {
        /// What is bounded.
        what: &'static str,
        /// What came.
        got: u64,
        /// The bound.
        limit: u64,
    },
    /// A moment that the online state can no longer answer exactly.
    #[error("view {view}: the online state cannot answer {at} exactly any more")]
    NotExact {
        /// The view.
        view: String,
        /// The moment asked for.
        at: Timestamp,
    },
    /// A view or a feature is older than its objective allows, and says to refuse then.
    #[error("{thing}: the newest event of this key is older than the freshness objective")]
    Stale {
        /// `view v`, or `feature v:f`.
        thing: String,
    },
    /// A view's state is still being built from history.
    #[error("view {view} is still being built from history{}", so_far(.progress))]
    Building {
        /// The view.
        view: String,
        /// Steps done, and of how many, once that is known.
        progress: Option<(u32, u32)>,
    },
    /// A version of a view that is out of force and has no state any more.
    #[error("view {view} at version {hash} has no state: it is out of force, and nothing referred to it")]
    Retired {
        /// The view.
        view: String,
        /// The first digits of its version.
        hash: String,
    },
    /// A token's events did not become visible in time.
    #[error("events of source {source_name} up to the token are not visible yet")]
    NotVisible {
        /// The source.
        source_name: String,
    },
    /// The value of a feature cannot be given.
    #[error("feature {feature} has no value that can be given")]
    Feature {
        /// `view:feature`.
        feature: String,
        /// Why.
        source: AggregationError,
    },
    /// The states of a source are too far behind its log.
    #[error("source {source_name}: {behind} events are waiting to become readable, the limit is {limit}")]
    Behind {
        /// The source.
        source_name: String,
        /// Records of the log that are not in the states yet.
        behind: u64,
        /// The bound.
        limit: u64,
    },
    /// Too many requests bring events at a time.
    #[error("requests with {limit} bytes of events are being taken in already")]
    Crowded {
        /// The bound.
        limit: u32,
    },
    /// Somebody else has taken over a partition of a broker.
    #[error(
        "partition {partition} was claimed under generation {held}; this is a delivery of generation {generation}"
    )]
    Fenced {
        /// The partition.
        partition: u32,
        /// The generation of the delivery.
        generation: u64,
        /// The generation of the last claim.
        held: u64,
    },
    /// The rows of a view cannot be sent.
    #[error("{unsendable}")]
    Unsendable {
        /// Why not.
        unsendable: shipway_definitions::Unsendable,
    },
    /// A table has a column that cannot be sent, or not the one that is to be the key.
    #[error("column {column} of table {table} {what}")]
    SinkColumn {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// What is wrong with it.
        what: String,
        /// The name that may have been meant.
        nearest: Option<String>,
    },
    /// Only a sink of a view to a topic can send every row once more.
    #[error("sink {sink} cannot send its rows once more")]
    NotResent {
        /// The sink.
        sink: String,
    },
    /// Shutting down, or a background task ended.
    #[error("{what} is not running")]
    Stopped {
        /// What stopped.
        what: &'static str,
    },
    /// Stored bytes that this program did not write, or damage.
    #[error("{what} cannot be decoded")]
    Damaged {
        /// The thing that is damaged.
        what: String,
    },
    /// There is no read copy, or it is not whole: nothing may be read from it.
    #[error("the read copy is not complete")]
    CopyIncomplete,
    /// A read of the copy did not come to one moment.
    #[error("the read copy has changed again and again while it was read")]
    CopyBusy,
    /// The copy was written by another release, or for another kind of server.
    #[error("the read copy cannot be used by this server: {what}")]
    CopyForeign {
        /// What is wrong with it.
        what: String,
    },
    /// Another server has become the owner of the copy.
    #[error("another server has taken over the read copy")]
    CopyTakenOver,
    /// A reader of a copy was asked for something else.
    #[error("this server only reads features from a read copy: {what}")]
    ReaderOnly {
        /// What it was asked for.
        what: String,
    },
    /// The server of the read copy failed.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// The event log failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The online store failed.
    #[error(transparent)]
    Online(#[from] OnlineError),
    /// The lake failed.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// The metadata store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A training set was refused or failed.
    #[error(transparent)]
    Offline(#[from] crate::offline::OfflineError),
    /// A verification was refused or failed.
    #[error(transparent)]
    Proof(#[from] crate::proof::ProofError),
    /// A part that is plugged in refused or failed.
    #[error("{0}")]
    Elsewhere(Box<dyn Failure + Send + Sync>),
    /// Arrow data could not be read or converted.
    #[error("arrow data could not be read")]
    Arrow(#[from] arrow::error::ArrowError),
    /// A file could not be read or written.
    #[error("a file could not be read or written")]
    File(#[from] std::io::Error),
}

fn did_you_mean(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|name| format!("; did you mean {name}?")).unwrap_or_default()
}

fn so_far(progress: &Option<(u32, u32)>) -> String {
    progress.map(|(done, of)| format!(": {done} of {of} steps are done")).unwrap_or_default()
}

impl Failure for FeaturesError {
    fn kind(&self) -> Kind {
        match self {
            Self::UnknownSource { .. }
            | Self::UnknownService { .. }
            | Self::UnknownView { .. }
            | Self::UnknownFeature { .. }
            | Self::UnknownEntity { .. }
            | Self::ReaderOnly { .. } => Kind::NotFound,
            Self::Invalid { .. } | Self::FeatureNamesCollide { .. } | Self::ComputedFeatures { .. } => {
                Kind::Invalid
            }
            Self::TooLarge { .. } => Kind::TooLarge,
            Self::NotExact { .. }
            | Self::Stale { .. }
            | Self::Retired { .. }
            | Self::Fenced { .. }
            | Self::Selected { .. }
            | Self::Corrected { .. }
            | Self::Unsendable { .. }
            | Self::SinkColumn { .. }
            | Self::NotResent { .. }
            | Self::CopyTakenOver => Kind::Conflict,
            Self::Behind { .. } | Self::Crowded { .. } => Kind::Exhausted,
            Self::Building { .. }
            | Self::NotVisible { .. }
            | Self::Stopped { .. }
            | Self::CopyIncomplete
            | Self::CopyBusy
            | Self::CopyForeign { .. } => Kind::Unavailable,
            Self::Feature { source, .. } => source.kind(),
            Self::MissingDefinition { .. } | Self::Damaged { .. } | Self::Expression { .. } => Kind::Internal,
            Self::Copy(error) => error.kind(),
            Self::Log(error) => error.kind(),
            Self::Online(error) => error.kind(),
            Self::Lake(error) => error.kind(),
            Self::Store(error) => error.kind(),
            Self::Offline(error) => error.kind(),
            Self::Proof(error) => error.kind(),
            Self::Elsewhere(error) => error.kind(),
            Self::Arrow(_) => Kind::Invalid,
            Self::File(_) => Kind::Internal,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::UnknownSource { .. } => "features.unknown_source",
            Self::UnknownService { .. } => "features.unknown_service",
            Self::UnknownView { .. } => "features.unknown_view",
            Self::UnknownFeature { .. } => "features.unknown_feature",
            Self::UnknownEntity { .. } => "features.unknown_entity",
            Self::Expression { .. } => "features.expression_invalid",
            Self::FeatureNamesCollide { .. } => "features.feature_names_collide",
            Self::ComputedFeatures { .. } => "features.computed_features",
            Self::Selected { .. } => "features.selected_source",
            Self::Corrected { .. } => "features.corrected_source",
            Self::MissingDefinition { .. } => "features.missing_definition",
            Self::Invalid { .. } => "features.invalid_request",
            Self::TooLarge { .. } => "features.too_large",
            Self::NotExact { .. } => "features.not_exact",
            Self::Stale { .. } => "features.stale",
            Self::Building { .. } => "features.view_building",
            Self::Retired { .. } => "features.view_retired",
            Self::NotVisible { .. } => "features.not_visible_yet",
            Self::Feature { source, .. } => source.code(),
            Self::Behind { .. } => "features.behind",
            Self::Crowded { .. } => "features.crowded",
            Self::Fenced { .. } => "features.fenced",
            Self::Unsendable { .. } => "features.view_unsendable",
            Self::SinkColumn { .. } => "features.sink_column",
            Self::NotResent { .. } => "features.sink_not_resent",
            Self::Stopped { .. } => "features.stopped",
            Self::Damaged { .. } => "features.damaged_state",
            Self::CopyIncomplete => "features.copy_incomplete",
            Self::CopyBusy => "features.copy_busy",
            Self::CopyForeign { .. } => "features.copy_foreign",
            Self::CopyTakenOver => "features.copy_taken_over",
            Self::ReaderOnly { .. } => "features.reader_only",
            Self::Copy(error) => error.code(),
            Self::Log(error) => error.code(),
            Self::Online(error) => error.code(),
            Self::Lake(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Offline(error) => error.code(),
            Self::Proof(error) => error.code(),
            Self::Elsewhere(error) => error.code(),
            Self::Arrow(_) => "features.arrow_invalid",
            Self::File(_) => "features.file_failed",
        }
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::NotExact { .. } => {
                Some("build a training set for this moment: history answers every moment exactly".into())
            }
            Self::Stale { .. } => Some("check that events of this source still arrive".into()),
            Self::Building { .. } => {
                Some("ask again when the view is ready: `shipway features views` shows how far it is".into())
            }
            Self::Retired { .. } => {
                Some("`shipway features rebuild --view VIEW --hash HASH` builds it again from history".into())
            }
            Self::NotVisible { .. } => {
                Some("ask again: the events are durable and will become visible".into())
            }
            Self::Behind { .. } | Self::Crowded { .. } => {
                Some("send these events again a little later, and fewer at a time".into())
            }
            Self::CopyIncomplete => Some(
                "ask again: its owner copies everything; `shipway status` there says how far it is".into(),
            ),
            Self::CopyBusy => Some("ask again".into()),
            Self::CopyForeign { .. } => {
                Some("give owner and readers the same release, and the same read_copy.cluster".into())
            }
            Self::CopyTakenOver => {
                Some("let one server be the owner; this one goes on publishing after a restart".into())
            }
            Self::ReaderOnly { .. } => {
                Some("ask the owner of the copy, the server whose read_copy.role is owner".into())
            }
            Self::Copy(error) => error.hint(),
            Self::TooLarge { .. } => Some("split the request".into()),
            Self::FeatureNamesCollide { .. } => Some("ask for full feature names".into()),
            Self::ComputedFeatures { .. } => Some("push events to the source instead".into()),
            Self::Corrected { .. } => {
                Some("send them as events: over the ingest route, Arrow included, or a broker".into())
            }
            Self::Selected { from, .. } => Some(format!("send them to source {from}").into()),
            Self::Unsendable { unsendable } => Some(unsendable.hint().into()),
            Self::SinkColumn { nearest: Some(near), .. } => Some(format!("did you mean {near}?").into()),
            Self::SinkColumn { nearest: None, .. } => {
                Some("send a table of columns that messages can say, or name a column that it has".into())
            }
            Self::NotResent { .. } => {
                Some("only a sink of a view to a topic can; a table holds what was sent into it".into())
            }
            Self::Feature { source, .. } => source.hint(),
            Self::Log(error) => error.hint(),
            Self::Online(error) => error.hint(),
            Self::Lake(error) => error.hint(),
            Self::Store(error) => error.hint(),
            Self::Offline(error) => error.hint(),
            Self::Proof(error) => error.hint(),
            Self::Elsewhere(error) => error.hint(),
            _ => None,
        }
    }
}

/// An error of the query engine is one of the lake, which knows its own errors inside it.
impl From<datafusion::error::DataFusionError> for FeaturesError {
    fn from(error: datafusion::error::DataFusionError) -> Self {
        use datafusion::error::DataFusionError;
        match error {
            // An error of ours that came through a plan, as that of a training set inside a query.
            DataFusionError::External(inner) => match inner.downcast::<Self>() {
                Ok(own) => *own,
                Err(inner) => Self::Lake(LakeError::from(DataFusionError::External(inner))),
            },
            DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => Self::from(*inner),
            other => Self::Lake(LakeError::from(other)),
        }
    }
}

/// Shorthand for a request that is wrong in itself.
pub(crate) fn invalid(what: impl Into<String>) -> FeaturesError {
    FeaturesError::Invalid { what: what.into() }
}

/// Shorthand for stored bytes that cannot be decoded.
pub(crate) fn damaged(what: impl Into<String>) -> FeaturesError {
    FeaturesError::Damaged { what: what.into() }
}
