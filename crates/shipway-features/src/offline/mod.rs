//! Training sets: point-in-time-correct joins of a spine with the features of a service.
//!
//! The spine is read once, in order, and kept (spilled to disk when large). Then view after view is answered. Where the events
//! in reach fit the memory of queries, they are grouped by key as they are scanned, and each group is answered by itself
//! ([`grouped`]). Otherwise, and for lists, labels and rows with watermarks, a view is one plan: spine rows and events, each partitioned by a hash of their entity key and sorted by (hash, time), meet in
//! [`point_in_time::PointInTimeExec`], our own operator, which sweeps both with sliding windows and answers one row for
//! each spine row; a sort by spine position puts the answers back in order; at last all views are zipped with the spine
//! by position. Memory is bounded by the lake session's pool: the sorts and the spine spill.
//!
//! - `request`: what a caller asks for, and the engine's settings
//! - `error`: everything that can be refused or fail
//! - `training_set`: the way of a request: plan, keep the spine, start the views, zip
//! - `view_plan`: a view of the definitions, resolved for the engine
//! - `canonical`, `column`: Arrow arrays as the types of features
//! - `keys`: entity keys as bytes, their hash, and the sort order of the sweep
//! - `kept`: batches kept in memory or on disk; `spine`: the spine, kept; `spine_rows`: its rows as one view sees them
//! - `events`: the events of a source as one view sees them; `expressions`: which count, and what is derived from them
//! - `event_rows`, `enrich`: the events of chained views, asked for what other views gave them
//! - `point_in_time`: the operator; `sweep`: its merge of rows and events; `aggregates`, `latest`: the state of one key
//! - `grouped`: the same answers in memory, without the sorts
//! - `labels`: what came after a row, swept like a view; `shelf`: answers kept across requests and restarts
//! - `zip`: the views put beside the spine again; `computed`: the service's computed columns, behind them

mod aggregates;
mod canonical;
mod column;
mod computed;
mod corrected;
mod enrich;
mod error;
mod event_rows;
mod events;
mod expressions;
mod grouped;
mod kept;
mod keys;
mod labels;
mod latest;
mod point_in_time;
mod request;
mod shelf;
mod spine;
mod spine_rows;
mod sweep;
mod training_set;
mod view_plan;
mod zip;

pub(crate) use canonical::{canonical, is_readable_as};
pub(crate) use column::Column;
pub(crate) use corrected::remaining;
pub(crate) use enrich::{AskingEvent, Enriched, Enricher};
pub use error::OfflineError;
pub(crate) use keys::hash as hash_of_key;
pub use labels::{Label, LabelKeys};
pub use request::{AsOf, EngineSettings, Pins, TrainingSetRequest};
pub(crate) use shelf::{ENGINE_VERSION, Shelf};
pub(crate) use training_set::{Keeping, ViewDone, training_set_over};
pub use training_set::{training_set, training_set_schema, training_set_with};
pub(crate) use view_plan::{ViewPlan, plan_inner};
