//! The metadata database, in SQLite or PostgreSQL. The only crate that uses rusqlite and sqlx.
//!
//! - `database`: opening, reading, writing
//! - `sqlite`, `postgres`: the engines: connections, values, what their errors mean
//! - `statement`: what their statements have in common
//! - `home`: which data folder a database belongs to
//! - `moving`: from SQLite to PostgreSQL
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
//! | `TEXT` | text without the character NUL, names, digests, JSON | `TEXT COLLATE "C"`: ordered by its bytes, as in SQLite |
//! | `BLOB` | bytes | written `BYTEA` there by this crate |
//!
//! PostgreSQL is the stricter one: a text is never compared with a number, a sum of integers is cast back (`CAST(SUM(n) AS BIGINT)`),
//! `LIKE` distinguishes upper and lower case there and not in SQLite (compare `lower(…)`), and after a failed statement nothing
//! but a rollback is possible.
//!
//! A table that is defined `WITHOUT ROWID` lies in the order of its primary key on SQLite; PostgreSQL is not told of it.
//!
//! Ids are texts that the caller makes (there is no AUTOINCREMENT or SERIAL that both speak).
#![deny(missing_docs)]

pub mod audit;
mod database;
mod error;
mod home;
pub mod jobs;
mod migration;
mod moving;
mod postgres;
mod row;
mod sqlite;
mod statement;
mod transaction;
mod value;

pub use database::Store;
pub use error::{Cause, StoreError};
pub use migration::Migration;
pub use moving::{Moved, move_to_postgres};
pub use row::Row;
pub use transaction::{Change, Transaction};
pub use value::SqlValue;
