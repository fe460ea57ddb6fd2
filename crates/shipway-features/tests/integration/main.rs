//! The feature platform on a real log, online store, lake and database in a folder of its own. Every value is compared with
//! the naive oracle.
//!
//! - `world`: a server that can die and come back
//! - `accepting`: what ingest takes, refuses and sets aside
//! - `reading`: what a read promises
//! - `read_copy`: readers of a copy answer as its owner does
//! - `loading`: bulk loads, and views that come after the fact
//! - `backfill`: views that are built beside the live flow, and built anew
//! - `waiting`: messages of brokers wait while the states are too far behind
//! - `selecting`: sources that are selected from other ones
//! - `batch`: history that lies elsewhere
//! - `chains`: views that stand on other views
//! - `corrections`: events that take the place of earlier ones
//! - `costing`: what building a view would cost, and what a dropped source takes
//! - `sinks`: rows for whoever they are sent on to
//! - `stored`: training sets that are kept, as jobs, and made again
//! - `http`: the native API
//! - `decimals`: exact numbers on every way in and out
//! - `differential`: random definitions on random streams, every path against the oracle
//! - `expressions`: conditions, derived and computed columns
//! - `online`: reads beyond one row of JSON
//! - `grpc`: the gRPC service
//! - `feast`: Feast's feature-server protocol
//! - `random`: random events, deaths and reads against the oracle
//! - `measuring`: how fast it is, for people
//! - `offline`: training sets
//! - `proof`: replay of what was served
//! - `upgrade`: what earlier releases left behind
//! - `upkeep`: history keeps itself healthy
//! - `querying`: SQL with training sets in it

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop with the error")]

mod accepting;
mod backfill;
mod batch;
mod begin_anew;
mod chains;
mod corrections;
mod costing;
mod decimals;
mod deliveries;
mod differential;
mod expressions;
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
mod read_copy;
mod reading;
mod selecting;
mod sinks;
mod stored;
mod upgrade;
mod upkeep;
mod waiting;
mod world;
