//! `POST /api/v1/features/read`: the features of a service for some keys, in JSON or in Arrow, either way.
//! `GET /api/v1/features/hot`: the keys that are read most.

use std::{borrow::Cow, sync::Arc};

use axum::{
    extract::{FromRequest as _, Request, State},
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use shipway_core::{Digest, Timestamp};
use shipway_web::{BodyBytes, Json, JsonBody, Problem, Query};

use crate::{
    Features,
    error::invalid as invalid_request,
    read::{
        ReadPlan, Reads,
        batch::{self, Include},
        lists,
        rows::{self, RequestRow},
        service::Moment,
        typed_rows,
    },
    routes::ingest::ARROW_STREAM,
    status::HotKeyStatus,
};

/// How many hot keys are told without a limit.
const HOT_KEYS: usize = 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Read {
    service: String,
    service_hash: Option<Digest>,
    rows: Vec<Map<String, Value>>,
    at: Option<Timestamp>,
    token: Option<String>,
}

/// The same with the rows as they came.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadOfText<'a> {
    #[serde(borrow)]
    service: Cow<'a, str>,
    service_hash: Option<Digest>,
    #[serde(borrow)]
    rows: &'a RawValue,
    at: Option<Timestamp>,
    token: Option<String>,
}

/// With rows in Arrow everything else is in the query.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadQuery {
    service: Option<String>,
    service_hash: Option<Digest>,
    at: Option<Timestamp>,
    token: Option<String>,
    include: Option<String>,
}

/// Read features; exact for the moment and watermarks of the answer, or refused.
pub(crate) async fn read(
    State(reads): State<Reads>,
    Query(query): Query<ReadQuery>,
    request: Request,
) -> Result<Response, Problem> {
    let is_arrow = names_arrow(request.headers(), &header::CONTENT_TYPE);
    let wants_arrow = names_arrow(request.headers(), &header::ACCEPT)
        || is_arrow && !says(request.headers(), &header::ACCEPT, "application/json");
    let include = query.include.as_deref().map(str::parse::<Include>).transpose()?;
    if include.is_some() && !wants_arrow {
        return Err(invalid("include is for answers in Arrow: one in JSON always tells the freshness"));
    }
    let limit = reads.limits().read_rows;
    let (plan, rows, at, token) = if is_arrow {
        let service = query.service.ok_or_else(|| invalid("the query parameter service is missing"))?;
        let BodyBytes(body) = BodyBytes::from_request(request, &()).await?;
        let plan = reads.plan(&service, query.service_hash)?;
        let rows = batch::read_rows(&plan, &body, limit)?;
        (plan, rows, query.at, query.token)
    } else {
        if query.service.is_some()
            || query.service_hash.is_some()
            || query.at.is_some()
            || query.token.is_some()
        {
            return Err(invalid("a request in JSON says service, at and token in its body"));
        }
        let body = JsonBody::from_request(request, &()).await?;
        if let Some((plan, rows, asked)) = plain_rows(&reads, &body.0) {
            (plan, rows.into(), asked.at, asked.token)
        } else {
            let Read { service, service_hash, rows: mut asked, at, token } = body.parse::<Read>()?;
            let plan = reads.plan(&service, service_hash)?;
            rows::check_count(asked.len(), limit)?;
            rows::restore_digits(&plan, &mut asked, &body.0)?;
            let rows = rows::parse_lists(&plan, &asked, limit)?;
            (plan, rows, at, token)
        }
    };
    let moment = Moment { at, token: token.as_deref() };
    let answer = reads.read(plan.clone(), rows.rows, moment).await?;
    let include = include.unwrap_or_default();
    Ok(match rows.lists {
        None if wants_arrow => in_arrow(batch::write(&plan, &answer, include)?),
        None => Json(answer).into_response(),
        Some(lists) => {
            let answer = lists::together(&plan, answer, &lists);
            if wants_arrow {
                in_arrow(batch::write_listed(&plan, &answer, include)?)
            } else {
                Json(answer).into_response()
            }
        }
    })
}

/// The usual request: one without a flaw and without lists. All others are read again by those who say what is wrong.
fn plain_rows<'a>(reads: &Reads, body: &'a [u8]) -> Option<(Arc<ReadPlan>, Vec<RequestRow>, ReadOfText<'a>)> {
    let asked: ReadOfText<'a> = serde_json::from_slice(body).ok()?;
    let plan = reads.plan(&asked.service, asked.service_hash).ok()?;
    let rows = typed_rows::parse(&plan, asked.rows, reads.limits().read_rows)?;
    Some((plan, rows, asked))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HotQuery {
    limit: Option<usize>,
}

#[derive(Serialize)]
pub(crate) struct Hot {
    /// Recent look-ups of any key.
    lookups: u64,
    keys: Vec<HotKeyStatus>,
}

/// Say which keys are read most.
pub(crate) async fn hot(State(features): State<Features>, Query(query): Query<HotQuery>) -> Json<Hot> {
    let (keys, lookups) = features.hot_keys(query.limit.unwrap_or(HOT_KEYS));
    std::future::ready(Json(Hot { lookups, keys })).await
}

fn invalid(what: &str) -> Problem {
    invalid_request(what).into()
}

fn in_arrow(body: bytes::Bytes) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(ARROW_STREAM));
    response
}

fn names_arrow(headers: &HeaderMap, name: &HeaderName) -> bool {
    says(headers, name, ARROW_STREAM)
}

fn says(headers: &HeaderMap, name: &HeaderName, media_type: &str) -> bool {
    let mut values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.any(|value| {
        value.split(',').any(|part| {
            part.split(';').next().is_some_and(|part| part.trim().eq_ignore_ascii_case(media_type))
        })
    })
}
