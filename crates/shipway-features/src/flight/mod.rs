//! Arrow Flight SQL, a foreign wire: its messages on one side, existing functions of this crate on the other. No rule lives here.
//!
//! Everything that the server hands out is self-contained: a ticket or a prepared statement holds the query itself, with its
//! parameters, so there is no session to keep, nothing expires, and a restart in between does no harm.
//!
//! - `service`: the wire's service: plain Flight calls here, Flight SQL calls below
//! - `sql`: the calls of Flight SQL
//! - `statement`: a query on its way: what tickets and prepared statements hold, and its bounds
//! - `command`: the same bodies as over HTTP, as a command, for clients of plain Flight
//! - `answer`: plans and batches as the wire's answers
//! - `metadata`: catalogs, schemas, tables, types, and what the server can do
//! - `upload`: batches that become rows of a table

mod answer;
mod command;
mod metadata;
mod service;
mod sql;
mod statement;
mod upload;

use arrow_flight::flight_service_server::FlightServiceServer;
use shipway_core::{Permission, ResourceType};
use shipway_web::Routes;

use crate::Features;
use service::Flight;

/// The bytes of one message that a client sends: one batch of an upload.
const MESSAGE_BYTES: usize = 64 << 20;
/// The bytes of a request that asks for something.
const REQUEST_BYTES: u64 = 1 << 20;

/// Every method of the wire, with its permission.
pub(crate) fn routes(platform: Features) -> Routes<()> {
    let upload_bytes = platform.limits().load_bytes;
    let server = FlightServiceServer::new(Flight::new(platform)).max_decoding_message_size(MESSAGE_BYTES);
    let read = [
        "/arrow.flight.protocol.FlightService/Handshake",
        "/arrow.flight.protocol.FlightService/ListFlights",
        "/arrow.flight.protocol.FlightService/GetFlightInfo",
        "/arrow.flight.protocol.FlightService/GetSchema",
        "/arrow.flight.protocol.FlightService/DoGet",
        "/arrow.flight.protocol.FlightService/DoAction",
        "/arrow.flight.protocol.FlightService/ListActions",
    ];
    let routes = read.into_iter().fold(Routes::new(), |routes, path| {
        routes.grpc_with_limit(path, Permission::Read, REQUEST_BYTES, server.clone())
    });
    routes
        .grpc_with_limit(
            "/arrow.flight.protocol.FlightService/DoPut",
            Permission::Write,
            upload_bytes,
            server,
        )
        .about(ResourceType::Table)
        .with_unknown_grpc_methods("/arrow.flight.protocol.FlightService/")
}
