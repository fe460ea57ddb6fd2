//! The calls of Flight SQL. What is not here the protocol allows a server not to have.

use std::pin::Pin;

use arrow::{datatypes::Schema, ipc::writer::IpcWriteOptions};
use arrow_flight::{
    Action, FlightDescriptor, FlightInfo, HandshakeRequest, HandshakeResponse, IpcMessage, PutResult,
    SchemaAsIpc, Ticket,
    flight_service_server::FlightService,
    sql::{
        ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest,
        ActionCreatePreparedStatementResult, Any, CommandGetCatalogs, CommandGetDbSchemas, CommandGetSqlInfo,
        CommandGetTableTypes, CommandGetTables, CommandGetXdbcTypeInfo, CommandPreparedStatementQuery,
        CommandPreparedStatementUpdate, CommandStatementIngest, CommandStatementQuery,
        CommandStatementUpdate, DoPutPreparedStatementResult, ProstMessageExt, SqlInfo, TicketStatementQuery,
        server::{FlightSqlService, PeekableFlightDataStream},
    },
};
use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD};
use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use prost::Message as _;
use tonic::{Request, Response, Status, Streaming, metadata::MetadataValue};

use crate::{
    Features, FeaturesError,
    flight::{
        answer::{self, Batches, refused},
        command, metadata,
        statement::{self, Statement},
        upload::{self, Target},
    },
};

/// Flight SQL over one platform.
#[derive(Clone)]
pub(crate) struct FlightSql {
    features: Features,
}

impl FlightSql {
    pub(crate) fn new(features: Features) -> Self {
        Self { features }
    }

    async fn info(
        &self,
        statement: &Statement,
        descriptor: FlightDescriptor,
    ) -> Result<Response<FlightInfo>, Status> {
        let planned = Box::pin(statement.plan(&self.features)).await.map_err(refused)?;
        let ticket = TicketStatementQuery { statement_handle: statement.handle() };
        Ok(Response::new(answer::info(&planned, packed(&ticket), descriptor)?))
    }

    async fn rows(&self, handle: &[u8]) -> Result<Response<Batches>, Status> {
        let statement = Statement::from_handle(handle).map_err(refused)?;
        answer::run(Box::pin(statement.plan(&self.features)).await.map_err(refused)?).await
    }

    /// Refuses a statement that would change something, in the words of the query engine.
    async fn refuse_update(&self, query: String) -> Status {
        let planned = match Statement::of(query) {
            Ok(statement) => Box::pin(statement.plan(&self.features)).await,
            Err(error) => Err(error),
        };
        match planned {
            Err(error) => refused(error),
            Ok(_) => refused(crate::error::invalid(
                "this is a query: ask for its rows instead of executing it as an update",
            )),
        }
    }
}

/// A message as the bytes of a ticket.
fn packed(message: &impl ProstMessageExt) -> Bytes {
    message.as_any().encode_to_vec().into()
}

fn ipc_schema(schema: &Schema) -> Result<Bytes, Status> {
    let message: Result<IpcMessage, _> = SchemaAsIpc::new(schema, &IpcWriteOptions::default()).try_into();
    message.map(|message| message.0).map_err(|error| refused(FeaturesError::from(error)))
}

fn described(
    schema: &Schema,
    command: &impl ProstMessageExt,
    request: Request<FlightDescriptor>,
) -> Result<Response<FlightInfo>, Status> {
    let info = answer::describe(schema, packed(command), request.into_inner())?;
    Ok(Response::new(info.with_total_records(-1).with_total_bytes(-1)))
}

fn answered(batch: Result<arrow::array::RecordBatch, FeaturesError>) -> Result<Response<Batches>, Status> {
    batch.map(answer::one).map_err(refused)
}

type Handshake = Pin<Box<dyn Stream<Item = Result<HandshakeResponse, Status>> + Send>>;

#[tonic::async_trait]
impl FlightSqlService for FlightSql {
    type FlightService = Self;

