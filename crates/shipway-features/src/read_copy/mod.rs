//! The read copy: the online states of one server, its owner, in Redis or Valkey, and readers that answer from there.
//!
//! The owner writes whole rows, the very bytes of its store, each with the log offset at which it was written, and one *head*
//! for each bucket of the copy: which metadata hold, and up to which offset of each source the rows stand. A step changes the
//! rows of the keys that changed and the head at once. What cannot be told key by key (the first copy, a state that was built
//! anew, a bulk load, changes that nobody could write down) is copied beside, under numbers of its own, and takes the place of
//! what was read before in one step.
//!
//! A reader asks for rows and head together. Rows of one bucket are of one moment by themselves; those of several buckets are
//! brought to the earliest of their moments, which the offsets in the rows tell, or asked for again. A reader never takes a
//! copy that is lost, or not whole, for one without events.
//!
//! The owner:
//! - `changes`, `outbox`: which keys changed, noted by the materialiser
//! - `ledger`: what of one source is in the copy, and what is to be done; pure
//! - `buckets`: claiming the copy, and writing to it under the claim
//! - `publisher`: the task that does it, `stepping` one step, `piece` the rows on their way, `sweep` what is not needed any more
//! - `owner`: its handle
//! - `note`: what a clean stop leaves for the next start; `shown` what it tells people
//!
//! Both:
//! - `head`: the heads and rows, as bytes
//! - `metadata`: definitions and states, as readers need them
//! - `status`: how it is
//!
//! The reader:
//! - `known`: the metadata, loaded
//! - `fetch`: rows of several buckets become one moment, or not; pure
//! - `reader`: its handle

mod buckets;
mod changes;
mod fetch;
mod head;
mod known;
mod ledger;
mod metadata;
mod note;
mod outbox;
mod owner;
mod piece;
mod publisher;
mod reader;
mod shown;
mod status;
mod stepping;
mod sweep;

pub(crate) use changes::StateId;
pub(crate) use outbox::Outbox;
pub(crate) use owner::CopyOwner;
pub use reader::{FeatureReader, ReaderOptions};
pub use status::{CopiedSource, CopyRole, CopyStatus, FullCopy};
