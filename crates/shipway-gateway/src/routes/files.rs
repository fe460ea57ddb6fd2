//! Files and batches, under OpenAI's paths.

use axum::{
    extract::{Query, State},
    response::Response,
};
use http::HeaderMap;
use shipway_web::{BodyBytes, Caller, Path};

use crate::{
    files::{self, ListQuery},
    service::Gateway,
};

macro_rules! of_one {
    ($($name:ident: $does:path;)*) => {
        $(pub(super) async fn $name(
            State(gateway): State<Gateway>,
            caller: Caller,
            headers: HeaderMap,
            Path(id): Path<String>,
        ) -> Response {
            $does(&gateway, caller, headers, &id).await
        })*
    };
}

macro_rules! of_a_body {
    ($($name:ident: $does:path;)*) => {
        $(pub(super) async fn $name(
            State(gateway): State<Gateway>,
            caller: Caller,
            headers: HeaderMap,
            BodyBytes(body): BodyBytes,
        ) -> Response {
            $does(&gateway, caller, headers, body).await
        })*
    };
}

macro_rules! of_a_list {
    ($($name:ident: $does:path;)*) => {
        $(pub(super) async fn $name(
            State(gateway): State<Gateway>,
            caller: Caller,
            headers: HeaderMap,
            Query(query): Query<ListQuery>,
        ) -> Response {
            $does(&gateway, caller, headers, query).await
        })*
    };
}

of_one! {
    show_file: files::show_file;
    file_content: files::content;
    delete_file: files::delete;
    show_batch: files::show_batch;
    cancel_batch: files::cancel;
}

of_a_body! {
    upload: files::upload;
    begin_batch: files::begin;
}

of_a_list! {
    list_files: files::list_files;
    list_batches: files::list_batches;
}
