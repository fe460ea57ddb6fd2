//! What a request asks, in words that all dialects share, and what is wrong with it.

use std::hash::Hasher;

use serde_json::Value;

use crate::script::ErrorKind;

/// A request as far as an answer depends on it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ask {
    pub(crate) model: String,
    pub(crate) stream: bool,
    pub(crate) wants_usage: bool,
    /// How many choices.
    pub(crate) choices: usize,
    pub(crate) messages: usize,
    /// What the user said last.
    pub(crate) said: String,
    /// Each image: its bytes, or its address.
    pub(crate) images: Vec<Image>,
    pub(crate) tools: Vec<Tool>,
    pub(crate) must_call: Option<MustCall>,
    pub(crate) parallel: bool,
    /// JSON that follows this schema is wanted.
    pub(crate) schema: Option<Value>,
    pub(crate) thinks: bool,
    /// Whether it answers calls of tools.
    pub(crate) has_results: bool,
    /// Checksum of the request's body.
    pub(crate) checksum: u32,
    pub(crate) body_bytes: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tool {
    pub(crate) name: String,
    pub(crate) schema: Value,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MustCall {
    Any,
    This(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) checksum: u32,
}

/// A request that the provider refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) kind: ErrorKind,
    pub(crate) message: String,
    pub(crate) parameter: Option<String>,
}

impl Refused {
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Invalid, message: message.into(), parameter: None }
    }

    pub(crate) fn at(parameter: &str, message: impl Into<String>) -> Self {
        Self { parameter: Some(parameter.to_owned()), ..Self::invalid(message) }
    }
}

impl Image {
    /// An image in base64, as `data:` holds it.
    pub(crate) fn of_base64(data: &str) -> Result<Self, Refused> {
        use base64::Engine as _;
        let bytes = base64::engine::general_purpose::STANDARD.decode(data);
        let bytes = bytes.map_err(|_| Refused::invalid("Invalid base64 image data"))?;
        Ok(Self { checksum: crc32fast::hash(&bytes) })
    }

    /// An image at an address, or in a `data:` one. Nothing is fetched.
    pub(crate) fn of_url(url: &str) -> Result<Self, Refused> {
        match url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,")) {
            Some((_, data)) => Self::of_base64(data),
            None if url.starts_with("http://") || url.starts_with("https://") || url.starts_with("gs://") => {
                Ok(Self { checksum: crc32fast::hash(url.as_bytes()) })
            }
            None => Err(Refused::invalid(format!("Invalid image URL: {url}"))),
        }
    }
}

impl Ask {
    /// Eight hexadecimal digits that stand for the request.
    pub(crate) fn digest(&self) -> String {
        format!("{:08x}", self.checksum)
    }

    /// 24 hexadecimal digits for ids, of the request and of what is numbered in its answer.
    pub(crate) fn id(&self, what: &str, number: usize) -> String {
        let mut hasher = crc32fast::Hasher::new_with_initial(self.checksum);
        hasher.write(what.as_bytes());
        hasher.write_usize(number);
        format!("{:08x}{:08x}{:08x}", self.checksum, hasher.finalize(), number)
    }
}

/// The text at `key`, where there is one.
pub(crate) fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

/// The list at `key`; an absent one is empty.
pub(crate) fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

pub(crate) fn flag(value: &Value, key: &str) -> bool {
    value.get(key).and_then(Value::as_bool).unwrap_or_default()
}
