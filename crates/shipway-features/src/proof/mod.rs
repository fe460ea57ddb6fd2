//! The proof that what was served is what history says: every logged vector is replayed and compared bit for bit.
//!
//! A served vector was logged with its keys, its moment, the hash of its service and, for each source, the watermark: the
//! events that were in it are exactly those with `arrival < watermark`. The offline engine answers the same question as
//! of that arrival. Equal bits are no difference, even where an event that came later would change the value now.
//!
//! - `verify`: reads, replays and judges
//! - `log`: the prediction log as a spine
//! - `compare`: served against replayed, cell by cell, and the cause of a difference
//! - `report`: what is told
//! - `error`: what cannot be proved at all, which is never a pass

mod compare;
mod error;
mod log;
mod report;
mod verify;

pub use error::ProofError;
pub use report::{Cause, Difference, VerificationReport, ViewCounts};
pub use verify::{LoadArrivals, MAX_VECTORS, verify};
