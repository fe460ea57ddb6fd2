//! Files that lie at providers, and batches: files of calls that a provider works off later. In the words of OpenAI's API.
//!
//! A file belongs to the group of the key that sent it, as a response does that a provider keeps; to everybody else it is not there. Of a
//! file of calls the model is looked up when it comes: it goes to the deployment that takes such calls first, with that deployment's name
//! for the model in it. A batch is charged all that its calls may cost when it begins, and what it did cost when it is over.
//!
//! - `upload`: a file comes
//! - `lying`: what is asked about a file
//! - `begin`: a batch begins; `booking` reserves for it
//! - `progress`: what is asked about a batch
//! - `settle`: what a batch did cost is booked
//! - here: what they share

mod begin;
mod booking;
mod lying;
mod progress;
mod settle;
mod upload;

use axum::{
    Json,
    response::{IntoResponse as _, Response},
};
use http::HeaderMap;
use serde_json::{Value, json};
use shipway_core::Timestamp;
use shipway_dialects::Dialect;
use shipway_web::Caller;

pub(crate) use begin::begin;
pub(crate) use lying::{content, delete, list as list_files, show as show_file};
pub(crate) use progress::{cancel, list as list_batches, show as show_batch};
pub(crate) use settle::settle_forgotten;
pub(crate) use upload::upload;

use crate::{
    error::{GatewayError, Thing},
    model::{KeyRoute, StoredFile, owner},
    service::{Gateway, Principal},
    store::{self, page::Page},
    wire,
};

/// Files and batches have no dialect of their own; their errors are OpenAI's.
const DIALECT: Dialect = Dialect::OpenAiMedia;
/// The longest id that is looked up.
const LONGEST_ID: usize = 256;

/// Why something is not done, as the caller is told it.
type Told = Result<Response, Response>;

fn refused(error: impl Into<GatewayError>) -> Response {
    wire::refuse_ours(DIALECT, &error.into(), None)
}

async fn known(gateway: &Gateway, caller: Caller, headers: &HeaderMap) -> Result<Principal, Response> {
    let mut principal = gateway.principal(caller, headers).await.map_err(refused)?;
    principal.may_ask(KeyRoute::Files).map_err(refused)?;
    let user = principal.user().map(str::to_owned);
    gateway.charge_labels(&mut principal, user.as_deref(), (headers, &[])).await.map_err(refused)?;
    Ok(principal)
}

/// Whether it may become a part of an address.
fn is_plain(id: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    !id.is_empty() && id.len() <= LONGEST_ID && id.bytes().all(is_plain)
}

async fn find_file(gateway: &Gateway, principal: &Principal, id: &str) -> Result<StoredFile, Response> {
    let found = match is_plain(id) {
        true => store::files::find(gateway.store(), id, &owner_of(principal)).await.map_err(refused)?,
        false => None,
    };
    found.ok_or_else(|| refused(GatewayError::missing(Thing::File, id)))
}

fn owner_of(principal: &Principal) -> String {
    owner(&principal.chain, &principal.name)
}

/// What the query of a list asks for.
#[derive(Debug, Default, serde::Deserialize)]
pub(crate) struct ListQuery {
    limit: Option<u32>,
    after: Option<String>,
    order: Option<String>,
    purpose: Option<String>,
}

impl ListQuery {
    /// The page. `after` is where the row lies that it begins behind.
    fn page(&self, most: u32, after: Option<(Timestamp, String)>) -> Result<Page, GatewayError> {
        let limit = self.limit.unwrap_or(most);
        if limit == 0 || limit > most {
            return Err(GatewayError::invalid("limit", format!("it is between 1 and {most}")));
        }
        let is_ascending = match self.order.as_deref() {
            None | Some("desc") => false,
            Some("asc") => true,
            Some(_) => return Err(GatewayError::invalid("order", "it is asc or desc")),
        };
        Ok(Page { limit, after, is_ascending })
    }
}

/// A list as OpenAI has it. `objects` may have one more than the page.
fn listed(mut objects: Vec<Value>, page: &Page) -> Response {
    let most = usize::try_from(page.limit).unwrap_or(usize::MAX);
    let has_more = objects.len() > most;
    objects.truncate(most);
    let id = |object: Option<&Value>| object.map_or(Value::Null, |object| object["id"].clone());
    let (first, last) = (id(objects.first()), id(objects.last()));
    let list = json!({ "object": "list", "data": objects, "first_id": first, "last_id": last, "has_more": has_more });
    Json(list).into_response()
}

fn unpacked(object: &str) -> Value {
    serde_json::from_str(object).unwrap_or_default()
}
