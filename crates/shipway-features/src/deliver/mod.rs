//! Messages of brokers come in: each exactly once, in the order of its partition, whatever happens in between.
//!
//! A message and its position are one record of the log, so neither can be there without the other. Where a source stands is
//! stored with its states and caught up from the log, never asked of the broker. What is no event of the source is a dead letter:
//! it goes into the log in the message's place, and from there to a table of its own.
//!
//! - `delivery`: what is handed in, and what became of it
//! - `feeds`: where every partition stands, and who may deliver of it
//! - `accept`: the use case
//! - `room`: how far the log may run ahead of the states
//! - `letters`: dead letters, read again after their fault was mended

mod accept;
mod delivery;
mod feeds;
mod letters;
mod room;

pub use delivery::{Delivery, Message, Rejection, TakenIn};
pub(crate) use feeds::Feeds;
pub use letters::WaitingLetter;
