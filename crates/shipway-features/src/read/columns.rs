//! The names of an answer's columns. They are the same in every answer of a service, so their JSON is written once.

use std::{ops::Deref, sync::Arc};

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// Names in the order of an answer's values. Cheap to clone; serialises to a JSON array of text, and to JSON only.
#[derive(Debug, Clone)]
pub struct Columns(Arc<Written>);

#[derive(Debug)]
struct Written {
    names: Vec<String>,
    /// `None` if the names could not be written, which does not happen to text.
    json: Option<Box<RawValue>>,
}

impl FromIterator<String> for Columns {
    fn from_iter<I: IntoIterator<Item = String>>(names: I) -> Self {
        let names: Vec<String> = names.into_iter().collect();
        let json = serde_json::value::to_raw_value(&names).ok();
        Self(Arc::new(Written { names, json }))
    }
}

impl Deref for Columns {
    type Target = [String];

    fn deref(&self) -> &[String] {
        &self.0.names
    }
}

impl Serialize for Columns {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0.json {
            Some(json) => json.serialize(serializer),
            None => serializer.collect_seq(&self.0.names),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_written_as_their_names_are() {
        for names in [vec![], vec!["a__b".to_owned(), "na\u{ef}ve \"quoted\"".to_owned()]] {
            let columns: Columns = names.iter().cloned().collect();
            assert_eq!(serde_json::to_string(&columns).unwrap(), serde_json::to_string(&names).unwrap());
            assert_eq!(*columns, *names);
        }
    }
}
