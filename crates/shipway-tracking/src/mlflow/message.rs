//! Requests of this wire: a JSON body, or a query string for GET, read as protobuf reads JSON.
//!
//! Unknown fields are ignored; `camelCase` and `snake_case` are the same name; integers may be texts; doubles may be `"NaN"`,
//! `"Infinity"` and `"-Infinity"`; null is unset. A body that is not JSON, or a value of a wrong type, is refused by name.

use axum::extract::{FromRequest, Request};
use serde_json::{Map, Value};
use shipway_core::Timestamp;
use shipway_web::{BodyBytes, Problem};
use url::form_urlencoded;

use super::error::WireError;
use crate::{error::TrackingError, model::Pair};

/// The fields of a request, or of a message within it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Message {
    fields: Map<String, Value>,
    /// What a message within another is called, for errors: `metrics[3].`
    path: String,
}

type Field<T> = Result<T, WireError>;

impl<S: Send + Sync> FromRequest<S> for Message {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let query = request.uri().query().unwrap_or_default().to_owned();
        let BodyBytes(body) = BodyBytes::from_request(request, state).await?;
        Self::read(&query, &body).map_err(Problem::from)
    }
}

impl Message {
    /// A request without a body is in its query.
    pub(super) fn read(query: &str, body: &[u8]) -> Field<Self> {
        if body.is_empty() { Self::from_query(query) } else { Self::from_body(body) }
    }

