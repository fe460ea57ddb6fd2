//! What serving refuses, and what can fail while it answers.

use std::{borrow::Cow, time::Duration};

use shipway_core::{DataType, Digest, Failure, Kind};
use shipway_lake::LakeError;
use shipway_runtime::RuntimeError;
use shipway_store::StoreError;

use crate::{ensemble::error::EnsembleError, ports::PortFailure};

/// Why a deployment or a prediction was refused or failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServingError {
    /// The name is not one that a deployment can have.
    #[error("`{name}` cannot name a deployment: {reason}")]
    WrongName {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no such deployment.
    #[error("deployment `{name}` does not exist")]
    UnknownDeployment {
        /// The name asked for.
        name: String,
        /// The deployment whose name is most like it.
        nearest: Option<String>,
    },
    /// The deployment exists, and its model has never loaded.
    #[error("deployment `{name}` has no model loaded: {reason}")]
    NotLoaded {
        /// The deployment.
        name: String,
        /// Why its model does not load.
        reason: String,
    },
    /// The version asked for is not the one that is served.
    #[error("deployment `{name}` serves version {served}, not {wanted}")]
    OtherVersion {
        /// The deployment.
        name: String,
        /// The version asked for.
        wanted: String,
        /// The version served.
        served: u64,
    },
    /// A launch of the deployment goes on already.
    #[error("version {candidate} is being launched in deployment `{name}`")]
    LaunchGoesOn {
        /// The deployment.
        name: String,
        /// The version that is launched.
        candidate: u64,
    },
    /// There is no launch of the deployment.
    #[error("deployment `{0}` has no launch")]
    NoLaunch(String),
    /// The candidate of a launch does not take what the version that serves takes.
    #[error("version {candidate} does not take what version {stable} takes: {what}")]
    OtherInputs {
        /// The version that was to be launched.
        candidate: u64,
        /// The version that serves.
        stable: u64,
        /// The first difference.
        what: String,
    },
    /// The models that cannot make room leave too little memory for this one.
    #[error(
        "model `{model}` version {version} has {bytes} bytes; models may take {budget}, and no more of them can make room"
    )]
    NoModelMemory {
        /// The model.
        model: String,
        /// Its version.
        version: u64,
        /// The size of its files.
        bytes: u64,
        /// What models may take.
        budget: u64,
    },
    /// The model needs columns that the feature service does not give.
    #[error("service `{service}` does not give what model `{model}` version {version} needs: {missing}")]
    ColumnsMissing {
        /// The service.
        service: String,
        /// The model.
        model: String,
        /// Its version.
        version: u64,
        /// The columns, each with the nearest one that the service gives.
        missing: String,
    },
    /// A column that the model compares as a number is text or a time.
    #[error("model `{model}` compares `{column}` as a number; the service gives {data_type}")]
    NotANumber {
        /// The model.
        model: String,
        /// The column.
        column: String,
        /// What the service gives.
        data_type: DataType,
    },
    /// A column that the model takes is a list or a map.
    #[error("model `{model}` takes one value of `{column}` for each row; the service gives {data_type}")]
    NotASingleValue {
        /// The model.
        model: String,
        /// The column.
        column: String,
        /// What the service gives.
        data_type: DataType,
    },
    /// The version is pinned to something that is not a digest.
    #[error("model `{model}` version {version} has a tag shipway.service_hash that is no digest")]
    WrongPin {
        /// The model.
        model: String,
        /// Its version.
        version: u64,
        /// The digest's own complaint.
        #[source]
        source: shipway_core::digest::NotADigest,
    },
    /// The features came from another version of the service than the one that was asked for.
    #[error("features came from version {got} of the service, not from {expected}")]
    OtherService {
        /// Short digest of the version that was expected.
        expected: String,
        /// Short digest of the version that answered.
        got: String,
    },
    /// The model's file is larger than what is loaded into memory.
    #[error("file `{file}` has {bytes} bytes; at most {limit} are loaded")]
    ModelTooLarge {
        /// The file.
        file: String,
        /// Its size.
        bytes: u64,
        /// The bound.
        limit: u64,
    },
    /// The version does not answer its golden inputs as it must.
    #[error("model `{model}` version {version} does not answer its golden inputs: {reason}")]
    GoldenMismatch {
        /// The model.
        model: String,
        /// Its version.
        version: u64,
        /// The first difference, or what is wrong with the file.
        reason: String,
    },
    /// A model's file did not arrive as it was recorded.
    #[error("file `{file}` of model `{model}` has another content than recorded")]
    FileChanged {
        /// The model.
        model: String,
        /// The file.
        file: String,
        /// The digest that was recorded.
        expected: Digest,
    },
    /// The request has no rows, or more than one may have.
    #[error("a prediction takes 1 to {limit} rows, got {got}")]
    RowCount {
        /// The rows that came.
        got: usize,
        /// The bound.
        limit: usize,
    },
    /// Something in the request does not fit the deployment.
    #[error("{0}")]
    WrongRequest(String),
    /// A value in a row does not fit its column.
    #[error("row {row}: column `{column}`: {reason}")]
    WrongValue {
        /// Position in the request, from 0.
        row: usize,
        /// The column.
        column: String,
        /// What is wrong.
        reason: String,
    },
    /// The request has more bytes, unpacked, than it may have.
    #[error("the request has more than {limit} bytes when it is unpacked")]
    TensorsTooLarge {
        /// The bound.
        limit: u64,
    },
    /// The deployment's model does not embed texts.
    #[error("deployment `{0}` does not embed texts")]
    NoEmbeddings(String),
    /// The deployment's model does not classify texts.
    #[error("deployment `{0}` does not classify texts")]
    NoScores(String),
    /// Texts have more parts than are looked at.
    #[error("the texts have more than {limit} parts that the model takes at once")]
    TooManyWindows {
        /// The bound.
        limit: usize,
    },
    /// A text has more tokens than the model takes.
    #[error("input {input} has {tokens} tokens; the model takes at most {limit}")]
    TooManyTokens {
        /// Position in the request, from 0.
        input: usize,
        /// Its tokens, those around it included.
        tokens: usize,
        /// The bound.
        limit: usize,
    },
    /// Too many requests wait for the model.
    #[error("{waiting} requests wait for the model; at most {limit} may")]
    QueueFull {
        /// How many wait.
        waiting: usize,
        /// How many may.
        limit: usize,
    },
    /// The model would not come to the request, or did not, within the time that it may wait.
    #[error("{}", too_late(*waited, *timeout))]
    TooLate {
        /// How long it has waited; zero when it was turned away at once.
        waited: Duration,
        /// How long it may wait.
        timeout: Duration,
    },
    /// Running the model broke down: a defect.
    #[error("running the model broke down")]
    ModelFailed,
    /// The deployment was taken out of service by hand.
    #[error("deployment `{0}` is unloaded")]
    Unloaded(String),
    /// The prediction log takes no more rows because its table cannot be written.
    #[error("the prediction log is full and cannot be written")]
    LogFull,
    /// Rows of the prediction log could not be written.
    #[error("{rows} rows of the prediction log are not written: {reason}")]
    LogNotWritten {
        /// The rows that still wait.
        rows: usize,
        /// Why.
        reason: String,
    },
    /// The prediction log cannot be read.
    #[error("the prediction log cannot be read: {0}")]
    LogUnreadable(String),
    /// The server is going down.
    #[error("serving is shutting down")]
    ShuttingDown,
    /// Batches of the prediction log do not fit their schema: a defect.
    #[error("prediction log: {0}")]
    LogBatch(String),
    /// An ensemble was refused, or did not answer.
    #[error(transparent)]
    Ensemble(#[from] EnsembleError),
    /// The model cannot be loaded or refused the rows.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The metadata database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A Delta table failed.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// Models or features failed behind their port.
    #[error(transparent)]
    Port(#[from] PortFailure),
}

fn too_late(waited: Duration, timeout: Duration) -> String {
    if waited.is_zero() {
        format!(
            "what waits for the model already takes longer than the {timeout:?} that this request may wait"
        )
    } else {
        format!("the request has waited {waited:.1?} for the model; it may wait {timeout:?}")
    }
}

impl Failure for ServingError {
    fn kind(&self) -> Kind {
        match self {
            Self::UnknownDeployment { .. } | Self::OtherVersion { .. } | Self::NoLaunch(_) => Kind::NotFound,
            Self::NotLoaded { .. } | Self::LogFull | Self::LogNotWritten { .. } | Self::ShuttingDown => {
                Kind::Unavailable
            }
            Self::ColumnsMissing { .. }
            | Self::NotANumber { .. }
            | Self::NotASingleValue { .. }
            | Self::WrongPin { .. }
            | Self::OtherService { .. }
            | Self::LaunchGoesOn { .. }
            | Self::OtherInputs { .. }
            | Self::FileChanged { .. }
            | Self::GoldenMismatch { .. } => Kind::Conflict,
            Self::RowCount { got: 0, .. } => Kind::Invalid,
            Self::RowCount { .. }
            | Self::ModelTooLarge { .. }
            | Self::TensorsTooLarge { .. }
            | Self::TooManyWindows { .. } => Kind::TooLarge,
            Self::WrongName { .. }
            | Self::WrongRequest(_)
            | Self::WrongValue { .. }
            | Self::NoEmbeddings(_)
            | Self::NoScores(_)
            | Self::TooManyTokens { .. } => Kind::Invalid,
            Self::QueueFull { .. } | Self::TooLate { .. } => Kind::Exhausted,
            Self::NoModelMemory { .. } => Kind::Unavailable,
            Self::Unloaded(_) => Kind::Unavailable,
            Self::LogBatch(_) | Self::LogUnreadable(_) | Self::ModelFailed => Kind::Internal,
            Self::Ensemble(error) => error.kind(),
            Self::Runtime(error) => error.kind(),
            Self::Store(error) => error.kind(),
            Self::Lake(error) => error.kind(),
            Self::Port(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::WrongName { .. } => "serving.wrong_name",
            Self::UnknownDeployment { .. } => "serving.unknown_deployment",
            Self::NotLoaded { .. } => "serving.not_loaded",
            Self::OtherVersion { .. } => "serving.other_version",
            Self::LaunchGoesOn { .. } => "serving.launch_goes_on",
            Self::NoLaunch(_) => "serving.no_launch",
            Self::NoModelMemory { .. } => "serving.no_model_memory",
            Self::OtherInputs { .. } => "serving.other_inputs",
            Self::ColumnsMissing { .. } => "serving.columns_missing",
            Self::NotANumber { .. } => "serving.not_a_number",
            Self::NotASingleValue { .. } => "serving.not_a_single_value",
            Self::WrongPin { .. } => "serving.wrong_pin",
            Self::OtherService { .. } => "serving.other_service",
            Self::ModelTooLarge { .. } => "serving.model_too_large",
            Self::FileChanged { .. } => "serving.file_changed",
            Self::GoldenMismatch { .. } => "serving.golden_mismatch",
            Self::RowCount { .. } => "serving.row_count",
            Self::WrongRequest(_) => "serving.wrong_request",
            Self::WrongValue { .. } => "serving.wrong_value",
            Self::TensorsTooLarge { .. } => "serving.tensors_too_large",
            Self::NoEmbeddings(_) => "serving.no_embeddings",
            Self::NoScores(_) => "serving.no_scores",
            Self::TooManyWindows { .. } => "serving.too_many_windows",
            Self::TooManyTokens { .. } => "serving.too_many_tokens",
            Self::QueueFull { .. } => "serving.queue_full",
            Self::TooLate { .. } => "serving.too_late",
            Self::ModelFailed => "serving.model_failed",
            Self::Unloaded(_) => "serving.unloaded",
            Self::LogFull => "serving.log_full",
            Self::LogNotWritten { .. } => "serving.log_not_written",
            Self::ShuttingDown => "serving.shutting_down",
            Self::LogBatch(_) => "serving.log_batch",
            Self::LogUnreadable(_) => "serving.log_unreadable",
            Self::Ensemble(error) => error.code(),
            Self::Runtime(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Lake(error) => error.code(),
            Self::Port(error) => error.code(),
        }
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::UnknownDeployment { nearest: Some(nearest), .. } => {
                Some(format!("did you mean `{nearest}`?").into())
            }
            Self::UnknownDeployment { nearest: None, .. } => Some("shipway deploy creates one".into()),
            Self::ColumnsMissing { .. } => Some(
                "train on columns of the service, or deploy with the service that the model was trained on"
                    .into(),
            ),
            Self::LaunchGoesOn { name, .. } => {
                Some(format!("wait for it, or end it: DELETE /api/v1/deployments/{name}/launch").into())
            }
            Self::NoModelMemory { .. } => Some("give models more memory: `runtime.model_memory_mib`".into()),
            Self::NoLaunch(name) => Some(format!("shipway launch start {name} --alias ALIAS begins one").into()),
            Self::OtherInputs { .. } => Some("deploy it under a name of its own, where its callers ask for it".into()),
            Self::RowCount { got, .. } if *got > 0 => Some("send the rows in several requests".into()),
            Self::OtherVersion { .. } => Some("leave the version out to ask whichever is served".into()),
            Self::NoScores(_) => {
                Some("deploy, without a feature service, a classifier of texts as ONNX with its tokenizer.json".into())
            }
            Self::TooManyWindows { .. } => Some("send less text".into()),
            Self::NoEmbeddings(_) => {
                Some("deploy, without a feature service, an encoder as ONNX with its tokenizer.json".into())
            }
            Self::TooManyTokens { .. } => Some(
                "send it in parts, or set \"truncate\": true in the model's shipway_text.json".into(),
            ),
            Self::QueueFull { .. } => Some(
                "try again a little later, or deploy with more `queue.max_requests` or with `batching`".into(),
            ),
            Self::TooLate { .. } => Some(
                "try again a little later, or let it wait longer: `queue.timeout_ms` of the deployment, or the request's own timeout"
                    .into(),
            ),
            Self::Unloaded(name) => Some(format!("POST /v2/repository/models/{name}/load brings it back").into()),
            Self::LogFull => {
                Some("see `shipway status` for why the table cannot be written; it is tried again".into())
            }
            Self::Ensemble(error) => error.hint(),
            Self::Runtime(error) => error.hint(),
            Self::Store(error) => error.hint(),
            Self::Lake(error) => error.hint(),
            Self::Port(error) => error.hint(),
            _ => None,
        }
    }
}
