//! The metadata database: SQLite today, written so that PostgreSQL can take its place. The only crate that uses sqlx.
//!
//! - `database`: opening, reading, writing; one writer, a few readers
//! - `transaction`: a write transaction; dropped without a commit it leaves nothing behind
//! - `migration`: each crate brings its own tables, in order, once, and they may not change afterwards
//! - `value`: parameters, as they go in
//! - `row`: rows, as they come out
//! - `jobs`: work that outlives a request and a process
//! - `audit`: who changed what, in the same transaction as the change
//! - `error`: what can go wrong, by what the caller can do about it
//!
//! # The SQL that may be written
//! What SQLite and PostgreSQL both speak: placeholders `$1`, `$2`, …; `ON CONFLICT … DO UPDATE | NOTHING`; `RETURNING`;
//! common table expressions and window functions. Columns have one of four types:
//!
//! | written in a migration | holds | PostgreSQL |
//! |---|---|---|
//! | `BIGINT` | integers; times as microseconds in `…_us`; booleans as 0 and 1 | `BIGINT` |
//! | `DOUBLE PRECISION` | floats; never NaN, which SQLite cannot keep | `DOUBLE PRECISION` |
//! | `TEXT` | text, names, digests, JSON | `TEXT` |
//! | `BLOB` | bytes | written `BYTEA` there by this crate |
//!
//! Ids are texts that the caller makes (there is no AUTOINCREMENT or SERIAL that both speak).
#![deny(missing_docs)]

pub mod audit;
mod database;
mod error;
pub mod jobs;
mod migration;
mod row;
mod transaction;
mod value;

pub use database::Store;
pub use error::{Cause, StoreError};
pub use migration::Migration;
pub use row::Row;
pub use transaction::Transaction;
pub use value::SqlValue;
