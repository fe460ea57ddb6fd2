//! What can go wrong in tracking, in words for a person; each edge maps kind and code to its own form.

use std::borrow::Cow;

use shipway_blob::BlobError;
use shipway_core::{Failure, Kind};
use shipway_store::StoreError;

use crate::{filter::FilterError, otlp::OtlpError, promote::Refusal};

/// The families of things that tracking names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thing {
    /// A group of runs.
    Experiment,
    /// One execution of training code.
    Run,
    /// A model's artifacts with their own identity.
    LoggedModel,
    /// A name in the registry.
    RegisteredModel,
    /// A numbered version of a registered model.
    ModelVersion,
    /// A movable name of a version.
    Alias,
    /// A stored file of a run or a logged model.
    Artifact,
    /// A tag of any thing.
    Tag,
    /// Records of inputs and what is expected of them.
    EvaluationDataset,
    /// A judge that a client defined, for an experiment.
    Scorer,
    /// A receiver of news.
    Webhook,
    /// What one request did, as a tree of spans.
    Trace,
    /// What somebody thinks of a trace.
    Assessment,
    /// What keeps the things of a group apart.
    Workspace,
}

impl Thing {
    /// The thing in a sentence.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Experiment => "experiment",
            Self::Run => "run",
            Self::LoggedModel => "logged model",
            Self::RegisteredModel => "registered model",
            Self::ModelVersion => "model version",
            Self::Alias => "alias",
            Self::Artifact => "artifact",
            Self::Tag => "tag",
            Self::EvaluationDataset => "evaluation dataset",
            Self::Scorer => "scorer",
            Self::Webhook => "webhook",
            Self::Trace => "trace",
            Self::Assessment => "assessment",
            Self::Workspace => "workspace",
        }
    }
}

