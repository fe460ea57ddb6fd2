//! What is asked for embeddings. Pure.

use serde_json::{Map, Value as Json};

use super::Refusal;
use crate::error::ServingError;

/// The most texts of a request.
const MAX_INPUTS: usize = 2048;

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) model: String,
    pub(super) inputs: Inputs,
    pub(super) encoding: Encoding,
    /// How many of the first numbers of each embedding are wanted; all without it.
    pub(super) dimensions: Option<usize>,
    /// Who asks: what a launch decides by.
    pub(super) user: Option<String>,
}

/// What is embedded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Inputs {
    Texts(Vec<String>),
    /// Texts that were cut into tokens already.
    Tokens(Vec<Vec<i64>>),
}

/// How the numbers of an embedding are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// As a list of numbers.
    Float,
    /// Their bytes, single precision and little-endian, in base64.
    Base64,
}

impl Asked {
    pub(super) fn read(mut body: Map<String, Json>) -> Result<Self, Refusal> {
        let model = match body.remove("model") {
            Some(Json::String(model)) => model,
            Some(_) => return Err(Refusal::of("model", "model must be the name of a deployment")),
            None => return Err(Refusal::of("model", "model is missing: the name of a deployment")),
        };
        let inputs = match body.remove("input") {
            Some(input) => Inputs::read(input)?,
            None => return Err(Refusal::of("input", "input is missing")),
        };
        let encoding = match body.remove("encoding_format") {
            None | Some(Json::Null) => Encoding::Float,
            Some(Json::String(word)) if word == "float" => Encoding::Float,
            Some(Json::String(word)) if word == "base64" => Encoding::Base64,
            Some(_) => return Err(Refusal::of("encoding_format", "encoding_format must be float or base64")),
        };
        let dimensions = match body.remove("dimensions") {
            None | Some(Json::Null) => None,
            Some(dimensions) => {
                let dimensions = dimensions.as_u64().and_then(|number| usize::try_from(number).ok());
                let wrong = || Refusal::of("dimensions", "dimensions must be a whole number from 1");
                Some(dimensions.filter(|number| *number > 0).ok_or_else(wrong)?)
            }
        };
        let user = match body.remove("user") {
            None | Some(Json::Null) => None,
            Some(Json::String(user)) => Some(user),
            Some(_) => return Err(Refusal::of("user", "user must be a text")),
        };
        match body.keys().next() {
            Some(other) => {
                let other: String = other.chars().take(60).collect();
                let reason = format!("{other} is not a parameter of embeddings");
                Err(ServingError::WrongRequest(reason).into())
            }
            None => Ok(Self { model, inputs, encoding, dimensions, user }),
        }
    }
}

impl Inputs {
    fn read(input: Json) -> Result<Self, Refusal> {
        let wrong = || {
            Refusal::of(
                "input",
                "input must be a text, tokens (whole numbers), a list of texts or a list of lists of tokens",
            )
        };
        let inputs = match input {
            Json::String(text) => Self::Texts(vec![text]),
            Json::Array(list) => match list.first() {
                None => return Err(Refusal::of("input", "input must not be empty")),
                Some(Json::String(_)) => {
                    Self::Texts(list.into_iter().map(text).collect::<Option<_>>().ok_or_else(wrong)?)
                }
                Some(Json::Number(_)) => Self::Tokens(vec![tokens(&list).ok_or_else(wrong)?]),
                Some(Json::Array(_)) => {
                    let each = |list: &Json| list.as_array().and_then(|list| tokens(list));
                    Self::Tokens(list.iter().map(each).collect::<Option<_>>().ok_or_else(wrong)?)
                }
                Some(_) => return Err(wrong()),
            },
            _ => return Err(wrong()),
        };
        let (count, empty) = match &inputs {
            Self::Texts(texts) => (texts.len(), texts.iter().position(String::is_empty)),
            Self::Tokens(rows) => (rows.len(), rows.iter().position(Vec::is_empty)),
        };
        if count > MAX_INPUTS {
            return Err(Refusal::of(
                "input",
                format!("input has {count} texts; at most {MAX_INPUTS} go in one request"),
            ));
        }
        match empty {
            Some(place) => Err(Refusal::of("input", format!("input {place} is empty"))),
            None => Ok(inputs),
        }
    }
}

