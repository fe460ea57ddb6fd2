//! The wire's service. Plain Flight calls are answered here; whatever is a message of Flight SQL goes on to `sql`.

use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest,
    HandshakeResponse, PollInfo, PutResult, Result as ActionResult, SchemaResult, Ticket,
    flight_service_server::FlightService,
};
use futures::{StreamExt as _, stream, stream::BoxStream};
use tonic::{Request, Response, Status, Streaming};

use crate::{
    Features, FeaturesError,
    flight::{
        answer::{self, Batches, refused},
        command,
        sql::FlightSql,
    },
};

/// The Flight service of one platform.
#[derive(Clone)]
pub(crate) struct Flight {
    features: Features,
    sql: FlightSql,
}

impl Flight {
    pub(crate) fn new(features: Features) -> Self {
        Self { sql: FlightSql::new(features.clone()), features }
    }

    async fn info(&self, command: Vec<u8>, descriptor: FlightDescriptor) -> Result<FlightInfo, Status> {
        let planned = Box::pin(command::plan(&self.features, &command)).await.map_err(refused)?;
        answer::info(&planned, command.into(), descriptor)
    }
}

#[tonic::async_trait]
impl FlightService for Flight {
    type HandshakeStream = BoxStream<'static, Result<HandshakeResponse, Status>>;
    type ListFlightsStream = BoxStream<'static, Result<FlightInfo, Status>>;
    type DoGetStream = Batches;
    type DoPutStream = BoxStream<'static, Result<PutResult, Status>>;
    type DoActionStream = BoxStream<'static, Result<ActionResult, Status>>;
    type ListActionsStream = BoxStream<'static, Result<ActionType, Status>>;
    type DoExchangeStream = BoxStream<'static, Result<FlightData, Status>>;

    async fn handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        FlightService::handshake(&self.sql, request).await
    }

    /// The tables.
    async fn list_flights(
        &self,
        request: Request<Criteria>,
    ) -> Result<Response<Self::ListFlightsStream>, Status> {
        if !request.get_ref().expression.is_empty() {
            return Err(Status::unimplemented(
                "criteria are not supported; list everything, or ask information_schema",
            ));
        }
        let tables =
            self.features.lake().tables().await.map_err(|error| refused(FeaturesError::from(error)))?;
        let infos: Vec<Result<FlightInfo, Status>> = tables
            .into_iter()
            .map(|table| {
                let ticket = command::of_table(&table.name).into();
                let rows = table.rows.and_then(|rows| i64::try_from(rows).ok()).unwrap_or(-1);
                let descriptor = FlightDescriptor::new_path(vec![table.name]);
                let info = answer::describe(&table.schema, ticket, descriptor)?;
                Ok(info.with_total_records(rows).with_total_bytes(-1))
            })
            .collect();
        Ok(Response::new(stream::iter(infos).boxed()))
    }

    async fn get_flight_info(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        match command::of_descriptor(request.get_ref()).map_err(refused)? {
            Some(command) => Ok(Response::new(self.info(command, request.into_inner()).await?)),
            None => FlightService::get_flight_info(&self.sql, request).await,
        }
    }

    async fn poll_flight_info(
        &self,
        _request: Request<FlightDescriptor>,
    ) -> Result<Response<PollInfo>, Status> {
        Err(Status::unimplemented("queries are not polled: their first rows come as soon as there are any"))
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        let info = self.get_flight_info(request).await?.into_inner();
        Ok(Response::new(SchemaResult { schema: info.schema }))
    }

    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        let ticket = &request.get_ref().ticket;
        if !command::is_command(ticket) {
            return FlightService::do_get(&self.sql, request).await;
        }
        answer::run(Box::pin(command::plan(&self.features, ticket)).await.map_err(refused)?).await
    }

    async fn do_put(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoPutStream>, Status> {
        FlightService::do_put(&self.sql, request).await
    }

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        FlightService::do_action(&self.sql, request).await
    }

    async fn list_actions(
        &self,
        request: Request<Empty>,
    ) -> Result<Response<Self::ListActionsStream>, Status> {
        FlightService::list_actions(&self.sql, request).await
    }

    async fn do_exchange(
        &self,
        _request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        Err(Status::unimplemented("exchanges do not exist here: upload with DoPut, and read with DoGet"))
    }
}
