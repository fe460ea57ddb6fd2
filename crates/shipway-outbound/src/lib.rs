//! Requests to addresses that somebody else words: webhooks, images and documents of calls.
//!
//! A request that somebody else words and this machine sends could read what only this machine can reach: metadata services, databases,
//! other services on loopback. So it goes to addresses of the public internet, and to hosts that the operator allows by name; names are
//! looked up once, what they resolve to is checked, and the connection goes to the very addresses that were checked.
//!
//! - `address`: which addresses may be reached; pure
//! - `lookup`: what hosts resolve to
//! - `fetch`: something small that lies at such an address

#![deny(missing_docs)]

mod address;
mod fetch;
mod lookup;

pub use address::{Allowed, NotPublic, Refused, Target};
pub use fetch::{Bounds, Fetched, Fetcher, Held, NotFetched};
pub use lookup::{CheckedLookup, NotReachable, look_up};
