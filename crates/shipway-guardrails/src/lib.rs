//! What texts must not hold: detectors, and what is put in the place of what they find. Pure: text in, findings out; no I/O, no clock.
//!
//! Everything is found by regular expressions that take time in proportion to the text, and by checks of what they found: digits that
//! must add up, hosts that are allowed. Schemas are judged in a bounded number of steps. So no text, whoever wrote it, holds up a call.
//!
//! - `detector`: what is looked for, as definitions write it
//! - `find`: findings in one text
//! - `personal`, `secret`, `unicode`, `host`: the detectors that are built in
//! - `schema`: texts that must be JSON of a shape
//! - `judge`: another model that is asked, as definitions write it; asking is for others
//! - `alive`: from where on the end of a text may become part of a finding
//! - `window`: findings in a text that comes in pieces
//! - `vault`: placeholders and what they stand for

#![deny(missing_docs)]

mod alive;
mod detector;
mod find;
mod host;
mod judge;
mod personal;
mod schema;
mod secret;
mod unicode;
mod vault;
mod window;

pub use detector::{
    BadDetector, Detector, FitsWhat, Hosts, Limits, Names, PersonalKind, SecretKind, UnicodeKind, lists_tool,
};
pub use find::{Finder, Finding};
pub use judge::{Classifier, Judge, OnFailure, Score};
pub use schema::{Misfit, TextSchema};
pub use vault::Vault;
pub use window::{Change, LONGEST_HELD_BYTES, Settled, Watched, Window};
