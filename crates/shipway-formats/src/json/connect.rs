//! The schema that Kafka Connect writes beside a payload of JSON, as far as it says what values stand for.

use serde_json::Value as Json;

use crate::meaning::Meaning;

/// What the message's own schema says of a value.
#[derive(Debug, Clone, Default)]
pub(super) struct Described {
    pub(super) meaning: Meaning,
    item: Option<Box<Self>>,
}

/// What is said of a value where nothing is said.
static NOTHING_SAID: Described = Described { meaning: Meaning::Plain, item: None };

impl Described {
    /// The same of what a list or a map holds.
    pub(super) fn item(&self) -> &Self {
        self.item.as_deref().unwrap_or(&NOTHING_SAID)
    }

    /// The JSON reader bounds how deep `schema` is, and so how deep this goes.
    fn of(schema: &Json) -> Self {
        let name = schema.get("name").and_then(Json::as_str).unwrap_or_default();
        let meaning = if name == "org.apache.kafka.connect.data.Decimal" {
            let scale = schema.pointer("/parameters/scale").and_then(Json::as_str);
            Meaning::Decimal(scale.and_then(|scale| scale.parse().ok()).unwrap_or(0))
        } else {
            Meaning::of_connect(name).unwrap_or_default()
        };
        let item = schema.get("items").or_else(|| schema.get("values"));
        Self { meaning, item: item.map(|item| Box::new(Self::of(item))) }
    }
}

/// What `schema`, that of an envelope, says at `path` of the row in its field `image`.
pub(super) fn describe(schema: &Json, image: &str, path: &[Box<str>]) -> Described {
    let names = std::iter::once(image).chain(path.iter().map(|name| &**name));
    let found = names.into_iter().try_fold(schema, |schema, name| {
        let mut fields = schema.get("fields")?.as_array()?.iter();
        fields.find(|field| field.get("field").and_then(Json::as_str) == Some(name))
    });
    found.map(Described::of).unwrap_or_default()
}
