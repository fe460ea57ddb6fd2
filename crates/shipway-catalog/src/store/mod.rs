//! The tables of the catalog. No SQL elsewhere in this crate.

mod revisions;

pub(crate) use revisions::{MIGRATIONS, NewRevision, Revision, end, in_force, load, record};
