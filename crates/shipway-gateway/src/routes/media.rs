//! Images, sound and moderations, under OpenAI's paths.

use axum::{extract::State, response::Response};
use http::HeaderMap;
use shipway_dialects::Dialect;
use shipway_web::{BodyBytes, Caller};

use crate::{
    call::{self, Api, Request},
    service::Gateway,
};

const fn writes(path: &'static str) -> Api {
    Api { dialect: Dialect::OpenAiMedia, path, writes: true, is_charged: true }
}

/// What writes no tokens.
const fn reads(path: &'static str) -> Api {
    Api { writes: false, ..writes(path) }
}

macro_rules! passed_on {
    ($($name:ident: $api:expr;)*) => {
        $(pub(super) async fn $name(
            State(gateway): State<Gateway>,
            caller: Caller,
            headers: HeaderMap,
            BodyBytes(body): BodyBytes,
        ) -> Response {
            call::answer(&gateway, Request { api: $api, caller, headers, body, said_by_path: None }).await
        })*
    };
}

passed_on! {
    image_generations: writes("images/generations");
    image_edits: writes("images/edits");
    image_variations: writes("images/variations");
    speech: reads("audio/speech");
    transcriptions: writes("audio/transcriptions");
    translations: writes("audio/translations");
    moderations: reads("moderations");
}
