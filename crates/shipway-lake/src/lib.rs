//! History and SQL: Delta tables in a local folder, readable by any Delta reader, and the set-up of DataFusion.
//!
//! This crate decides how rows reach a table exactly once, what a file must look like to be loaded, and what a query may
//! do. It is the only user of `deltalake`.
//!
//! - `name`: which names a table may have, so that a client's string never becomes a path
//! - `lake`: the handle that everybody holds: open, list, describe, drop
//! - `table`: one table of the process: its newest snapshot and the lock around commits
//! - `extent`: how much of a table a read has to look at
//! - `evolve`: creating a table and adding columns to it
//! - `append`: writing a stream of batches as one commit, once
//! - `durable`: makes written files outlive a power cut
//! - `maintain`: joining and sorting files, removing files and log entries that no version needs
//! - `memory`: the memory that queries share
//! - `session`: spilling, and the sessions that queries run in
//! - `catalog`: resolves a table's name to its newest version while a query is planned
//! - `query`: read-only SQL
//! - `versions`: tables and queries as they were; `added` what each version added
//! - `publish`: a table that appears whole or not at all
//! - `conform`: converts batches to a declared schema without losing anything
//! - `files`: CSV, JSON lines and Parquet in, Parquet out
//! - `outside`: files and tables of somebody else, read where they lie
//! - `values`: values as Arrow arrays; `decimals` exact decimals out of narrower ones
//! - `error`: what can go wrong
#![deny(missing_docs)]

mod added;
mod append;
mod catalog;
mod conform;
mod decimals;
mod durable;
mod error;
mod evolve;
mod extent;
pub mod files;
mod lake;
mod maintain;
mod memory;
mod name;
mod outside;
mod publish;
mod query;
mod session;
mod table;
mod values;
mod versions;

pub use added::{AddedPart, Identity};
pub use append::{AppTransaction, AppendOptions, Appended};
pub use decimals::{decimal_of, decimal_type, exact_decimals, may_be_decimals};
pub use error::{BadRow, LakeError, RowUnit};
pub use extent::Extent;
pub use lake::{Lake, LakeOptions, TableSummary};
pub use maintain::{Compacted, Effort, Maintained, SHORTEST_RETENTION, Upkeep};
pub use name::check_table_name;
pub use outside::{
    CopiedFile, OutsideError, OutsideFile, OutsideOptions, OutsideTable, S3Credentials, S3Options, TablePart,
};
pub use publish::Existing;
pub use values::{array_of, arrow_type, list_field, map_field, value_at};
pub use versions::{is_repeatable, tables_of};

/// The one time zone that timestamps are stored in.
pub const UTC: &str = "UTC";

/// The Arrow type of every stored timestamp: microseconds UTC.
pub fn timestamp_type() -> arrow::datatypes::DataType {
    arrow::datatypes::DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, Some(UTC.into()))
}