    /// The guard has judged the credentials by now. A client that came with a password is told to go on with it as a token.
    async fn do_handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Handshake>, Status> {
        let shown = request.metadata().get("authorization").and_then(|shown| shown.to_str().ok());
        let token = shown.and_then(token_of);
        let answers = stream::iter([Ok(HandshakeResponse::default())]).boxed();
        let mut response: Response<Handshake> = Response::new(answers);
        if let Some(value) = token.and_then(|token| MetadataValue::try_from(format!("Bearer {token}")).ok()) {
            response.metadata_mut().insert("authorization", value);
        }
        Ok(response)
    }

    async fn get_flight_info_statement(
        &self,
        query: CommandStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let statement = Statement::of(query.query).map_err(refused)?;
        self.info(&statement, request.into_inner()).await
    }

    async fn do_get_statement(
        &self,
        ticket: TicketStatementQuery,
        _request: Request<Ticket>,
    ) -> Result<Response<Batches>, Status> {
        self.rows(&ticket.statement_handle).await
    }

    async fn do_action_create_prepared_statement(
        &self,
        query: ActionCreatePreparedStatementRequest,
        _request: Request<Action>,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        let statement = Statement::of(query.query).map_err(refused)?;
        let planned = Box::pin(statement.plan(&self.features)).await.map_err(refused)?;
        Ok(ActionCreatePreparedStatementResult {
            prepared_statement_handle: statement.handle(),
            dataset_schema: ipc_schema(&answer::columns(&planned))?,
            parameter_schema: ipc_schema(&statement::parameters_of(&planned).map_err(refused)?)?,
        })
    }

    /// There is nothing to close: the statement is in its handle.
    async fn do_action_close_prepared_statement(
        &self,
        _query: ActionClosePreparedStatementRequest,
        _request: Request<Action>,
    ) -> Result<(), Status> {
        Ok(())
    }

    async fn do_put_prepared_statement_query(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<DoPutPreparedStatementResult, Status> {
        let statement = Statement::from_handle(&query.prepared_statement_handle).map_err(refused)?;
        let row = upload::row(request.into_inner()).await.map_err(refused)?;
        let bound = statement.bound(&row).map_err(refused)?;
        Ok(DoPutPreparedStatementResult { prepared_statement_handle: Some(bound.handle()) })
    }

    async fn get_flight_info_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let statement = Statement::from_handle(&query.prepared_statement_handle).map_err(refused)?;
        self.info(&statement, request.into_inner()).await
    }

