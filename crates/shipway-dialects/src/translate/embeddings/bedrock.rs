//! Embeddings of the models that Bedrock has, each in the words of its maker.

use serde_json::{Value, json};

use crate::head::BadRequest;
use crate::translate::embeddings::Embedder;
use crate::translate::embeddings::form::{Embed, Vectors, vector};
use crate::translate::embeddings::openai::TASKS;
use crate::translate::policy::{Judge, Loss, refusal};
use crate::usage::count;

pub(super) fn titan(to: Embedder, mut embed: Embed, judge: &mut Judge) -> Result<Value, BadRequest> {
    notes_user(&embed, judge);
    let text = embed.texts.pop().ok_or_else(|| refusal(embed.field, "is missing"))?;
    for (name, value) in [("task_type", &text.task), ("title", &text.title)] {
        if value.is_some() {
            judge.loses(Loss::Changes, name, "Titan is not told what embeddings are for")?;
        }
    }
    let mut body = json!({"inputText": text.text});
    match (to, embed.dimensions) {
        (_, None) => {}
        (Embedder::TitanFirst, Some(_)) => {
            let why = "the vectors of Titan's first version have one length";
            judge.loses(Loss::Shape, embed.dimensions_field, why)?;
        }
        (_, Some(dimensions)) => body["dimensions"] = dimensions.into(),
    }
    put_rest(&mut body, embed.rest);
    Ok(body)
}

pub(super) fn cohere(to: Embedder, embed: Embed, judge: &mut Judge) -> Result<Value, BadRequest> {
    notes_user(&embed, judge);
    let task = embed.texts.first().and_then(|text| text.task.clone());
    if let Some(other) = embed.texts.iter().find(|text| text.task != task) {
        return Err(refusal(&other.path, "all texts of a call are for the same where Cohere is asked"));
    }
    if embed.texts.iter().any(|text| text.title.is_some()) {
        judge.loses(Loss::Changes, "title", "Cohere is told no titles")?;
    }
    let known = task.as_deref().map(|task| TASKS.iter().find(|(_, google)| *google == task));
    let input_type = match known {
        Some(Some((word, _))) => *word,
        Some(None) => {
            judge.loses(Loss::Changes, "task_type", "Cohere has no such word for what embeddings are for")?;
            "search_document"
        }
        None => {
            let why = "Cohere insists on what embeddings are for: `search_document` is set; say `input_type`";
            judge.notes("input_type", why);
            "search_document"
        }
    };
    let texts: Vec<String> = embed.texts.into_iter().map(|text| text.text).collect();
    let mut body = json!({"texts": texts, "input_type": input_type, "embedding_types": ["float"]});
    match (to, embed.dimensions) {
        (_, None) => {}
        (Embedder::CohereThird, Some(_)) => {
            let why = "the vectors of Cohere's models up to the third version have one length";
            judge.loses(Loss::Shape, embed.dimensions_field, why)?;
        }
        (_, Some(dimensions)) => body["output_dimension"] = dimensions.into(),
    }
    put_rest(&mut body, embed.rest);
    Ok(body)
}

fn notes_user(embed: &Embed, judge: &mut Judge) {
    if embed.user.is_some() {
        judge.notes("user", "Bedrock is told no user");
    }
}

fn put_rest(body: &mut Value, rest: serde_json::Map<String, Value>) {
    if let Value::Object(members) = body {
        for (name, value) in rest {
            members.entry(name).or_insert(value);
        }
    }
}

pub(super) fn titan_vectors(answer: &Value) -> Option<Vectors> {
    let found = answer.get("embedding").or_else(|| answer.pointer("/embeddingsByType/float"))?;
    Some(vec![vector(found)?])
}

pub(super) fn titan_tokens(answer: &Value) -> Option<u64> {
    count(answer, "/inputTextTokenCount")
}

/// Where types of embeddings were asked for, they stand under their type.
pub(super) fn cohere_vectors(answer: &Value) -> Option<Vectors> {
    let embeddings = answer.get("embeddings")?;
    embeddings.get("float").unwrap_or(embeddings).as_array()?.iter().map(vector).collect()
}
