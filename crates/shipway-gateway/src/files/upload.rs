//! A file comes, and goes to a provider.

use std::{collections::BTreeSet, ops::Range};

use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, Method, header};
use serde_json::Value;
use shipway_dialects::{ApiError, BatchFile, Dialect, Extras, Family, Head, form_fields};
use shipway_web::Caller;
use tokio::time::Instant;

use super::{DIALECT, Told, known, owner_of, refused};
use crate::{
    call::{Api, Question, TOTAL, ask, read, told, who_takes},
    error::{GatewayError, Thing},
    model::{BatchPlan, DeploymentSpec, Side, StoredFile},
    service::{Gateway, Model, Principal},
    store, wire,
};

/// Names a model: the file goes where that has a deployment.
const MODEL: &str = "x-shipway-model";
/// What files of calls are for, in the words of the API.
const BATCH: &str = "batch";
/// The tier of service that prices of batches are under.
pub(super) const BATCH_TIER: &str = "batch";
/// How much more than estimated an input may have when money is reserved for it.
const INPUT_MARGIN: u64 = 2;

/// Sends a file to a provider, and remembers whose it is.
pub(crate) async fn upload(gateway: &Gateway, caller: Caller, headers: HeaderMap, body: Bytes) -> Response {
    send(gateway, caller, headers, body).await.unwrap_or_else(|told| told)
}

async fn send(gateway: &Gateway, caller: Caller, headers: HeaderMap, body: Bytes) -> Told {
    let principal = known(gateway, caller, &headers).await?;
    let refused_form = |error: ApiError| wire::refuse(DIALECT, &error, None, None);
    let Form { purpose, file } = Form::read(&headers, &body).map_err(refused_form)?;
    let (provider, body, plan) = if purpose == BATCH {
        let calls = BatchFile::read(body.slice(file.clone()));
        let calls = calls.map_err(|bad| wire::refuse(DIALECT, &ApiError::from(&bad), None, None))?;
        let (deployment, plan) = plan(gateway, &principal, &headers, &calls).map_err(refused)?;
        let rewritten = calls.for_model(&deployment.model);
        let parts = [body.slice(..file.start), rewritten, body.slice(file.end..)];
        (deployment.provider, Bytes::from(parts.concat()), Some(plan))
    } else {
        (somewhere(gateway, &principal, &headers).map_err(refused)?, body, None)
    };
    let by = Instant::now() + TOTAL;
    let question = Question {
        dialect: DIALECT,
        provider: &provider,
        method: Method::POST,
        path: "files",
        query: None,
        body: Some(body),
    };
    let answer = ask(gateway, &headers, question, by).await?;
    let (status, answered) = (answer.status(), answer.headers().clone());
    let body = read(DIALECT, answer, by).await?;
    let object: Value = serde_json::from_slice(&body).unwrap_or_default();
    let Some(id) = object["id"].as_str().map(str::to_owned) else { return Err(no_answer()) };
    let (owner, created) = (owner_of(&principal), gateway.now());
    let stored = StoredFile { id, provider, owner, purpose, object: object.to_string(), plan, created };
    store::files::add(gateway.store(), &stored).await.map_err(refused)?;
    Ok(told(status, &answered, body))
}

/// What is told where a provider answers something else than its API says.
pub(super) fn no_answer() -> Response {
    let error = ApiError::new(
        shipway_dialects::Cause::Upstream,
        "the provider answered with something that is no answer",
    );
    wire::refuse(DIALECT, &error, None, None)
}

/// The fields that matter here.
struct Form {
    purpose: String,
    /// Where the file lies in the body.
    file: Range<usize>,
}

impl Form {
    fn read(headers: &HeaderMap, body: &Bytes) -> Result<Self, ApiError> {
        let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let fields = form_fields(content_type.unwrap_or_default(), body);
        let fields = fields.map_err(|bad| ApiError::from(&bad))?;
        let one = |name: &'static str, is_file: bool| {
            let mut found = fields.iter().filter(|field| field.name == name && field.is_file == is_file);
            match (found.next(), found.next()) {
                (Some(field), None) => Ok(field.value.clone()),
                (None, _) => Err(ApiError::from(&GatewayError::invalid(name, "the form has no such field"))),
                (Some(_), Some(_)) => Err(ApiError::from(&GatewayError::invalid(name, "it comes twice"))),
            }
        };
        let purpose = body.slice(one("purpose", false)?);
        Ok(Self { purpose: String::from_utf8_lossy(&purpose).into_owned(), file: one("file", true)? })
    }
}

