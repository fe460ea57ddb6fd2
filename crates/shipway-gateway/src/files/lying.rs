//! What is asked about a file that lies at a provider.

use axum::response::Response;
use http::{HeaderMap, Method};
use shipway_web::Caller;
use tokio::time::Instant;

use super::{DIALECT, ListQuery, Told, find_file, is_plain, known, listed, owner_of, refused, unpacked};
use crate::{
    call::{Question, TOTAL, ask, passing, read, told},
    model::StoredFile,
    service::Gateway,
    store,
};

/// How many files a list has at most.
const MOST_LISTED: u32 = 10_000;

/// What its provider says of a file.
pub(crate) async fn show(gateway: &Gateway, caller: Caller, headers: HeaderMap, id: &str) -> Response {
    pass_on(gateway, caller, headers, (Method::GET, id)).await.unwrap_or_else(|told| told)
}

/// Deletes a file at its provider, and forgets it.
pub(crate) async fn delete(gateway: &Gateway, caller: Caller, headers: HeaderMap, id: &str) -> Response {
    pass_on(gateway, caller, headers, (Method::DELETE, id)).await.unwrap_or_else(|told| told)
}

async fn pass_on(
    gateway: &Gateway,
    caller: Caller,
    headers: HeaderMap,
    (method, id): (Method, &str),
) -> Told {
    let principal = known(gateway, caller, &headers).await?;
    let file = find_file(gateway, &principal, id).await?;
    let by = Instant::now() + TOTAL;
    let is_over = method == Method::DELETE;
    let answer = ask(gateway, &headers, question(&file, method, &format!("files/{id}")), by).await?;
    let (status, answered) = (answer.status(), answer.headers().clone());
    let body = read(DIALECT, answer, by).await?;
    if is_over {
        store::files::delete(gateway.store(), &file).await.map_err(refused)?;
    }
    Ok(told(status, &answered, body))
}

/// The bytes of a file, as they come.
pub(crate) async fn content(gateway: &Gateway, caller: Caller, headers: HeaderMap, id: &str) -> Response {
    let passed = async {
        let principal = known(gateway, caller, &headers).await?;
        let file = find_file(gateway, &principal, id).await?;
        let path = format!("files/{id}/content");
        let by = Instant::now() + TOTAL;
        Ok(passing(ask(gateway, &headers, question(&file, Method::GET, &path), by).await?))
    };
    passed.await.unwrap_or_else(|told: Response| told)
}

fn question<'a>(file: &'a StoredFile, method: Method, path: &'a str) -> Question<'a> {
    Question { dialect: DIALECT, provider: &file.provider, method, path, query: None, body: None }
}

/// The files of the caller, the newest first. No provider is asked.
pub(crate) async fn list(
    gateway: &Gateway,
    caller: Caller,
    headers: HeaderMap,
    query: ListQuery,
) -> Response {
    let found = async {
        let principal = known(gateway, caller, &headers).await?;
        let after = match query.after.as_deref().filter(|id| is_plain(id)) {
            Some(id) => Some(find_file(gateway, &principal, id).await?),
            None => None,
        };
        let page = query.page(MOST_LISTED, after.map(|file| (file.created, file.id))).map_err(refused)?;
        let owner = owner_of(&principal);
        let files = store::files::page(gateway.store(), &owner, query.purpose.as_deref(), &page).await;
        let objects = files.map_err(refused)?.iter().map(|file| unpacked(&file.object)).collect();
        Ok(listed(objects, &page))
    };
    found.await.unwrap_or_else(|told: Response| told)
}