fn text(json: Json) -> Option<String> {
    match json {
        Json::String(text) => Some(text),
        _ => None,
    }
}

fn tokens(list: &[Json]) -> Option<Vec<i64>> {
    list.iter().map(|token| token.as_i64().filter(|token| *token >= 0)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(body: Json) -> Result<Asked, (String, Option<&'static str>)> {
        let Json::Object(body) = body else { panic!("an object") };
        Asked::read(body).map_err(|refusal| (refusal.error.to_string(), refusal.parameter))
    }

    #[test]
    fn a_text_is_asked_for_in_four_ways() {
        let inputs = |input: Json| read(json!({"model": "m", "input": input})).unwrap().inputs;
        let texts = |texts: &[&str]| Inputs::Texts(texts.iter().map(|text| (*text).to_owned()).collect());
        assert_eq!(inputs(json!("a")), texts(&["a"]));
        assert_eq!(inputs(json!(["a", "b"])), texts(&["a", "b"]));
        assert_eq!(inputs(json!([1, 2])), Inputs::Tokens(vec![vec![1, 2]]));
        assert_eq!(inputs(json!([[1], [2, 3]])), Inputs::Tokens(vec![vec![1], vec![2, 3]]));
        let asked = read(
            json!({"model": "m", "input": "a", "encoding_format": "base64", "dimensions": 3, "user": "u"}),
        );
        let asked = asked.unwrap();
        assert_eq!((asked.encoding, asked.dimensions), (Encoding::Base64, Some(3)));
        assert_eq!(asked.user.as_deref(), Some("u"));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_parameter() {
        let many = vec!["a"; 2049];
        for (body, words, parameter) in [
            (json!({"input": "a"}), "model is missing", Some("model")),
            (json!({"model": 1, "input": "a"}), "the name of a deployment", Some("model")),
            (json!({"model": "m"}), "input is missing", Some("input")),
            (json!({"model": "m", "input": ""}), "input 0 is empty", Some("input")),
            (json!({"model": "m", "input": ["a", ""]}), "input 1 is empty", Some("input")),
            (json!({"model": "m", "input": []}), "must not be empty", Some("input")),
            (json!({"model": "m", "input": [[1], []]}), "input 1 is empty", Some("input")),
            (json!({"model": "m", "input": ["a", 1]}), "input must be a text", Some("input")),
            (json!({"model": "m", "input": [1, -1]}), "input must be a text", Some("input")),
            (json!({"model": "m", "input": [1.5]}), "input must be a text", Some("input")),
            (json!({"model": "m", "input": {"a": 1}}), "input must be a text", Some("input")),
            (json!({"model": "m", "input": many}), "2049 texts; at most 2048", Some("input")),
            (
                json!({"model": "m", "input": "a", "encoding_format": "int8"}),
                "float or base64",
                Some("encoding_format"),
            ),
            (json!({"model": "m", "input": "a", "dimensions": 0}), "from 1", Some("dimensions")),
            (json!({"model": "m", "input": "a", "user": 1}), "user must be a text", Some("user")),
            (json!({"model": "m", "input": "a", "stream": true}), "stream is not a parameter", None),
        ] {
            let (message, got) = read(body).unwrap_err();
            assert!(message.contains(words), "{message}");
            assert_eq!(got, parameter, "{message}");
        }
    }

    fn any_json() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::from),
            any::<i64>().prop_map(Json::from),
            any::<f64>().prop_map(Json::from),
            ".{0,4}".prop_map(Json::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| prop::collection::vec(inner, 0..4).prop_map(Json::from))
    }

    proptest! {
        #[test]
        fn any_input_is_read_or_refused(input in any_json(), dimensions in any_json(), encoding in any_json()) {
            let body = json!({"model": "m", "input": input, "dimensions": dimensions, "encoding_format": encoding});
            if let Ok(asked) = read(body) {
                let count = match &asked.inputs {
                    Inputs::Texts(texts) => texts.iter().filter(|text| !text.is_empty()).count(),
                    Inputs::Tokens(rows) => rows.iter().filter(|row| !row.is_empty()).count(),
                };
                prop_assert!(count > 0);
            }
        }
    }
}
