//! Embeddings as Vertex is asked for them: `predict` with instances, and `embedContent` with one content.

use serde_json::{Map, Value, json};

use crate::head::BadRequest;
use crate::translate::embeddings::form::{Embed, Vectors, vector};
use crate::translate::fields::object;
use crate::translate::policy::{Judge, refusal};
use crate::usage::count;

pub(super) fn predict(embed: Embed, judge: &mut Judge) -> Value {
    notes_user(&embed, judge);
    let instances = embed.texts.into_iter().map(|text| {
        object([
            ("content", Some(text.text.into())),
            ("task_type", text.task.map(Value::from)),
            ("title", text.title.map(Value::from)),
        ])
    });
    let mut body = json!({"instances": instances.collect::<Vec<_>>()});
    let parameters = with(embed.rest, [("outputDimensionality", embed.dimensions.map(Value::from))]);
    if !parameters.is_empty() {
        body["parameters"] = Value::Object(parameters);
    }
    body
}

pub(super) fn content(mut embed: Embed, judge: &mut Judge) -> Result<Value, BadRequest> {
    notes_user(&embed, judge);
    let text = embed.texts.pop().ok_or_else(|| refusal(embed.field, "is missing"))?;
    let mut body = json!({"content": {"role": "user", "parts": [{"text": text.text}]}});
    let config = with(
        embed.rest,
        [
            ("taskType", text.task.map(Value::from)),
            ("title", text.title.map(Value::from)),
            ("outputDimensionality", embed.dimensions.map(Value::from)),
        ],
    );
    if !config.is_empty() {
        body["embedContentConfig"] = Value::Object(config);
    }
    Ok(body)
}

fn notes_user(embed: &Embed, judge: &mut Judge) {
    if embed.user.is_some() {
        judge.notes("user", "Vertex is told no user");
    }
}

fn with(
    mut rest: Map<String, Value>,
    members: impl IntoIterator<Item = (&'static str, Option<Value>)>,
) -> Map<String, Value> {
    for (name, value) in members {
        if let Some(value) = value {
            rest.insert(name.to_owned(), value);
        }
    }
    rest
}

pub(super) fn vectors(answer: &Value) -> Option<Vectors> {
    let predictions = answer.get("predictions")?.as_array()?;
    predictions.iter().map(|one| vector(one.pointer("/embeddings/values")?)).collect()
}

/// Of all predictions; none where one of them does not say it.
pub(super) fn tokens(answer: &Value) -> Option<u64> {
    let predictions = answer.get("predictions")?.as_array()?;
    let each = predictions.iter().map(|one| count(one, "/embeddings/statistics/token_count"));
    each.sum()
}
