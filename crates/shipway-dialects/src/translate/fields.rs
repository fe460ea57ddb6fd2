//! Takes the members of an object one by one, so that what is left over is known, and says where something is wrong.

use serde_json::{Map, Number, Value};

use crate::head::BadRequest;
use crate::translate::policy::{Judge, refusal};

#[derive(Debug)]
pub(super) struct Fields {
    map: Map<String, Value>,
    path: String,
}

impl Fields {
    pub(super) fn of(value: Value, path: impl Into<String>) -> Result<Self, BadRequest> {
        let path = path.into();
        match value {
            Value::Object(map) => Ok(Self { map, path }),
            _ if path.is_empty() => Err(BadRequest::NotAnObject),
            _ => Err(refusal(&path, "must be an object")),
        }
    }

    /// The path of a member.
    pub(super) fn at(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    pub(super) fn wrong(&self, name: &str, problem: impl Into<String>) -> BadRequest {
        refusal(&self.at(name), problem)
    }

    /// Renames members that are written with underscores to camel case, as protocol buffers' JSON allows both; one
    /// that is there in both keeps the camel's.
    pub(super) fn camel_case(&mut self) {
        for name in self.names().into_iter().filter(|name| name.contains('_')) {
            let mut words = name.split('_');
            let mut camel = words.next().unwrap_or_default().to_owned();
            for word in words {
                let mut letters = word.chars();
                camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
                camel.push_str(letters.as_str());
            }
            if let Some(value) = self.map.shift_remove(&name) {
                self.map.entry(camel).or_insert(value);
            }
        }
    }

    /// The value, unless it is absent or null.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.map.shift_remove(name).filter(|value| !value.is_null())
    }

    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, BadRequest> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong(name, "must be a text")),
        }
    }

    pub(super) fn needs_text(&mut self, name: &str) -> Result<String, BadRequest> {
        self.text(name)?.ok_or_else(|| self.wrong(name, "is missing"))
    }

    pub(super) fn flag(&mut self, name: &str) -> Result<Option<bool>, BadRequest> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(_) => Err(self.wrong(name, "must be true or false")),
        }
    }

    pub(super) fn number(&mut self, name: &str) -> Result<Option<Number>, BadRequest> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Number(number)) => Ok(Some(number)),
            Some(_) => Err(self.wrong(name, "must be a number")),
        }
    }

    pub(super) fn count(&mut self, name: &str) -> Result<Option<u64>, BadRequest> {
        match self.number(name)? {
            None => Ok(None),
            Some(number) => match number.as_u64() {
                Some(count) => Ok(Some(count)),
                None => Err(self.wrong(name, "must be a whole number that is not negative")),
            },
        }
    }

    pub(super) fn list(&mut self, name: &str) -> Result<Option<Vec<Value>>, BadRequest> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(_) => Err(self.wrong(name, "must be a list")),
        }
    }

    pub(super) fn object(&mut self, name: &str) -> Result<Option<Self>, BadRequest> {
        let path = self.at(name);
        self.take(name).map(|value| Self::of(value, path)).transpose()
    }

    pub(super) fn needs_object(&mut self, name: &str) -> Result<Self, BadRequest> {
        self.object(name)?.ok_or_else(|| self.wrong(name, "is missing"))
    }

    /// The names of what has not been taken, for members that are refused one by one.
    pub(super) fn names(&self) -> Vec<String> {
        self.map.keys().cloned().collect()
    }

    /// Reports what has not been taken and is therefore left out; a null says nothing.
    pub(super) fn leaves(&self, judge: &mut Judge) {
        for (name, _) in self.map.iter().filter(|(_, value)| !value.is_null()) {
            judge.notes(&self.at(name), "this member has no counterpart, and is left out");
        }
    }

    /// What has not been taken, without nulls.
    pub(super) fn rest(mut self) -> Map<String, Value> {
        self.map.retain(|_, value| !value.is_null());
        self.map
    }
}

/// Splits `data:image/png;base64,…`; `None` if the text is no such thing.
pub(super) fn data_url(text: &str) -> Option<(String, String)> {
    let (head, data) = text.strip_prefix("data:")?.split_once(',')?;
    let media_type = head.strip_suffix(";base64")?;
    Some((media_type.split(';').next().unwrap_or_default().to_owned(), data.to_owned()))
}

/// An object out of members that are there.
pub(super) fn object(members: impl IntoIterator<Item = (&'static str, Option<Value>)>) -> Value {
    Value::Object(members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect())
}
