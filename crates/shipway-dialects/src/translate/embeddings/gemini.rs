//! Gemini's embeddings ↔ the form: `embedContent` of one content, `batchEmbedContents` of several.

use serde_json::{Map, Value, json};

use crate::head::BadRequest;
use crate::translate::embeddings::Shape;
use crate::translate::embeddings::form::{Embed, Text, Vectors, vector};
use crate::translate::fields::{Fields, object};
use crate::translate::policy::{Judge, refusal};
use crate::usage::{Usage, count};

/// What one content asks for beside its text.
struct One {
    text: Text,
    dimensions: Option<u64>,
    rest: Map<String, Value>,
}

pub(super) fn read(body: Value) -> Result<(Embed, Shape), BadRequest> {
    let mut fields = Fields::of(body, "")?;
    fields.camel_case();
    let requests = fields.list("requests")?;
    let is_one = requests.is_none();
    let ones: Vec<One> = match requests {
        None => vec![one(fields)?],
        Some(requests) if requests.is_empty() => {
            return Err(fields.wrong("requests", "must have a content in it"));
        }
        Some(requests) => {
            let one = |(index, request)| one(Fields::of(request, format!("requests[{index}]"))?);
            requests.into_iter().enumerate().map(one).collect::<Result<_, _>>()?
        }
    };
    let dimensions = ones.first().and_then(|one| one.dimensions);
    let rest = ones.first().map(|one| one.rest.clone()).unwrap_or_default();
    for one in &ones {
        if one.dimensions != dimensions {
            let problem = "all vectors of a call have one length where it is translated";
            return Err(refusal(&format!("{}.outputDimensionality", one.text.path), problem));
        }
        if one.rest != rest {
            let problem = "all contents of a call are asked for alike where it is translated";
            return Err(refusal(&one.text.path, problem));
        }
    }
    let texts: Vec<Text> = ones.into_iter().map(|one| one.text).collect();
    let shape = Shape { texts: texts.len(), in_base64: false, is_one };
    let field = if is_one { "content" } else { "requests" };
    let dimensions_field = "outputDimensionality";
    Ok((Embed { texts, dimensions, user: None, field, dimensions_field, rest }, shape))
}

fn one(mut fields: Fields) -> Result<One, BadRequest> {
    fields.camel_case();
    fields.take("model");
    let mut content = fields.needs_object("content")?;
    content.take("role");
    let path = content.at("parts");
    let mut parts = content.list("parts")?.unwrap_or_default();
    // What several parts have for one vector, each provider decides for itself.
    let (Some(part), true) = (parts.pop(), parts.is_empty()) else {
        return Err(refusal(&path, "must be one text where the call is translated"));
    };
    let mut part = Fields::of(part, format!("{path}[0]"))?;
    let text = part.text("text")?.ok_or_else(|| refusal(&path, "only texts can be carried across"))?;
    let mut config = fields.object("embedContentConfig")?;
    let mut said = |name: &str| match fields.text(name)? {
        Some(text) => Ok(Some(text)),
        None => config.as_mut().map_or(Ok(None), |config| config.text(name)),
    };
    let (task, title) = (said("taskType")?, said("title")?);
    let dimensions = match fields.count("outputDimensionality")? {
        Some(dimensions) => Some(dimensions),
        None => config.as_mut().map_or(Ok(None), |config| config.count("outputDimensionality"))?,
    };
    let task = task.filter(|task| task != "TASK_TYPE_UNSPECIFIED");
    let place = fields.at("");
    let path = if place.is_empty() { "content".to_owned() } else { place.trim_end_matches('.').to_owned() };
    let mut rest = fields.rest();
    rest.extend(config.map(Fields::rest).unwrap_or_default());
    Ok(One { text: Text { text, task, title, path }, dimensions, rest })
}

/// The name of a model, with where it lies.
fn place_of(model: &str) -> String {
    if model.contains('/') { model.to_owned() } else { format!("models/{model}") }
}

pub(super) fn write(model: &str, embed: Embed, judge: &mut Judge) -> Value {
    if embed.user.is_some() {
        judge.notes("user", "Gemini is told no user");
    }
    let (dimensions, rest) = (embed.dimensions, embed.rest);
    let requests = embed.texts.into_iter().map(|text| {
        let mut request = object([
            ("model", Some(place_of(model).into())),
            ("content", Some(json!({"parts": [{"text": text.text}]}))),
            ("taskType", text.task.map(Value::from)),
            ("title", text.title.map(Value::from)),
            ("outputDimensionality", dimensions.map(Value::from)),
        ]);
        if let Value::Object(members) = &mut request {
            for (name, value) in &rest {
                members.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
        request
    });
    json!({"requests": requests.collect::<Vec<_>>()})
}

/// The vectors of an answer, one or several.
pub(super) fn vectors(answer: &Value) -> Option<Vectors> {
    if let Some(one) = answer.get("embedding") {
        return Some(vec![vector(one.get("values")?)?]);
    }
    answer.get("embeddings")?.as_array()?.iter().map(|one| vector(one.get("values")?)).collect()
}

pub(super) fn tokens(answer: &Value) -> Option<u64> {
    count(answer, "/usageMetadata/promptTokenCount")
}

pub(super) fn answer(vectors: Vectors, is_one: bool, usage: Option<Usage>) -> Value {
    let mut embeddings = vectors.into_iter().map(|values| json!({"values": values}));
    let mut body = match is_one {
        true => json!({"embedding": embeddings.next()}),
        false => json!({"embeddings": embeddings.collect::<Vec<_>>()}),
    };
    if let Some(usage) = usage {
        body["usageMetadata"] =
            json!({"promptTokenCount": usage.total_input(), "totalTokenCount": usage.total_input()});
    }
    body
}
