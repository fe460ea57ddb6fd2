//! What all APIs of embeddings can say.

use serde_json::{Map, Value};

/// One vector for each text.
pub(super) type Vectors = Vec<Vec<f64>>;

/// A request for embeddings.
#[derive(Debug)]
pub(super) struct Embed {
    pub(super) texts: Vec<Text>,
    pub(super) dimensions: Option<u64>,
    pub(super) user: Option<String>,
    /// The member that the texts stand in.
    pub(super) field: &'static str,
    /// What the client calls `dimensions`.
    pub(super) dimensions_field: &'static str,
    /// Members that nobody here knows: they go on under their own name, for whoever put them there meant the provider.
    pub(super) rest: Map<String, Value>,
}

/// A text, and what its embedding is for.
#[derive(Debug)]
pub(super) struct Text {
    pub(super) text: String,
    /// What it is for, in Google's words, such as `RETRIEVAL_QUERY`.
    pub(super) task: Option<String>,
    pub(super) title: Option<String>,
    /// Where it stood in the source, for refusals.
    pub(super) path: String,
}

impl Embed {
    /// A request for each of the texts alone.
    pub(super) fn each(self) -> impl Iterator<Item = Self> {
        let Self { texts, dimensions, user, field, dimensions_field, rest } = self;
        texts.into_iter().map(move |text| Self {
            texts: vec![text],
            dimensions,
            user: user.clone(),
            field,
            dimensions_field,
            rest: rest.clone(),
        })
    }
}

/// A vector out of a list of numbers.
pub(super) fn vector(value: &Value) -> Option<Vec<f64>> {
    let numbers = value.as_array().filter(|numbers| !numbers.is_empty())?;
    numbers.iter().map(Value::as_f64).collect()
}
