//! The Open Inference protocol, version 2, with Triton's extensions, over REST and gRPC: its types, its errors, its routes. It holds
//! no rules.
//!
//! A deployment is a model of the protocol; its version is the number of the model version that serves. With a feature service, the
//! inputs are ids and request columns; without, the model's own tensors, or its columns, or one matrix of them.
//!
//! - `call`: a request and its answer on either wire, and what happens in between
//! - `ensembles`: the same for an ensemble
//! - `rows`: tensors as rows of columns
//! - `classification`: the best classes of an output, as strings
//! - `body`: the bytes of a REST request and of its answer: JSON, and raw tensors behind it
//! - `packing`: packed bodies
//! - `infer`: the REST handlers of predictions
//! - `metadata`, `config`, `statistics`, `repository`: what there is, how it is set, what it did, what is loaded
//! - `grpc/`: the same over gRPC

mod body;
mod call;
mod classification;
mod config;
mod ensembles;
mod grpc;
mod infer;
mod metadata;
mod packing;
mod repository;
mod rows;
mod statistics;

use axum::response::Response;
use serde_json::json;
use shipway_core::Permission;
use shipway_web::{Problem, Routes};

use crate::{refusal, service::Serving};
pub use packing::unpacks;

/// The most bytes of a request, unpacked: tensors are large.
const MAX_INFER_BYTES: u64 = 256 * 1024 * 1024;

/// Why a request was refused, as this protocol says it.
#[expect(clippy::needless_pass_by_value, reason = "a renderer takes the problem")]
fn refusal(problem: Problem) -> Response {
    refusal::respond(&problem, json!({ "error": refusal::sentence(&problem) }))
}

/// The routes of the protocol.
pub(crate) fn routes(serving: &Serving) -> Routes<Serving> {
    let (read, model) = (Permission::Read, "/v2/models/{model}/infer");
    Routes::new()
        .get("/v2", Permission::Public, metadata::server)
        .get("/v2/health/live", Permission::Public, metadata::live)
        .get("/v2/health/ready", Permission::Public, metadata::ready)
        .get("/v2/models", read, metadata::models)
        .get("/v2/models/stats", read, statistics::all)
        .get("/v2/models/{model}", read, metadata::model)
        .get("/v2/models/{model}/ready", read, metadata::model_ready)
        .get("/v2/models/{model}/config", read, config::model)
        .get("/v2/models/{model}/stats", read, statistics::model)
        .get("/v2/models/{model}/versions/{version}", read, metadata::version)
        .get("/v2/models/{model}/versions/{version}/ready", read, metadata::version_ready)
        .get("/v2/models/{model}/versions/{version}/config", read, config::version)
        .get("/v2/models/{model}/versions/{version}/stats", read, statistics::version)
        .post_with_limit(model, Permission::Use, MAX_INFER_BYTES, infer::infer)
        .post_with_limit(
            "/v2/models/{model}/versions/{version}/infer",
            Permission::Use,
            MAX_INFER_BYTES,
            infer::infer_version,
        )
        .post("/v2/repository/index", read, repository::index)
        .post("/v2/repository/models/{model}/load", Permission::Manage, repository::load)
        .post("/v2/repository/models/{model}/unload", Permission::Manage, repository::unload)
        .with_problem_renderer(refusal)
        .with_unknown_path_renderer("/v2/", refusal)
        .merge(grpc::routes(serving))
}
