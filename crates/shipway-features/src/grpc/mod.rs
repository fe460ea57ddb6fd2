//! The gRPC service `shipway.features.v1.FeatureService`, on the port of everything else.
//!
//! - `v1`: the messages, made from `proto/`
//! - `value`: values between this wire and the domain
//! - `service`: the two methods, `answer` what the reading one says

mod answer;
mod service;
mod value;

/// The messages, the client and the server, made from `proto/shipway/features/v1/features.proto`.
#[expect(
    missing_docs,
    unused_qualifications,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::too_many_lines,
    reason = "generated"
)]
pub mod v1 {
    tonic::include_proto!("shipway.features.v1");
}

use shipway_core::{Permission, ResourceType};
use shipway_web::{DEFAULT_BODY_LIMIT_BYTES, Routes};

use crate::read::Reads;
use service::Service;
use v1::feature_service_server::FeatureServiceServer;

/// The routes of the service.
pub(crate) fn routes(reads: Reads) -> Routes<()> {
    let push_bytes = reads.limits().ingest_bytes;
    let read_bytes = usize::try_from(DEFAULT_BODY_LIMIT_BYTES).unwrap_or(usize::MAX);
    let server = |bytes| FeatureServiceServer::new(Service(reads.clone())).max_decoding_message_size(bytes);
    Routes::new()
        .grpc("/shipway.features.v1.FeatureService/Read", Permission::Use, server(read_bytes))
        .about(ResourceType::Feature)
        .grpc_with_limit(
            "/shipway.features.v1.FeatureService/Push",
            Permission::Write,
            push_bytes as u64,
            server(push_bytes),
        )
        .about(ResourceType::Source)
        .with_unknown_grpc_methods("/shipway.features.v1.FeatureService/")
}
