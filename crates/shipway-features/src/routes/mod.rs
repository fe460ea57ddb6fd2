//! The native API of the feature platform, one file per resource. A handler extracts, calls one function, maps the answer.

pub(crate) mod arrow_stream;
mod features;
mod ingest;
mod sources;
mod sql;
mod status;
mod tables;
pub(crate) mod training_sets;
mod verify;
mod views;

use axum::response::{IntoResponse as _, Response};
use shipway_core::{Permission, ResourceType};
use shipway_web::{Problem, Routes};

use crate::{FeatureReader, Features, FeaturesError, feast, flight, grpc, read::Reads};

/// Every route of the feature platform.
pub fn routes(platform: Features) -> Routes<()> {
    let limits = platform.limits().clone();
    let of_sources = Routes::new()
        .post_with_limit(
            "/api/v1/ingest/{source}",
            Permission::Write,
            limits.ingest_bytes as u64,
            ingest::ingest,
        )
        .get("/api/v1/sources", Permission::Read, sources::list)
        .get("/api/v1/sources/{source}", Permission::Read, sources::show)
        .post("/api/v1/sources/{source}/refresh", Permission::Write, sources::refresh)
        .about(ResourceType::Source);
    let of_features = Routes::new()
        .get("/api/v1/features/hot", Permission::Read, features::hot)
        .get("/api/v1/features/status", Permission::Read, status::status)
        .get("/api/v1/features/views", Permission::Read, views::list)
        .get("/api/v1/features/builds", Permission::Read, views::builds)
        .post("/api/v1/features/views/{view}/rebuild", Permission::Write, views::rebuild)
        .about(ResourceType::Feature);
    Routes::new()
        .get("/api/v1/tables", Permission::Read, tables::list)
        .post_with_limit("/api/v1/tables/{name}/load", Permission::Write, limits.load_bytes, tables::load)
        .post("/api/v1/tables/{name}/maintain", Permission::Write, tables::maintain)
        .get("/api/v1/tables/upkeep", Permission::Read, tables::upkeep)
        .post("/api/v1/sql", Permission::Read, sql::sql)
        .post("/api/v1/training-sets", Permission::Read, training_sets::build)
        .get("/api/v1/training-sets", Permission::Read, training_sets::list)
        .get("/api/v1/training-sets/{table}", Permission::Read, training_sets::show)
        .post("/api/v1/training-sets/{table}/rebuild", Permission::Write, training_sets::rebuild)
        .post("/api/v1/verify", Permission::Read, verify::verify)
        .get("/api/v1/verifications", Permission::Read, verify::last)
        .about(ResourceType::Table)
        .merge(of_sources)
        .merge(of_features)
        .with_state(platform.clone())
        .merge(read_routes(Reads::Own(platform.clone())))
        .merge(feast::write_routes(platform.clone()))
        .merge(flight::routes(platform))
}

/// Every route of a server that reads a copy. All others that a server has are refused there, with a word about who has them.
pub fn reader_routes(reader: FeatureReader) -> Routes<()> {
    read_routes(Reads::Copied(reader))
        .with_unknown_path_renderer("", reader_only)
        .with_unknown_grpc_methods("/arrow.flight.protocol.FlightService/")
}

/// Online reads, on every wire.
fn read_routes(reads: Reads) -> Routes<()> {
    Routes::new()
        .post("/api/v1/features/read", Permission::Use, features::read)
        .with_state(reads.clone())
        .merge(feast::read_routes(reads.clone()))
        .merge(grpc::routes(reads))
        .about(ResourceType::Feature)
}

/// What a reader of a copy answers where it has nothing.
fn reader_only(unknown: Problem) -> Response {
    let refusal = FeaturesError::ReaderOnly { what: unknown.detail().to_owned() };
    Problem::from(refusal).into_response()
}
