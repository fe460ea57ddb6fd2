//! The online store: the state of features, by key, fast to read and changed in atomic batches; and its read copy elsewhere.
//!
//! This crate decides how the [`Space`]s share one store: a [`Batch`] changes all of them at once or not at all, a
//! [`Snapshot`] sees all of them at one moment. A committed batch survives the death of the process, one that is
//! [committed soon](OnlineStore::commit_soon) does so after a moment; both survive the loss of power after
//! [`OnlineStore::persist`]. Without that, the store comes back as some earlier whole batch left it, and its owner goes on
//! from the offset that it keeps in [`Space::Progress`]. What is [committed apart](OnlineStore::commit_apart) may be there before
//! earlier batches are.
//!
//! All calls block: a read for microseconds when the block is cached, a commit for longer while the store catches up
//! with a burst of writes.
//!
//! - `store`: opening, committing, persisting
//! - `engine`: what is in files, and the order in which batches get there; `overlay`: what is visible and not there yet
//! - `snapshot`: reading at one moment
//! - `batch`: changes that belong together
//! - `space`: the parts of the store
//! - `copy`: rows of the store in Redis or Valkey, for readers elsewhere
//! - `options`, `error`: the sizes, and what can go wrong

#![deny(missing_docs)]

mod batch;
pub mod copy;
mod engine;
mod error;
mod options;
mod overlay;
mod snapshot;
mod space;
mod store;

pub use batch::Batch;
pub use error::OnlineError;
pub use options::OnlineOptions;
pub use snapshot::Snapshot;
pub use space::Space;
pub use store::OnlineStore;
