//! `grpc.health.v1`: the server under the empty name and under the protocol's service, and each deployment under its own.

use std::{pin::Pin, time::Duration};

use futures::Stream;
use tonic::{Request, Response, Status};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus,
    health_server::Health as HealthService,
};

use crate::service::Serving;

/// How often a watched status is looked at.
const LOOK_AFTER: Duration = Duration::from_millis(500);

/// Answers for the server and its deployments.
pub(super) struct Health(pub(super) Serving);

/// The status of a name; `None` for one that nobody has.
fn status(serving: &Serving, name: &str) -> Option<ServingStatus> {
    let serves = match name {
        "" | "inference.GRPCInferenceService" => serving.ready(),
        deployment => serving.is_ready(deployment, None).ok()?,
    };
    Some(if serves { ServingStatus::Serving } else { ServingStatus::NotServing })
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

#[tonic::async_trait]
impl HealthService for Health {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let name = request.into_inner().service;
        match status(&self.0, &name) {
            Some(status) => Ok(Response::new(answer(status))),
            None => Err(Status::not_found("there is no deployment of that name")),
        }
    }

    /// Answers the status now, and again whenever it has changed.
    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let name = request.into_inner().service;
        let stream = futures::stream::unfold(
            (self.0.clone(), name, None),
            |(serving, name, last): (Serving, String, Option<ServingStatus>)| async move {
                loop {
                    let now = status(&serving, &name).unwrap_or(ServingStatus::ServiceUnknown);
                    if last != Some(now) {
                        return Some((Ok(answer(now)), (serving, name, Some(now))));
                    }
                    if serving.is_stopping_within(LOOK_AFTER).await {
                        return None;
                    }
                }
            },
        );
        Ok(Response::new(Box::pin(stream)))
    }
}
