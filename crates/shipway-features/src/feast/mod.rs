//! Feast's feature-server protocol: the routes that its Python client calls when its online store is `remote`.
//!
//! A feature view of theirs is a view of ours under the same name, a feature service of theirs a service, and a push source
//! a source. Nothing is decided here: requests become reads and events.
//!
//! - `read`: `POST /get-online-features`
//! - `write`: `POST /push` and `POST /write-to-online-store`
//! - `frame`: a data frame as these bodies carry it
//! - `error`: the body of a refusal, which their client turns back into an exception
//!
//! `GET /health` is there already: the tracking wire has the same route with the same meaning.

mod error;
mod frame;
mod read;
mod write;

use shipway_core::{Permission, ResourceType};
use shipway_web::Routes;

use crate::{Features, read::Reads};

/// The routes of this wire that read.
pub(crate) fn read_routes(reads: Reads) -> Routes<()> {
    Routes::new()
        .post("/get-online-features", Permission::Use, read::get_online_features)
        .with_problem_renderer(error::render)
        .with_state(reads)
}

/// The routes of this wire that bring events.
pub(crate) fn write_routes(platform: Features) -> Routes<()> {
    let ingest_bytes = platform.limits().ingest_bytes as u64;
    Routes::new()
        .post_with_limit("/push", Permission::Write, ingest_bytes, write::push)
        .post_with_limit(
            "/write-to-online-store",
            Permission::Write,
            ingest_bytes,
            write::write_to_online_store,
        )
        .about(ResourceType::Source)
        .with_problem_renderer(error::render)
        .with_state(platform)
}
