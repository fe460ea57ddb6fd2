//! The protocol over gRPC, with `grpc.health.v1` and reflection, on the port of everything else.
//!
//! - `v2`: the messages, made from `proto/`
//! - `message`: calls and replies on this wire
//! - `service`: the methods of the protocol
//! - `health`: the health of the server and of each deployment

mod health;
mod message;
mod service;

/// The messages and the server, made from `proto/inference/inference.proto`.
#[expect(
    unreachable_pub,
    unused_qualifications,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::enum_variant_names,
    clippy::too_many_lines,
    reason = "generated"
)]
mod v2 {
    tonic::include_proto!("inference");

    /// A description of all of it.
    pub(super) const DESCRIPTION: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/inference.bin"));
}

use shipway_core::Permission;
use shipway_web::Routes;
use tonic_health::pb::health_server::HealthServer;

use super::MAX_INFER_BYTES;
use crate::service::Serving;
use health::Health;
use service::Service;
use v2::grpc_inference_service_server::GrpcInferenceServiceServer;

/// The most bytes that a stream of requests may send in all: four gigabytes.
const MAX_STREAM_BYTES: u64 = 4 * 1024 * 1024 * 1024;

/// The routes of the services.
pub(super) fn routes(serving: &Serving) -> Routes<Serving> {
    let most = usize::try_from(MAX_INFER_BYTES).unwrap_or(usize::MAX);
    let server = GrpcInferenceServiceServer::new(Service(serving.clone()))
        .max_decoding_message_size(most)
        .max_encoding_message_size(most);
    let mut routes = Routes::new();
    for (path, permission) in [
        ("/inference.GRPCInferenceService/ServerLive", Permission::Public),
        ("/inference.GRPCInferenceService/ServerReady", Permission::Public),
        ("/inference.GRPCInferenceService/ServerMetadata", Permission::Public),
        ("/inference.GRPCInferenceService/ModelReady", Permission::Read),
        ("/inference.GRPCInferenceService/ModelMetadata", Permission::Read),
        ("/inference.GRPCInferenceService/ModelConfig", Permission::Read),
        ("/inference.GRPCInferenceService/ModelStatistics", Permission::Read),
        ("/inference.GRPCInferenceService/RepositoryIndex", Permission::Read),
        ("/inference.GRPCInferenceService/RepositoryModelLoad", Permission::Manage),
        ("/inference.GRPCInferenceService/RepositoryModelUnload", Permission::Manage),
    ] {
        routes = routes.grpc(path, permission, server.clone());
    }
    let health = HealthServer::new(Health(serving.clone()));
    let routes = routes
        .grpc_with_limit(
            "/inference.GRPCInferenceService/ModelInfer",
            Permission::Use,
            MAX_INFER_BYTES,
            server.clone(),
        )
        .grpc_with_limit(
            "/inference.GRPCInferenceService/ModelStreamInfer",
            Permission::Use,
            MAX_STREAM_BYTES,
            server,
        )
        .with_unknown_grpc_methods("/inference.GRPCInferenceService/")
        .grpc("/grpc.health.v1.Health/Check", Permission::Public, health.clone())
        .grpc("/grpc.health.v1.Health/Watch", Permission::Public, health);
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(v2::DESCRIPTION)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
    // The descriptions are our own, made when this was built; without them there is no reflection, and nothing else is missing.
    match reflection.build_v1() {
        Ok(reflection) => routes.grpc(
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            Permission::Read,
            reflection,
        ),
        Err(error) => {
            tracing::error!(%error, "no gRPC reflection");
            routes
        }
    }
}
