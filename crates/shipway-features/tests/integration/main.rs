//! The feature platform on a real log, online store, lake and database in a folder of its own. Every value is compared with
//! the naive oracle.
//!
//! - `world`: a server that can die and come back
//! - `accepting`: what ingest takes, refuses and sets aside
//! - `reading`: what a read promises
//! - `loading`: bulk loads, and views that come after the fact
//! - `stored`: training sets that are kept, as jobs, and made again
//! - `http`: the native API
//! - `differential`: random definitions on random streams, every path against the oracle
//! - `online`: reads beyond one row of JSON
//! - `grpc`: the gRPC service
//! - `feast`: Feast's feature-server protocol
//! - `random`: random events, deaths and reads against the oracle
//! - `measuring`: how fast it is, for people
//! - `offline`: training sets
//! - `proof`: replay of what was served
//! - `upkeep`: history keeps itself healthy
//! - `querying`: SQL with training sets in it

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop with the error")]

mod accepting;
mod differential;
mod feast;
mod grpc;
mod http;
mod loading;
mod measuring;
mod offline;
mod online;
mod proof;
mod querying;
mod random;
mod reading;
mod stored;
mod upkeep;
mod world;
