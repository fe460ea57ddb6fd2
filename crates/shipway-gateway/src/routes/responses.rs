//! What is asked about responses that providers keep.

use axum::{
    extract::{RawQuery, State},
    response::Response,
};
use http::{HeaderMap, Method};
use shipway_web::{Caller, Path};

use crate::{
    call::{self, FollowUp},
    service::Gateway,
};

/// Also as a stream, where the query says `stream=true`.
pub(super) async fn show(
    State(gateway): State<Gateway>,
    caller: Caller,
    headers: HeaderMap,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let asked = FollowUp { method: Method::GET, id, tail: "", query, caller, headers };
    call::follow_up(&gateway, asked).await
}

pub(super) async fn delete(
    State(gateway): State<Gateway>,
    caller: Caller,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Response {
    let asked = FollowUp { method: Method::DELETE, id, tail: "", query: None, caller, headers };
    call::follow_up(&gateway, asked).await
}

pub(super) async fn cancel(
    State(gateway): State<Gateway>,
    caller: Caller,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Response {
    let asked = FollowUp { method: Method::POST, id, tail: "/cancel", query: None, caller, headers };
    call::follow_up(&gateway, asked).await
}

pub(super) async fn input_items(
    State(gateway): State<Gateway>,
    caller: Caller,
    headers: HeaderMap,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let asked = FollowUp { method: Method::GET, id, tail: "/input_items", query, caller, headers };
    call::follow_up(&gateway, asked).await
}