    /// Repeated keys of a query are the values of a repeated field.
    pub(crate) fn from_query(query: &str) -> Field<Self> {
        let mut fields: Map<String, Value> = Map::new();
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            let value = Value::from(value.into_owned());
            match fields.get_mut(&snake(&key)) {
                None => {
                    fields.insert(snake(&key), value);
                }
                Some(Value::Array(values)) => values.push(value),
                Some(first) => *first = Value::Array(vec![first.take(), value]),
            }
        }
        Ok(Self { fields, path: String::new() })
    }

    pub(super) fn from_body(body: &[u8]) -> Field<Self> {
        let refuse = |reason: String| WireError::from(TrackingError::invalid("body", reason));
        match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => Self::from_fields(fields, String::new()),
            // Some clients encode the whole body as a JSON text once more.
            Ok(Value::String(text)) => match serde_json::from_str(&text) {
                Ok(Value::Object(fields)) => Self::from_fields(fields, String::new()),
                _ => Err(refuse("the request body must be a JSON object".to_owned())),
            },
            Ok(_) => Err(refuse("the request body must be a JSON object".to_owned())),
            Err(error) => Err(refuse(format!("the request body is not JSON: {error}"))),
        }
    }

    /// The fields of a request that came in another form, in either spelling.
    pub(crate) fn of(fields: Map<String, Value>) -> Field<Self> {
        Self::from_fields(fields, String::new())
    }

    fn from_fields(fields: Map<String, Value>, path: String) -> Field<Self> {
        let mut message = Self { fields: Map::new(), path };
        for (key, value) in fields {
            let name = snake(&key);
            if message.fields.insert(name.clone(), value).is_some() {
                return Err(message.invalid(&name, "it is given twice, as camelCase and as snake_case"));
            }
        }
        message.fields.retain(|_, value| !value.is_null());
        Ok(message)
    }

    fn invalid(&self, name: &str, reason: &str) -> WireError {
        TrackingError::invalid(format!("parameter '{}{name}'", self.path), reason).into()
    }

    fn wrong_type(&self, name: &str, value: &Value, expected: &str) -> WireError {
        let shown: String = value.to_string().chars().take(100).collect();
        let reason = format!(
            "Invalid value {shown} for parameter '{}{name}' supplied: expected {expected}",
            self.path
        );
        TrackingError::invalid(format!("parameter '{}{name}'", self.path), reason).into()
    }

    pub(crate) fn missing(&self, name: &str) -> WireError {
        let reason = format!(
            "Missing value for required parameter '{}{name}'. See the API docs for more information about request \
             parameters.",
            self.path
        );
        TrackingError::invalid(format!("parameter '{}{name}'", self.path), reason).into()
    }

    /// Whether the field is set.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }

    pub(crate) fn text(&self, name: &str) -> Field<Option<String>> {
        match self.fields.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(other) => Err(self.wrong_type(name, other, "a string")),
        }
    }

    /// A text that must be there and not be empty.
    pub(crate) fn required_text(&self, name: &str) -> Field<String> {
        self.text(name)?.filter(|text| !text.is_empty()).ok_or_else(|| self.missing(name))
    }

    /// A text that is empty when unset.
    pub(crate) fn text_or_empty(&self, name: &str) -> Field<String> {
        Ok(self.text(name)?.unwrap_or_default())
    }

    pub(crate) fn integer(&self, name: &str) -> Field<Option<i64>> {
        let Some(value) = self.fields.get(name) else { return Ok(None) };
        let whole = |number: f64| {
            // Doubles hold every integer up to 2^53; beyond it a double is no exact integer.
            (number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0).then_some(number as i64)
        };
        let read = match value {
            Value::Number(number) => number.as_i64().or_else(|| number.as_f64().and_then(whole)),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        read.map(Some).ok_or_else(|| self.wrong_type(name, value, "an integer"))
    }

    pub(crate) fn number(&self, name: &str) -> Field<Option<f64>> {
        let Some(value) = self.fields.get(name) else { return Ok(None) };
        let read = match value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => match text.as_str() {
                "NaN" => Some(f64::NAN),
                "Infinity" => Some(f64::INFINITY),
                "-Infinity" => Some(f64::NEG_INFINITY),
                text => text.parse().ok().filter(|number: &f64| number.is_finite()),
            },
            _ => None,
        };
        read.map(Some).ok_or_else(|| self.wrong_type(name, value, "a number"))
    }

    pub(crate) fn flag(&self, name: &str) -> Field<Option<bool>> {
        match self.fields.get(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(Value::String(text)) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(Value::String(text)) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some(other) => Err(self.wrong_type(name, other, "true or false")),
        }
    }

    /// A repeated text; one value alone is a list of one.
    pub(crate) fn texts(&self, name: &str) -> Field<Vec<String>> {
        let values = match self.fields.get(name) {
            None => return Ok(Vec::new()),
            Some(Value::Array(values)) => values.as_slice(),
            Some(one) => std::slice::from_ref(one),
        };
        let text = |value: &Value| match value {
            Value::String(text) => Ok(text.clone()),
            Value::Number(number) => Ok(number.to_string()),
            other => Err(self.wrong_type(name, other, "a list of strings")),
        };
        values.iter().map(text).collect()
    }

    /// A repeated message.
    pub(crate) fn messages(&self, name: &str) -> Field<Vec<Self>> {
        let values = match self.fields.get(name) {
            None => return Ok(Vec::new()),
            Some(Value::Array(values)) => values,
            Some(other) => return Err(self.wrong_type(name, other, "a list")),
        };
        let message = |(index, value): (usize, &Value)| match value {
            Value::Object(fields) => {
                Self::from_fields(fields.clone(), format!("{}{name}[{index}].", self.path))
            }
            other => Err(self.wrong_type(name, other, "a list of objects")),
        };
        values.iter().enumerate().map(message).collect()
    }

    /// A message within this one.
    pub(crate) fn message(&self, name: &str) -> Field<Self> {
        match self.fields.get(name) {
            Some(Value::Object(fields)) => Self::from_fields(fields.clone(), format!("{}{name}.", self.path)),
            Some(other) => Err(self.wrong_type(name, other, "an object")),
            None => Err(self.missing(name)),
        }
    }

    /// An object as it is; empty when unset.
    pub(crate) fn object(&self, name: &str) -> Field<Map<String, Value>> {
        match self.fields.get(name) {
            Some(Value::Object(fields)) => Ok(fields.clone()),
            Some(other) => Err(self.wrong_type(name, other, "an object")),
            None => Ok(Map::new()),
        }
    }

    /// A field as it came; null is unset.
    pub(crate) fn value(&self, name: &str) -> Option<&Value> {
        self.fields.get(name)
    }

    /// A map of texts; an unset one is empty.
    pub(crate) fn map(&self, name: &str) -> Field<Vec<Pair>> {
        let fields = match self.fields.get(name) {
            None => return Ok(Vec::new()),
            Some(Value::Object(fields)) => fields,
            Some(other) => return Err(self.wrong_type(name, other, "an object of strings")),
        };
        let pair = |(key, value): (&String, &Value)| match value {
            Value::String(text) => Ok(Pair::new(key.as_str(), text.as_str())),
            other => Err(self.wrong_type(&format!("{name}.{key}"), other, "a string")),
        };
        fields.iter().map(pair).collect()
    }

    /// A moment, in milliseconds since the epoch; what is finer is cut off.
    pub(crate) fn timestamp_ms(&self, name: &str) -> Field<Option<i64>> {
        let Some(value) = self.fields.get(name) else { return Ok(None) };
        let read = value.as_str().and_then(|text| Timestamp::parse(text).ok());
        let wrong = || self.wrong_type(name, value, "a moment such as 2026-01-31T12:00:00Z");
        read.map(|moment| Some(moment.micros().div_euclid(1_000))).ok_or_else(wrong)
    }

    /// A length of time such as `1.5s`, in milliseconds; what is finer is cut off.
    pub(crate) fn duration_ms(&self, name: &str) -> Field<Option<i64>> {
        let Some(value) = self.fields.get(name) else { return Ok(None) };
        let read = value.as_str().and_then(milliseconds);
        read.map(Some).ok_or_else(|| self.wrong_type(name, value, "a length of time such as 1.5s"))
    }

    /// A repeated pair of key and value.
    pub(crate) fn pairs(&self, name: &str) -> Field<Vec<Pair>> {
        self.messages(name)?.iter().map(Self::pair).collect()
    }

    /// This message as a pair of key and value.
    pub(crate) fn pair(&self) -> Field<Pair> {
        Ok(Pair { key: self.required_text("key")?, value: self.text_or_empty("value")? })
    }

    /// A run's id, which clients send under its old name, its new name, or both.
    pub(crate) fn run_id(&self) -> Field<String> {
        match self.text("run_id")?.filter(|id| !id.is_empty()) {
            Some(id) => Ok(id),
            None => self.text("run_uuid")?.filter(|id| !id.is_empty()).ok_or_else(|| self.missing("run_id")),
        }
    }

    /// An enum by its name, or by its number as old clients send it; `words` pairs both.
    pub(crate) fn word<T: Copy>(&self, name: &str, words: &[(&str, i64, T)]) -> Field<Option<T>> {
        let Some(value) = self.fields.get(name) else { return Ok(None) };
        let found = words.iter().find(|(word, number, _)| match value {
            Value::String(text) => text == word || text.parse() == Ok(*number),
            Value::Number(sent) => sent.as_i64() == Some(*number),
            _ => false,
        });
        let known: Vec<&str> = words.iter().map(|(word, ..)| *word).collect();
        let wrong = || self.wrong_type(name, value, &format!("one of {}", known.join(", ")));
        found.map(|(.., meaning)| Some(*meaning)).ok_or_else(wrong)
    }
}

