//! A batch begins.

use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::Value;
use shipway_dialects::{ApiError, BadRequest, batch_api};
use shipway_web::Caller;
use tokio::time::Instant;

use super::{DIALECT, Told, booking::Booking, find_file, known, owner_of, refused, upload::no_answer};
use crate::{
    call::{Question, TOTAL, ask, read, told},
    error::{GatewayError, Thing},
    model::{BatchPlan, StoredBatch, UnknownPrice},
    service::{Gateway, Principal},
    store, wire,
};

/// What of a request decides where it goes.
#[derive(Debug, serde::Deserialize)]
struct Asked {
    input_file_id: String,
    endpoint: String,
}

/// Begins a batch at the provider where its file of calls lies; all that its calls may cost is charged until it is over.
pub(crate) async fn begin(gateway: &Gateway, caller: Caller, headers: HeaderMap, body: Bytes) -> Response {
    send(gateway, caller, headers, body).await.unwrap_or_else(|told| told)
}

async fn send(gateway: &Gateway, caller: Caller, headers: HeaderMap, body: Bytes) -> Told {
    let principal = known(gateway, caller, &headers).await?;
    principal.may_offer_unseen("a file of calls").map_err(refused)?;
    let asked: Asked = serde_json::from_slice(&body).map_err(|error| {
        let bad = BadRequest::Field { field: "body".to_owned(), problem: error.to_string() };
        wire::refuse(DIALECT, &ApiError::from(&bad), None, None)
    })?;
    let file = find_file(gateway, &principal, &asked.input_file_id).await?;
    let no_calls = || GatewayError::invalid("input_file_id", "the file was not sent with the purpose batch");
    let plan = file.plan.as_ref().ok_or_else(|| refused(no_calls()))?;
    if batch_api(&asked.endpoint).is_none_or(|(_, path)| path != plan.path) {
        let other = format!("the calls of the file ask /v1/{}", plan.path);
        return Err(refused(GatewayError::invalid("endpoint", other)));
    }
    may_begin(gateway, &principal, plan).map_err(refused)?;
    let booking = Booking::open(gateway, &principal, plan).await.map_err(refused)?;
    let by = Instant::now() + TOTAL;
    let question = Question {
        dialect: DIALECT,
        provider: &file.provider,
        method: Method::POST,
        path: "batches",
        query: None,
        body: Some(body),
    };
    let answer = match ask(gateway, &headers, question, by).await {
        Ok(answer) => answer,
        Err(told) => {
            booking.refused(told.status());
            return Err(told);
        }
    };
    let (status, answered) = (answer.status(), answer.headers().clone());
    let body = read(DIALECT, answer, by).await?;
    let object: Value = serde_json::from_slice(&body).unwrap_or_default();
    let Some(id) = object["id"].as_str().map(str::to_owned) else { return Err(no_answer()) };
    let call = booking.call().to_owned();
    let batch = StoredBatch {
        id,
        provider: file.provider.clone(),
        owner: owner_of(&principal),
        object: object.to_string(),
        charge: booking.begun(plan, status),
        created: gateway.now(),
        is_settled: false,
    };
    store::batches::add(gateway.store(), &batch).await.map_err(refused)?;
    let mut response = told(status, &answered, body);
    wire::identify(response.headers_mut(), DIALECT, Some(&call));
    Ok(response)
}

/// Whether the model may be asked by the caller still, and has a price where it must have one.
fn may_begin(gateway: &Gateway, principal: &Principal, plan: &BatchPlan) -> Result<(), GatewayError> {
    let installed = gateway.installed();
    let name = &plan.model;
    let model = installed.find(name).ok_or_else(|| GatewayError::missing(Thing::Model, name))?;
    let mut names = std::iter::once(name).chain(&model.spec.called);
    if !names.any(|asked| principal.may_use(asked, name)) {
        return Err(GatewayError::ModelNotAllowed { key: principal.name.clone(), model: name.clone() });
    }
    if plan.most_nanos.is_none() && model.spec.unknown_price == UnknownPrice::Block {
        let deployment = plan.deployment.clone();
        return Err(GatewayError::NoPrice { model: name.clone(), deployment });
    }
    Ok(())
}
