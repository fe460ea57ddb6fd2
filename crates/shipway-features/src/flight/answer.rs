//! Plans and batches as the wire's answers.

use std::{pin::Pin, sync::Arc};

use arrow::{
    array::RecordBatch,
    datatypes::{Field, Schema, SchemaRef},
};
use arrow_flight::{
    FlightData, FlightDescriptor, FlightEndpoint, FlightInfo, Ticket, encode::FlightDataEncoderBuilder,
    error::FlightError,
};
use bytes::Bytes;
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use shipway_core::Failure;
use shipway_web::Problem;
use tonic::{Response, Status};

use crate::{FeaturesError, Planned};

/// The stream of an answer.
pub(crate) type Batches = Pin<Box<dyn Stream<Item = Result<FlightData, Status>> + Send>>;

/// The status of a failure, with its code and hint in words too: many clients show nothing but the message.
pub(crate) fn refused<F: Failure + Send + Sync + 'static>(failure: F) -> Status {
    let problem = Problem::from(failure);
    let mut message = problem.detail().to_owned();
    if let Some(hint) = problem.hint() {
        message.push_str(&format!(" · {hint}"));
    }
    message.push_str(&format!(" [{}]", problem.code()));
    let status = Status::from(problem);
    Status::with_metadata(status.code(), message, status.metadata().clone())
}

/// Tables of metadata are built by the wire's library, which wraps Arrow's errors.
impl From<FlightError> for FeaturesError {
    fn from(error: FlightError) -> Self {
        match error {
            FlightError::Arrow(error) => Self::Arrow(error),
            other => crate::error::invalid(other.to_string()),
        }
    }
}

/// What a client learns before it fetches: the columns, the ticket, and the number of rows where that is known.
pub(crate) fn info(
    planned: &Planned,
    ticket: Bytes,
    descriptor: FlightDescriptor,
) -> Result<FlightInfo, Status> {
    let rows = planned.rows.and_then(|rows| i64::try_from(rows).ok()).unwrap_or(-1);
    let info = describe(&columns(planned), ticket, descriptor)?;
    Ok(info.with_total_records(rows).with_total_bytes(-1))
}

/// An answer with these columns under this ticket. Without a location the ticket is good on the same connection.
pub(crate) fn describe(
    schema: &Schema,
    ticket: Bytes,
    descriptor: FlightDescriptor,
) -> Result<FlightInfo, Status> {
    let endpoint = FlightEndpoint::new().with_ticket(Ticket::new(ticket));
    let info =
        FlightInfo::new().try_with_schema(schema).map_err(|error| refused(FeaturesError::from(error)))?;
    Ok(info.with_endpoint(endpoint).with_descriptor(descriptor))
}

/// The columns of a plan as they are announced and sent. Every one allows nulls: what a planner can prove about nulls
/// differs from one planning to the next, and clients compare what was announced with what comes.
pub(crate) fn columns(planned: &Planned) -> SchemaRef {
    let fields = planned.frame.schema().fields().iter();
    let fields = fields.map(|field| Field::new(field.name(), field.data_type().clone(), true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Runs a plan. Batches are made as the client takes them; when it leaves, the work ends.
pub(crate) async fn run(planned: Planned) -> Result<Response<Batches>, Status> {
    let schema = columns(&planned);
    let batches =
        planned.frame.execute_stream().await.map_err(|error| refused(FeaturesError::from(error)))?;
    let batches = batches.map_err(|error| FlightError::from(refused(FeaturesError::from(error))));
    Ok(Response::new(encoded(schema, batches)))
}

/// One batch that is in memory.
pub(crate) fn one(batch: RecordBatch) -> Response<Batches> {
    let schema = batch.schema();
    Response::new(encoded(schema, stream::iter([Ok(batch)])))
}

fn encoded(
    schema: SchemaRef,
    batches: impl Stream<Item = Result<RecordBatch, FlightError>> + Send + 'static,
) -> Batches {
    FlightDataEncoderBuilder::new().with_schema(schema).build(batches).map_err(Status::from).boxed()
}