/// Reads `1.5s`: seconds with at most nine digits behind the period.
fn milliseconds(text: &str) -> Option<i64> {
    let number = text.strip_suffix('s')?;
    let (sign, digits) = match number.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, number),
    };
    let (seconds, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if seconds.is_empty() || fraction.len() > 9 || !all_digits(seconds) || !all_digits(fraction) {
        return None;
    }
    let fraction: i64 = format!("{fraction:0<3}")[..3].parse().ok()?;
    seconds.parse::<i64>().ok()?.checked_mul(1_000)?.checked_add(fraction)?.checked_mul(sign)
}

/// `modelId` to `model_id`.
pub(crate) fn snake(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(text: &str) -> Message {
        Message::from_body(text.as_bytes()).unwrap()
    }

    #[test]
    fn both_spellings_of_a_name_are_one_and_both_at_once_are_refused() {
        assert_eq!(body(r#"{"runId": "a"}"#).run_id().unwrap(), "a");
        assert_eq!(body(r#"{"run_uuid": "a", "run_id": ""}"#).run_id().unwrap(), "a");
        assert!(Message::from_body(br#"{"runId": "a", "run_id": "b"}"#).is_err());
    }

    #[test]
    fn numbers_are_read_as_clients_send_them() {
        let message =
            body(r#"{"a": 5, "b": "5", "c": 5.0, "d": "NaN", "e": "-Infinity", "f": 0.1, "g": null}"#);
        for name in ["a", "b", "c"] {
            assert_eq!(message.integer(name).unwrap(), Some(5), "{name}");
        }
        assert!(message.number("d").unwrap().unwrap().is_nan());
        assert_eq!(message.number("e").unwrap(), Some(f64::NEG_INFINITY));
        assert_eq!(message.number("b").unwrap(), Some(5.0));
        assert_eq!(message.integer("g").unwrap(), None);
        assert!(message.integer("f").is_err() && message.integer("d").is_err());
    }

    #[test]
    fn a_wrong_value_is_refused_by_its_name() {
        let message = body(r#"{"metrics": [{"key": "a", "value": "abc"}], "view": "SOME"}"#);
        let metric = &message.messages("metrics").unwrap()[0];
        let error = metric.number("value").unwrap_err().to_string();
        assert!(error.contains("Invalid value \"abc\" for parameter 'metrics[0].value' supplied"), "{error}");
        let error = message.required_text("run_id").unwrap_err().to_string();
        assert!(error.contains("Missing value for required parameter 'run_id'"), "{error}");
        assert!(message.word("view", &[("ALL", 3, ())]).is_err());
        for bad in ["{", "[]", "3", "\"x\""] {
            assert!(Message::from_body(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn times_and_maps_are_read_as_protobuf_writes_them() {
        let message = body(
            r#"{"at": "2023-11-14T22:13:20.505123456Z", "took": "1.5s", "short": "-0.0019s", "m": {"a b": "c"},
                "bad": "1.5", "n": {"a": 1}}"#,
        );
        assert_eq!(message.timestamp_ms("at").unwrap(), Some(1_700_000_000_505));
        assert_eq!(message.duration_ms("took").unwrap(), Some(1_500));
        assert_eq!(message.duration_ms("short").unwrap(), Some(-1));
        assert_eq!(message.map("m").unwrap(), [Pair::new("a b", "c")]);
        assert!(message.duration_ms("bad").is_err() && message.timestamp_ms("bad").is_err());
        assert!(message.map("n").is_err() && message.map("bad").is_err());
        for bad in ["", "s", ".5s", "1.s5", "1e3s", "99999999999999999999s", "1.0000000001s"] {
            assert_eq!(milliseconds(bad), None, "{bad}");
        }
        assert_eq!(milliseconds("1.s"), Some(1_000));
    }

    #[test]
    fn a_query_repeats_keys_for_lists_and_writes_flags_in_words() {
        let message = Message::from_query("stages=A&stages=B%20C&flag=true&order_by=x&maxResults=7").unwrap();
        assert_eq!(message.texts("stages").unwrap(), ["A", "B C"]);
        assert_eq!(message.texts("order_by").unwrap(), ["x"]);
        assert_eq!(message.flag("flag").unwrap(), Some(true));
        assert_eq!(message.integer("max_results").unwrap(), Some(7));
        assert_eq!(Message::from_query("flag=False").unwrap().flag("flag").unwrap(), Some(false));
        assert!(Message::from_query("flag=1").unwrap().flag("flag").is_err());
    }
}
