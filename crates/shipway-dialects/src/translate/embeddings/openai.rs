//! OpenAI's embeddings ↔ the form.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::head::BadRequest;
use crate::translate::Context;
use crate::translate::embeddings::form::{Embed, Text, Vectors, vector};
use crate::translate::embeddings::{Embedder, Shape};
use crate::translate::fields::{Fields, object};
use crate::translate::policy::{Judge, Loss};
use crate::usage::Usage;

/// Cohere's words for what embeddings are for, and Google's.
pub(super) const TASKS: [(&str, &str); 4] = [
    ("search_query", "RETRIEVAL_QUERY"),
    ("search_document", "RETRIEVAL_DOCUMENT"),
    ("classification", "CLASSIFICATION"),
    ("clustering", "CLUSTERING"),
];

pub(super) fn read(body: Value, to: Embedder) -> Result<(Embed, Shape), BadRequest> {
    let mut fields = Fields::of(body, "")?;
    fields.take("model");
    let in_base64 = match fields.text("encoding_format")?.as_deref() {
        None | Some("float") => false,
        Some("base64") => true,
        Some(_) => return Err(fields.wrong("encoding_format", "must be float or base64")),
    };
    let task = task(&mut fields)?;
    let title = fields.text("title")?;
    let texts = match fields.take("input") {
        None => return Err(fields.wrong("input", "is missing")),
        Some(Value::String(text)) => vec![("input".to_owned(), text)],
        Some(Value::Array(items)) if items.is_empty() => {
            return Err(fields.wrong("input", "must have a text in it"));
        }
        Some(Value::Array(items)) => {
            let text = |(index, item): (usize, Value)| match item {
                Value::String(text) => Ok((format!("input[{index}]"), text)),
                Value::Number(_) | Value::Array(_) => Err(fields.wrong(
                    "input",
                    format!("tokens mean something to one model alone; {} takes texts", to.name()),
                )),
                _ => Err(fields.wrong("input", "must be a text or a list of texts")),
            };
            items.into_iter().enumerate().map(text).collect::<Result<_, _>>()?
        }
        Some(_) => return Err(fields.wrong("input", "must be a text or a list of texts")),
    };
    let texts: Vec<Text> = texts
        .into_iter()
        .map(|(path, text)| Text { text, task: task.clone(), title: title.clone(), path })
        .collect();
    let shape = Shape { texts: texts.len(), in_base64, is_one: false };
    let (dimensions, user) = (fields.count("dimensions")?, fields.text("user")?);
    let rest = fields.rest();
    Ok((Embed { texts, dimensions, user, field: "input", dimensions_field: "dimensions", rest }, shape))
}

/// What the embeddings are for, where a client says it in the words of Google or Cohere.
fn task(fields: &mut Fields) -> Result<Option<String>, BadRequest> {
    let written = [fields.text("task_type")?, fields.text("taskType")?];
    if let Some(word) = fields.text("input_type")? {
        let known = TASKS.iter().find(|(cohere, _)| *cohere == word);
        let known = known.ok_or_else(|| fields.wrong("input_type", "is not known"))?;
        return Ok(Some(known.1.to_owned()));
    }
    Ok(written.into_iter().flatten().next())
}

pub(super) fn write(model: &str, embed: Embed, judge: &mut Judge) -> Result<Value, BadRequest> {
    let mut texts = Vec::with_capacity(embed.texts.len());
    for Text { text, task, title, path } in embed.texts {
        for (name, value) in [("taskType", task), ("title", title)] {
            if value.is_some() {
                let why = "OpenAI's embeddings are not told what they are for";
                judge.loses(Loss::Changes, &format!("{path}.{name}"), why)?;
            }
        }
        texts.push(text);
    }
    let mut body = object([
        ("model", Some(model.into())),
        ("input", Some(texts.into())),
        ("dimensions", embed.dimensions.map(Value::from)),
        ("encoding_format", Some("float".into())),
        ("user", embed.user.map(Value::from)),
    ]);
    if let Value::Object(members) = &mut body {
        for (name, value) in embed.rest {
            members.entry(name).or_insert(value);
        }
    }
    Ok(body)
}

/// The vectors of an answer, in the order of the texts.
pub(super) fn vectors(answer: &Value) -> Option<Vectors> {
    let data = answer.get("data")?.as_array()?;
    let mut placed = data
        .iter()
        .enumerate()
        .map(|(place, item)| {
            let index = item.get("index").and_then(Value::as_u64).unwrap_or(place as u64);
            let embedding = item.get("embedding")?;
            // Some answer in base 64, whatever they were asked for.
            let vector = match embedding.as_str() {
                Some(text) => decoded(text)?,
                None => vector(embedding)?,
            };
            Some((index, vector))
        })
        .collect::<Option<Vec<_>>>()?;
    placed.sort_by_key(|(index, _)| *index);
    Some(placed.into_iter().map(|(_, vector)| vector).collect())
}

fn decoded(text: &str) -> Option<Vec<f64>> {
    let bytes = STANDARD.decode(text).ok().filter(|bytes| !bytes.is_empty() && bytes.len() % 4 == 0)?;
    let numbers = bytes.chunks_exact(4).map(|four| {
        let four: [u8; 4] = four.try_into().unwrap_or_default();
        f64::from(f32::from_le_bytes(four))
    });
    Some(numbers.collect())
}

pub(super) fn answer(
    vectors: &Vectors,
    in_base64: bool,
    usage: Option<Usage>,
    context: &Context<'_>,
) -> Value {
    let data = vectors.iter().enumerate().map(|(index, vector)| {
        let embedding = if in_base64 { encoded(vector).into() } else { json!(vector) };
        json!({"object": "embedding", "index": index, "embedding": embedding})
    });
    // OpenAI's clients insist on usage.
    let tokens = usage.map_or(context.input_tokens, |usage| usage.total_input());
    json!({
        "object": "list", "data": data.collect::<Vec<_>>(), "model": context.model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    })
}

fn encoded(vector: &[f64]) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "OpenAI's embeddings have 32 bits")]
    let bytes: Vec<u8> = vector.iter().flat_map(|number| (*number as f32).to_le_bytes()).collect();
    STANDARD.encode(bytes)
}
