//! `POST /push` and `POST /write-to-online-store`: a data frame becomes events of a source.
//!
//! Their client answers a push by writing to every feature view that is fed by the push source, with the columns that the
//! view declares. A row of such a write is an event of our view's source, with null in all other columns.

use axum::{extract::State, response::IntoResponse, response::Response};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value as Json};
use shipway_core::{Digest, Name, exact_json, nearest};
use shipway_definitions::ViewBody;
use shipway_web::{JsonText, Problem};

use super::frame::Frame;
use crate::{
    Events, Features,
    error::{FeaturesError, invalid},
    model::token::Token,
};

/// Where their client puts the event time, whatever it is called in the source.
const EVENT_TIMESTAMP: &str = "event_timestamp";
/// When their client made the row; ours note the arrival by themselves.
const CREATED: [&str; 2] = ["created", "created_timestamp"];
/// How many refused rows a refusal tells.
const TOLD: usize = 3;

#[derive(Deserialize)]
pub(super) struct Push {
    push_source_name: String,
    df: Map<String, Json>,
    to: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Write {
    feature_view_name: String,
    df: Map<String, Json>,
}

/// Takes in the rows as events of the source with the name of the push source.
pub(super) async fn push(
    State(features): State<Features>,
    JsonText { value: mut push, text }: JsonText<Push>,
) -> Result<Response, Problem> {
    match push.to.as_deref() {
        None | Some("online" | "online_and_offline") => {}
        Some("offline") => {
            return Err(invalid("to offline: events always reach the online state and history").into());
        }
        Some(other) => {
            return Err(invalid(format!("to {other}: expected online or online_and_offline")).into());
        }
    }
    features.restore_digits(&push.push_source_name, &mut push.df, &text)?;
    let frame = Frame::new(push.df)?;
    Ok(features.take_in(&push.push_source_name, frame).await?)
}

/// Takes in the rows as events of the view's source.
pub(super) async fn write_to_online_store(
    State(features): State<Features>,
    JsonText { value: mut write, text }: JsonText<Write>,
) -> Result<Response, Problem> {
    let definitions = features.inner.definitions();
    let view = definitions.views.get(write.feature_view_name.as_str());
    let view = view.ok_or_else(|| FeaturesError::UnknownView {
        nearest: nearest(&write.feature_view_name, definitions.views.keys().map(Name::as_str))
            .map(str::to_owned),
        name: write.feature_view_name.clone(),
    })?;
    let view = &view.definition;
    if matches!(view.body, ViewBody::Aggregates(_)) || !view.enrich.is_empty() {
        let (view, source_name) = (view.name.to_string(), view.source.to_string());
        return Err(FeaturesError::ComputedFeatures { view, source_name }.into());
    }
    features.restore_digits(view.source.as_str(), &mut write.df, &text)?;
    let mut frame = Frame::new(write.df)?;
    for ((name, _), column) in view.entity_keys.iter().zip(&view.key_columns) {
        frame.rename(name.as_str(), column.as_str());
    }
    Ok(features.take_in(view.source.as_str(), frame).await?)
}

impl Features {
    /// Puts the digits of decimals back into a data frame of `source`, which was read from the body `text`.
    fn restore_digits(
        &self,
        source: &str,
        frame: &mut Map<String, Json>,
        text: &[u8],
    ) -> Result<(), FeaturesError> {
        let shape = self.inner.source(source)?.shape();
        let columns = &shape.schema.columns;
        let is_decimal = |column: &str| {
            columns.iter().any(|(name, data_type)| name.as_str() == column && data_type.has_decimals())
        };
        exact_json::restore_member(frame, text, "df", is_decimal)
            .map_err(|fault| invalid(format!("df: {fault}")))
    }

    /// Takes in all rows, or says which do not fit. Answered when the events can be read: 202 when they are durable and it
    /// takes longer.
    async fn take_in(&self, source: &str, mut frame: Frame) -> Result<Response, FeaturesError> {
        let runtime = self.inner.source_in_force(source)?;
        let shape = runtime.shape();
        let schema = &shape.schema;
        if schema.index_of(EVENT_TIMESTAMP).is_none() {
            frame.rename(EVENT_TIMESTAMP, schema.columns[schema.time_index].0.as_str());
        }
        CREATED.iter().filter(|name| schema.index_of(name).is_none()).for_each(|name| frame.remove(name));
        let mut events = frame.into_objects();
        if let Some(id) = schema.id_index {
            let id = schema.columns[id].0.as_str();
            events.iter_mut().filter(|event| !event.contains_key(id)).for_each(|event| {
                let made = id_of(event);
                event.insert(id.to_owned(), made.into());
            });
        }
        let count = events.len();
        let answer = self.ingest(source, Events::Objects(events)).await?;
        if !answer.refused.is_empty() {
            let told = answer.refused.iter().take(TOLD);
            let told: Vec<String> =
                told.map(|refused| format!("row {}: {}", refused.index, refused.reason)).collect();
            let (refused, taken) = (answer.refused.len(), count - answer.refused.len());
            return Err(invalid(format!(
                "{refused} of {count} rows do not fit source {source}, {taken} are taken in: {}",
                told.join("; ")
            )));
        }
        for (_, offset) in Token::parse(&answer.token)?.offsets() {
            if runtime.wait_visible(offset, self.inner.limits.token_wait).await.is_err() {
                return Ok(StatusCode::ACCEPTED.into_response());
            }
        }
        Ok(StatusCode::OK.into_response())
    }
}

/// An id for a row that has none: the same row pushed again, as their client does after an error, counts once.
fn id_of(event: &Map<String, Json>) -> String {
    let mut cells: Vec<String> = event.iter().map(|(name, value)| format!("{name}={value}")).collect();
    cells.sort_unstable();
    format!("feast:{}", Digest::of(cells.join("\n")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_same_row_has_the_same_id_and_another_row_another() {
        let id = |json: Json| id_of(json.as_object().unwrap());
        assert_eq!(id(json!({ "a": 1, "b": "x" })), id(json!({ "b": "x", "a": 1 })));
        assert_ne!(id(json!({ "a": 1, "b": "x" })), id(json!({ "a": 2, "b": "x" })));
    }
}
