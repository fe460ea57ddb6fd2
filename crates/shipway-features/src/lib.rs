//! Decides what a feature's value is, live and in history, and proves that both are the same.
//!
//! - `features`: the handle that the binary opens: starts and stops the work of every source
//! - `source`: what is running for one source
//! - `options`: what it needs and its documented bounds
//! - `error`: everything that can be refused or fail, with stable codes
//! - `model`: events, log records, source schemas, tokens: types valid by construction
//! - `deliver`: messages of brokers come in, each exactly once
//! - `select`: sources whose events are selected from those of another one
//! - `ingest`: events come in: checked, told apart from their duplicates, appended to the log
//! - `materialise`: the consumer that keeps the online state of every key
//! - `archive`: the consumer that writes history to Delta tables
//! - `backfill`: states of views are built from history beside the live flow, and checked against it
//! - `batch`: history that lies elsewhere, loaded as it comes
//! - `load`: files come in, in bulk, exactly once
//! - `state`: the packed state of one key: tiles, recent events, and exact answers from them
//! - `read`: online reads
//! - `read_copy`: the states of one server in Redis or Valkey, and readers that answer from there
//! - `training`: training sets by name
//! - `query`: SQL over the tables, with training sets as a table function
//! - `stored`: training sets that are kept, with their recipes; as jobs; made again
//! - `cost`: what building a view would cost
//! - `sink`: rows for whoever they are sent on to
//! - `status`: how far every source is; `tally` what came to it
//! - `offline`: training sets
//! - `proof`: replay of what was served against history
//! - `verification`: the proof for one deployment
//! - `store`: this crate's SQL tables
//! - `spans`: what a collector of OpenTelemetry is told of reads, training sets and jobs
//! - `upkeep`: history keeps itself healthy
//! - `flight`: Arrow Flight SQL
//! - `routes`: the native API
//! - `grpc`: the same over gRPC
//! - `feast`: Feast's feature-server protocol

#![deny(missing_docs)]

mod archive;
mod backfill;
mod batch;
mod cost;
mod deliver;
pub mod error;
mod feast;
mod features;
mod flight;
pub mod grpc;
mod ingest;
mod load;
mod materialise;
mod model;
pub mod offline;
mod options;
pub mod proof;
mod query;
mod read;
mod read_copy;
mod routes;
mod select;
mod sink;
mod source;
mod spans;
mod state;
mod status;
mod store;
mod stored;
mod tally;
mod training;
mod upkeep;
mod verification;

pub use backfill::{BACKFILL_JOB, BuildRecord, ServiceDemand, StateStatus, ViewBuild, ViewCare, ViewState};
pub use batch::{BATCH_JOB, BatchCounts, BatchError, BatchProblem, BatchStatus, Looked};
pub use cost::BuildCost;
pub use deliver::{Delivery, Message, Rejection, TakenIn, WaitingLetter};
pub use error::FeaturesError;
pub use features::Features;
pub use ingest::{Events, IngestAnswer, Refused};
pub use load::{LoadAnswer, LoadRequest};
pub use model::{
    origin::Feed,
    schema::{ARRIVAL_COLUMN, EVENT_ID_COLUMN, LOAD_COLUMN, RECEIVED_COLUMN},
    token::Token,
};
pub use options::{FeaturesOptions, Limits};
pub use query::Planned;
pub use read::{AnsweredRow, Columns, ReadAnswer, ReadRequest, ViewFreshness};
pub use read_copy::{CopiedSource, CopyRole, CopyStatus, FeatureReader, FullCopy, ReaderOptions};
pub use routes::{reader_routes, routes};
pub use select::{SelectionState, SelectionStatus};
pub use sink::{LeftOut, SinkOrigin, SinkRows, SinkRun, SinkSpec, SinkStanding, SinkUnit};
pub use status::{HotKeyStatus, SourceStatus, ViewStatus};
pub use stored::{
    KeptTrainingSet, Rebuilt, Recipe, RecipeAsOf, RecipeSource, RecipeSpine, StoreOptions, StoredError,
    StoredTrainingSet, TRAINING_SET_JOB,
};
pub use tally::{Readable, Received};
pub use training::{ArrivalRule, Spine, TrainingSet, TrainingSetStream};
pub use upkeep::TableUpkeep;
pub use verification::{ServedVectorLog, Verification, VerificationSchedule};