/// Any failure of a use case of tracking.
#[derive(Debug, thiserror::Error)]
pub enum TrackingError {
    /// The thing named does not exist.
    #[error("{} {name} does not exist", thing.words())]
    Missing {
        /// Its family.
        thing: Thing,
        /// How the caller named it.
        name: String,
        /// A name that exists and looks alike.
        nearest: Option<String>,
    },
    /// Something of that name exists already.
    #[error("{} {name} exists already", thing.words())]
    Exists {
        /// Its family.
        thing: Thing,
        /// The name that is taken.
        name: String,
    },
    /// A field of the request is wrong or beyond a bound.
    #[error("invalid value for {parameter}: {reason}")]
    Invalid {
        /// The field.
        parameter: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A filter, an order or a page token cannot be read.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// The thing is deleted, and this needs an active one, or the reverse.
    #[error("the {} {name} must be in the '{wanted}' state", thing.words())]
    WrongLifecycle {
        /// Its family.
        thing: Thing,
        /// Its name.
        name: String,
        /// `active` or `deleted`.
        wanted: &'static str,
    },
    /// A parameter was logged before with another value.
    #[error(
        "param {key} of {owner} was already logged with value='{old}', attempted logging new value '{new}'"
    )]
    ParamChanged {
        /// The run or the logged model.
        owner: String,
        /// The parameter.
        key: String,
        /// The value that stays.
        old: String,
        /// The value that was refused.
        new: String,
    },
    /// The files of a version that holds an alias do not change under those who use it.
    #[error("artifact {path} belongs to {model} version {version}, which holds the alias {alias}")]
    Frozen {
        /// The file.
        path: String,
        /// The registered model.
        model: String,
        /// Its version.
        version: i64,
        /// One alias that the version holds.
        alias: String,
    },
    /// A workspace cannot go with what is in it.
    #[error("workspace {name} cannot be deleted: {reason}")]
    WorkspaceInUse {
        /// The workspace.
        name: String,
        /// What stands in the way.
        reason: String,
    },
    /// The endpoint is known and not served.
    #[error("{name} is not implemented: {reason}")]
    NotImplemented {
        /// What clients call the endpoint.
        name: &'static str,
        /// What there is instead, or why not.
        reason: &'static str,
    },
    /// The spans of a trace are not here, or not all of them.
    #[error("trace {trace}: {reason}")]
    SpansMissing {
        /// The trace.
        trace: String,
        /// What is missing.
        reason: &'static str,
    },
    /// Spans belong to a trace of an experiment that the caller may not write to.
    #[error("trace {trace} belongs to an experiment that the caller may not write to")]
    TraceOfAnother {
        /// The trace.
        trace: String,
    },
    /// Spans that arrived over the OpenTelemetry protocol cannot be kept.
    #[error(transparent)]
    Otlp(#[from] OtlpError),
    /// A gate refused the promotion.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A part that is plugged in refused or failed.
    #[error("{0}")]
    Elsewhere(Box<dyn Failure + Send + Sync>),
    /// The metadata database failed.
    #[error("the tracking database failed")]
    Store(#[from] StoreError),
    /// The object store failed.
    #[error("the artifact store failed")]
    Blob(#[from] BlobError),
}

impl TrackingError {
    pub(crate) fn missing(thing: Thing, name: impl Into<String>) -> Self {
        Self::Missing { thing, name: name.into(), nearest: None }
    }

    pub(crate) fn invalid(parameter: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Invalid { parameter: parameter.into(), reason: reason.into() }
    }
}

impl Failure for TrackingError {
    fn kind(&self) -> Kind {
        match self {
            Self::Missing { .. } | Self::NotImplemented { .. } | Self::SpansMissing { .. } => Kind::NotFound,
            Self::Invalid { .. } | Self::Filter(_) => Kind::Invalid,
            Self::Exists { .. }
            | Self::WrongLifecycle { .. }
            | Self::ParamChanged { .. }
            | Self::Frozen { .. }
            | Self::WorkspaceInUse { .. }
            | Self::Refused(_) => Kind::Conflict,
            Self::TraceOfAnother { .. } => Kind::Forbidden,
            Self::Otlp(error) => error.kind(),
            Self::Elsewhere(error) => error.kind(),
            Self::Store(store) => store.kind(),
            Self::Blob(blob) => blob.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Missing { thing, .. } => match thing {
                Thing::Experiment => "tracking.experiment_not_found",
                Thing::Run => "tracking.run_not_found",
                Thing::LoggedModel => "tracking.logged_model_not_found",
                Thing::RegisteredModel => "tracking.model_not_found",
                Thing::ModelVersion => "tracking.version_not_found",
                Thing::Alias => "tracking.alias_not_found",
                Thing::Artifact => "tracking.artifact_not_found",
                Thing::Tag => "tracking.tag_not_found",
                Thing::EvaluationDataset => "tracking.dataset_not_found",
                Thing::Scorer => "tracking.scorer_not_found",
                Thing::Webhook => "tracking.webhook_not_found",
                Thing::Trace => "tracking.trace_not_found",
                Thing::Assessment => "tracking.assessment_not_found",
                Thing::Workspace => "tracking.workspace_not_found",
            },
            Self::Exists { .. } => "tracking.already_exists",
            Self::Invalid { .. } => "tracking.invalid_value",
            Self::Filter(_) => "tracking.invalid_filter",
            Self::WrongLifecycle { .. } => "tracking.wrong_lifecycle",
            Self::ParamChanged { .. } => "tracking.param_changed",
            Self::Frozen { .. } => "tracking.artifact_frozen",
            Self::WorkspaceInUse { .. } => "tracking.workspace_in_use",
            Self::NotImplemented { .. } => "tracking.not_implemented",
            Self::Refused(refusal) => refusal.code(),
            Self::SpansMissing { .. } => "tracking.spans_missing",
            Self::TraceOfAnother { .. } => "tracking.trace_of_another",
            Self::Otlp(error) => error.code(),
            Self::Elsewhere(error) => error.code(),
            Self::Store(store) => store.code(),
            Self::Blob(blob) => blob.code(),
        }
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Missing { nearest: Some(nearest), .. } => Some(format!("did you mean {nearest}?").into()),
            Self::WrongLifecycle { wanted: "active", .. } => Some("restore it first".into()),
            Self::ParamChanged { .. } => Some("changing param values is not allowed: start a new run".into()),
            Self::Frozen { .. } => Some("log a new model, or take the alias away first".into()),
            Self::WorkspaceInUse { .. } => {
                Some("remove or rename them, or delete it with the mode CASCADE or SET_DEFAULT".into())
            }
            Self::Refused(refusal) => refusal.hint(),
            Self::Otlp(error) => error.hint(),
            Self::Elsewhere(error) => error.hint(),
            Self::Store(store) => store.hint(),
            Self::Blob(blob) => blob.hint(),
            _ => None,
        }
    }
}
