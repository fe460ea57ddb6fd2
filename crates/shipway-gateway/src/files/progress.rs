//! What is asked about a batch that a provider works off.

use axum::response::Response;
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::{HeaderMap, Method};
use serde_json::Value;
use shipway_web::Caller;
use tokio::time::Instant;

use super::{DIALECT, ListQuery, Told, is_plain, known, listed, owner_of, refused, settle, unpacked};
use crate::{
    call::{Question, TOTAL, ask, read, told},
    error::{GatewayError, Thing},
    model::{StoredBatch, StoredFile},
    service::{Gateway, Principal},
    store,
};

/// How many batches a list has at most.
const MOST_LISTED: u32 = 100;
/// How many of them are asked about at once.
const ASKED_AT_ONCE: usize = 8;
/// The members of a batch that name files which its provider wrote.
const WRITTEN: [&str; 2] = ["output_file_id", "error_file_id"];

/// How far a batch has come.
pub(crate) async fn show(gateway: &Gateway, caller: Caller, headers: HeaderMap, id: &str) -> Response {
    look(gateway, caller, headers, (Method::GET, id, "")).await.unwrap_or_else(|told| told)
}

/// Ends a batch before it is over.
pub(crate) async fn cancel(gateway: &Gateway, caller: Caller, headers: HeaderMap, id: &str) -> Response {
    look(gateway, caller, headers, (Method::POST, id, "/cancel")).await.unwrap_or_else(|told| told)
}

async fn look(
    gateway: &Gateway,
    caller: Caller,
    headers: HeaderMap,
    (method, id, tail): (Method, &str, &str),
) -> Told {
    let principal = known(gateway, caller, &headers).await?;
    let batch = find(gateway, &principal, id).await?;
    let (status, answered, body) = asked(gateway, &headers, &batch, method, tail).await?;
    Ok(told(status, &answered, body))
}

async fn find(gateway: &Gateway, principal: &Principal, id: &str) -> Result<StoredBatch, Response> {
    let found = match is_plain(id) {
        true => store::batches::find(gateway.store(), id, &owner_of(principal)).await.map_err(refused)?,
        false => None,
    };
    found.ok_or_else(|| refused(GatewayError::missing(Thing::Batch, id)))
}

/// Asks the provider of a batch about it, and remembers what it says.
async fn asked(
    gateway: &Gateway,
    headers: &HeaderMap,
    batch: &StoredBatch,
    method: Method,
    tail: &str,
) -> Result<(http::StatusCode, HeaderMap, Bytes), Response> {
    let by = Instant::now() + TOTAL;
    let path = format!("batches/{}{tail}", batch.id);
    let question = Question {
        dialect: DIALECT,
        provider: &batch.provider,
        method,
        path: &path,
        query: None,
        body: None,
    };
    let answer = ask(gateway, headers, question, by).await?;
    let (status, answered) = (answer.status(), answer.headers().clone());
    let body = read(DIALECT, answer, by).await?;
    let object: Value = serde_json::from_slice(&body).unwrap_or_default();
    if object["id"].as_str() == Some(batch.id.as_str()) {
        said(gateway, batch, &object).await.map_err(refused)?;
    }
    Ok((status, answered, body))
}

/// Remembers what a provider says of a batch: the files that it wrote are the owner's too, and what is over is settled.
async fn said(gateway: &Gateway, batch: &StoredBatch, object: &Value) -> Result<(), GatewayError> {
    let now = gateway.now();
    store::batches::said(gateway.store(), batch, &object.to_string(), now).await?;
    for id in WRITTEN.into_iter().filter_map(|member| object[member].as_str()).filter(|id| is_plain(id)) {
        let (id, provider, owner) = (id.to_owned(), batch.provider.clone(), batch.owner.clone());
        let told = serde_json::json!({
            "id": id, "object": "file", "purpose": "batch_output", "filename": format!("{id}.jsonl"),
            "created_at": now.0 / 1_000_000, "bytes": 0, "status": "processed",
        });
        let (purpose, object) = ("batch_output".to_owned(), told.to_string());
        let file = StoredFile { id, provider, owner, purpose, object, plan: None, created: now };
        store::files::add(gateway.store(), &file).await?;
    }
    if !batch.is_settled && settle::is_over(object) {
        settle::in_the_background(gateway, batch.clone(), object.clone());
    }
    Ok(())
}

/// Asks about a batch that nobody has asked about for a while.
pub(super) async fn ask_again(gateway: &Gateway, batch: &StoredBatch) -> Result<(), Response> {
    asked(gateway, &HeaderMap::new(), batch, Method::GET, "").await.map(drop)
}

/// The batches of the caller, the newest first, as their providers say that they are now.
pub(crate) async fn list(
    gateway: &Gateway,
    caller: Caller,
    headers: HeaderMap,
    query: ListQuery,
) -> Response {
    let found = async {
        let principal = known(gateway, caller, &headers).await?;
        let after = match query.after.as_deref().filter(|id| is_plain(id)) {
            Some(id) => Some(find(gateway, &principal, id).await?),
            None => None,
        };
        let page = query.page(MOST_LISTED, after.map(|batch| (batch.created, batch.id))).map_err(refused)?;
        let batches = store::batches::page(gateway.store(), &owner_of(&principal), &page).await;
        let objects = stream::iter(batches.map_err(refused)?)
            .map(|batch| newest(gateway, &headers, batch))
            .buffered(ASKED_AT_ONCE)
            .collect()
            .await;
        Ok(listed(objects, &page))
    };
    found.await.unwrap_or_else(|told: Response| told)
}

/// What is known of a batch: of one that is not over, what its provider says now, where it says something.
async fn newest(gateway: &Gateway, headers: &HeaderMap, batch: StoredBatch) -> Value {
    let before = unpacked(&batch.object);
    if settle::is_over(&before) {
        return before;
    }
    let now = asked(gateway, headers, &batch, Method::GET, "").await;
    now.ok().and_then(|(_, _, body)| serde_json::from_slice(&body).ok()).unwrap_or(before)
}