/// The model that is asked for, for somebody who may use it.
fn model<'a>(
    installed: &'a crate::service::Installed,
    principal: &Principal,
    name: &str,
) -> Result<&'a Model, GatewayError> {
    let model = installed.find(name).ok_or_else(|| GatewayError::missing(Thing::Model, name))?;
    if !principal.may_use(name, &model.spec.name) {
        return Err(GatewayError::ModelNotAllowed { key: principal.name.clone(), model: name.to_owned() });
    }
    Ok(model)
}

/// Who takes the calls of a file, and what they may cost there.
fn plan(
    gateway: &Gateway,
    principal: &Principal,
    headers: &HeaderMap,
    calls: &BatchFile,
) -> Result<(DeploymentSpec, BatchPlan), GatewayError> {
    let installed = gateway.installed();
    let model = model(&installed, principal, &calls.model)?;
    principal.may_offer_unseen("a file of calls")?;
    if [Side::Input, Side::Output].iter().any(|side| !model.guards.on(*side).is_empty()) {
        return Err(GatewayError::GuardedFile { model: model.spec.name.clone() });
    }
    let writes = calls.dialect != Dialect::OpenAiEmbeddings;
    let api = Api { dialect: calls.dialect, path: calls.path, writes, is_charged: true };
    let place = who_takes(gateway, model, (principal, headers), api, calls.head())?;
    let deployment = &model.deployments[place].spec;
    let plan = BatchPlan {
        model: model.spec.name.clone(),
        deployment: deployment.name.clone(),
        path: calls.path.to_owned(),
        calls: calls.calls.len() as u64,
        most_nanos: most(deployment, calls, writes),
    };
    Ok((deployment.clone(), plan))
}

/// The most that the calls may cost; none: the price is not known.
fn most(deployment: &DeploymentSpec, calls: &BatchFile, writes: bool) -> Option<i64> {
    let price = deployment.price.as_ref()?;
    let extras = Extras { service_tier: Some(BATCH_TIER), ..Extras::default() };
    Some(calls.calls.iter().fold(0_i64, |sum, call| {
        let input = call.input_tokens.saturating_mul(INPUT_MARGIN);
        let output = call.max_output_tokens.unwrap_or(deployment.max_output_tokens);
        let output = if writes { output.saturating_mul(call.choices) } else { 0 };
        sum.saturating_add(price.reserve(input, output, &extras).0)
    }))
}

/// The provider at which a file shall lie that holds no calls: where the model has a deployment that the caller names, else the only one
/// that the caller's models have.
fn somewhere(gateway: &Gateway, principal: &Principal, headers: &HeaderMap) -> Result<String, GatewayError> {
    let installed = gateway.installed();
    if let Some(name) = headers.get(MODEL).and_then(|value| value.to_str().ok()) {
        let model = model(&installed, principal, name)?;
        let api = Api { dialect: DIALECT, path: "files", writes: false, is_charged: false };
        let place = who_takes(gateway, model, (principal, headers), api, Head::default())?;
        return Ok(model.deployments[place].spec.provider.clone());
    }
    let models = installed.models().iter().filter(|model| {
        let names = std::iter::once(&model.spec.name).chain(&model.spec.called);
        names.into_iter().any(|name| principal.may_use(name, &model.spec.name))
    });
    let providers: BTreeSet<&str> = models
        .flat_map(|model| &model.deployments)
        .filter(|one| {
            let provider = one.provider.as_ref();
            provider.is_some_and(|provider| provider.kind().family(&one.spec.model) == Family::OpenAi)
        })
        .map(|one| one.spec.provider.as_str())
        .collect();
    let mut providers = providers.into_iter();
    match (providers.next(), providers.next()) {
        (Some(provider), None) => Ok(provider.to_owned()),
        _ => Err(GatewayError::WhichProvider),
    }
}
