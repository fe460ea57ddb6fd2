//! History and SQL: Delta tables in a local folder, readable by any Delta reader, and the set-up of DataFusion.
//!
//! This crate decides how rows reach a table exactly once, what a file must look like to be loaded, and what a query may
//! do. It is the only user of `deltalake`.
//!
//! - `name`: which names a table may have, so that a client's string never becomes a path
//! - `lake`: the handle that everybody holds: open, list, describe, drop
//! - `table`: one table of the process: its newest snapshot and the lock around commits
//! - `evolve`: creating a table and adding columns to it
//! - `append`: writing a stream of batches as one commit, once
//! - `durable`: makes written files outlive a power cut
//! - `maintain`: joining and sorting files, removing files and log entries that no version needs
//! - `session`: memory, spilling, and the sessions that queries run in
//! - `catalog`: resolves a table's name to its newest version while a query is planned
//! - `query`: read-only SQL
//! - `conform`: converts batches to a declared schema without losing anything
//! - `files`: CSV, JSON lines and Parquet in, Parquet out
//! - `error`: what can go wrong
#![deny(missing_docs)]

mod append;
mod catalog;
mod conform;
mod durable;
mod error;
mod evolve;
pub mod files;
mod lake;
mod maintain;
mod name;
mod query;
mod session;
mod table;

pub use append::{AppTransaction, AppendOptions, Appended};
pub use error::{BadRow, LakeError, RowUnit};
pub use lake::{Lake, LakeOptions, TableSummary};
pub use maintain::{Compacted, Effort, Maintained, SHORTEST_RETENTION, Upkeep};
pub use name::check_table_name;

/// The one time zone that timestamps are stored in.
pub const UTC: &str = "UTC";

/// The Arrow type of every stored timestamp: microseconds UTC.
pub fn timestamp_type() -> arrow::datatypes::DataType {
    arrow::datatypes::DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, Some(UTC.into()))
}

/// The Arrow type that holds values of `data_type` in a table.
pub fn arrow_type(data_type: shipway_core::DataType) -> arrow::datatypes::DataType {
    use arrow::datatypes::DataType as Arrow;
    use shipway_core::DataType;
    match data_type {
        DataType::Bool => Arrow::Boolean,
        DataType::Int => Arrow::Int64,
        DataType::Float => Arrow::Float64,
        DataType::Text => Arrow::Utf8,
        DataType::Timestamp => timestamp_type(),
    }
}
