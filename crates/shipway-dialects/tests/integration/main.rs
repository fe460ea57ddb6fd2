//! The public face of the crate.
//!
//! - `heads`: heads of requests, and rewriting; `forms` those that are forms
//! - `streams`: frames and what they mean, however they are cut
//! - `texts`: where texts stand
//! - `usages`, `prices`: what was used and what it costs
//! - `failures`: errors and headers in each dialect
//! - `goldens`: translation, trap by trap
//! - `counts`: the counting of tokens, across APIs
//! - `embeddings`: embeddings, across APIs
//! - `round_trips`: what a model said and thought comes back to it as it was, over every client's dialect
//! - `hostile`: what no translator may do, whatever comes in
//! - `measuring`: how long it takes, for people

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop with the error")]

mod counts;
mod embeddings;
mod failures;
mod forms;
mod goldens;
mod heads;
mod hostile;
mod measuring;
mod prices;
mod round_trips;
mod said;
mod streams;
mod texts;
mod usages;