    async fn do_get_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        _request: Request<Ticket>,
    ) -> Result<Response<Batches>, Status> {
        self.rows(&query.prepared_statement_handle).await
    }

    async fn do_put_statement_update(
        &self,
        command: CommandStatementUpdate,
        _request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        Err(self.refuse_update(command.query).await)
    }

    async fn do_put_prepared_statement_update(
        &self,
        command: CommandPreparedStatementUpdate,
        _request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        let statement = Statement::from_handle(&command.prepared_statement_handle).map_err(refused)?;
        Err(self.refuse_update(statement.into_query()).await)
    }

    async fn do_put_statement_ingest(
        &self,
        command: CommandStatementIngest,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        let target = Target::of_ingest(command, request.metadata()).map_err(refused)?;
        let loaded = Box::pin(upload::load(&self.features, target, request.into_inner())).await;
        Ok(i64::try_from(loaded.map_err(refused)?.rows).unwrap_or(i64::MAX))
    }

    /// An upload of plain Flight: the path of its descriptor is the table.
    async fn do_put_fallback(
        &self,
        mut request: Request<PeekableFlightDataStream>,
        message: Any,
    ) -> Result<Response<<Self as FlightService>::DoPutStream>, Status> {
        let first = request.get_mut().peek().await.and_then(|first| first.as_ref().ok());
        let descriptor = first.and_then(|first| first.flight_descriptor.as_ref());
        let Some(descriptor) = descriptor.filter(|descriptor| !descriptor.path.is_empty()) else {
            return Err(Status::unimplemented(format!(
                "DoPut of {:?} does not exist here",
                message.type_url
            )));
        };
        let table = command::table_of(descriptor).map_err(refused)?.to_owned();
        let target = Target::table(table, request.metadata());
        let loaded =
            Box::pin(upload::load(&self.features, target, request.into_inner())).await.map_err(refused)?;
        let app_metadata = serde_json::to_vec(&loaded).unwrap_or_default().into();
        Ok(Response::new(stream::iter([Ok(PutResult { app_metadata })]).boxed()))
    }

    async fn get_flight_info_catalogs(
        &self,
        query: CommandGetCatalogs,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        described(&query.into_builder().schema(), &query, request)
    }

    async fn do_get_catalogs(
        &self,
        query: CommandGetCatalogs,
        _request: Request<Ticket>,
    ) -> Result<Response<Batches>, Status> {
        answered(metadata::catalogs(query))
    }

    async fn get_flight_info_schemas(
        &self,
        query: CommandGetDbSchemas,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        described(&query.clone().into_builder().schema(), &query, request)
    }

    async fn do_get_schemas(
        &self,
        query: CommandGetDbSchemas,
        _request: Request<Ticket>,
    ) -> Result<Response<Batches>, Status> {
        answered(metadata::schemas(query))
    }

    async fn get_flight_info_tables(
        &self,
        query: CommandGetTables,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        described(&query.clone().into_builder().schema(), &query, request)
    }

    async fn do_get_tables(
        &self,
        query: CommandGetTables,
        _request: Request<Ticket>,
    ) -> Result<Response<Batches>, Status> {
        answered(metadata::tables(&self.features, query).await)
    }

    async fn get_flight_info_table_types(
        &self,
        query: CommandGetTableTypes,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        described(&query.into_builder().schema(), &query, request)
    }

    async fn do_get_table_types(
        &self,
        query: CommandGetTableTypes,
        _request: Request<Ticket>,
    ) -> Result<Response<Batches>, Status> {
        answered(metadata::table_types(query))
    }

    async fn get_flight_info_sql_info(
        &self,
        query: CommandGetSqlInfo,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let known = metadata::sql_info().map_err(refused)?;
        described(&query.clone().into_builder(&known).schema(), &query, request)
    }

    async fn do_get_sql_info(
        &self,
        query: CommandGetSqlInfo,
        _request: Request<Ticket>,
    ) -> Result<Response<Batches>, Status> {
        let known = metadata::sql_info().map_err(refused)?;
        answered(query.into_builder(&known).build().map_err(FeaturesError::from))
    }

    async fn get_flight_info_xdbc_type_info(
        &self,
        query: CommandGetXdbcTypeInfo,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let known = metadata::types().map_err(refused)?;
        described(&query.into_builder(&known).schema(), &query, request)
    }

    async fn do_get_xdbc_type_info(
        &self,
        query: CommandGetXdbcTypeInfo,
        _request: Request<Ticket>,
    ) -> Result<Response<Batches>, Status> {
        let known = metadata::types().map_err(refused)?;
        answered(query.into_builder(&known).build().map_err(FeaturesError::from))
    }

    /// The protocol's hook for servers that collect their properties one by one; ours are known at once.
    async fn register_sql_info(&self, _id: i32, _result: &SqlInfo) {}
}

/// The token in an authorization header: a bearer token, or the password of basic credentials.
fn token_of(authorization: &str) -> Option<String> {
    let (scheme, credentials) = authorization.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(credentials.trim().to_owned());
    }
    // Some clients leave the padding out.
    let decoded = BASE64_STANDARD_NO_PAD.decode(credentials.trim().trim_end_matches('=')).ok()?;
    let (_, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some(if password.is_empty() { "none".to_owned() } else { password.to_owned() })
}
