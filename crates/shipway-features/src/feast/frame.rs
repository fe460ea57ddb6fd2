//! A data frame as the bodies of this wire carry it: columns of values, each a list, or an object whose keys are an index.

use serde_json::{Map, Value as Json};

use crate::error::{FeaturesError, invalid};

/// Columns of one length, in the order in which they came.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Frame {
    columns: Vec<(String, Vec<Json>)>,
    rows: usize,
}

impl Frame {
    /// Takes the columns of a body; all must have one length.
    pub(super) fn new(columns: Map<String, Json>) -> Result<Self, FeaturesError> {
        let columns = columns
            .into_iter()
            .map(|(name, column)| match column {
                Json::Array(values) => Ok((name, values)),
                Json::Object(indexed) => Ok((name, indexed.into_iter().map(|(_, value)| value).collect())),
                _ => Err(invalid(format!("column {name}: expected a list of values"))),
            })
            .collect::<Result<Vec<(String, Vec<Json>)>, _>>()?;
        let rows = columns.first().map_or(0, |(_, values)| values.len());
        if let Some((name, values)) = columns.iter().find(|(_, values)| values.len() != rows) {
            return Err(invalid(format!(
                "column {name} has {} values, {} has {rows}",
                values.len(),
                columns[0].0
            )));
        }
        Ok(Self { columns, rows })
    }

    /// How many rows there are.
    pub(super) const fn rows(&self) -> usize {
        self.rows
    }

    /// The names of the columns.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|(name, _)| name.as_str())
    }

    /// The values of a column.
    pub(super) fn column(&self, name: &str) -> Option<&[Json]> {
        self.columns.iter().find(|(held, _)| held == name).map(|(_, values)| values.as_slice())
    }

    /// Gives a column another name; nothing happens when there is no such column.
    pub(super) fn rename(&mut self, from: &str, to: &str) {
        self.columns.iter_mut().filter(|(name, _)| name == from).for_each(|(name, _)| to.clone_into(name));
    }

    /// Leaves a column out.
    pub(super) fn remove(&mut self, name: &str) {
        self.columns.retain(|(held, _)| held != name);
    }

    /// The rows as objects.
    pub(super) fn into_objects(self) -> Vec<Map<String, Json>> {
        let mut objects: Vec<Map<String, Json>> =
            (0..self.rows).map(|_| Map::with_capacity(self.columns.len())).collect();
        for (name, values) in self.columns {
            for (object, value) in objects.iter_mut().zip(values) {
                object.insert(name.clone(), value);
            }
        }
        objects
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn frame(json: Json) -> Result<Frame, FeaturesError> {
        Frame::new(json.as_object().unwrap().clone())
    }

    #[test]
    fn columns_come_as_lists_or_by_index() {
        let lists = frame(json!({ "a": [1, 2], "b": ["x", null] })).unwrap();
        assert_eq!(frame(json!({ "a": { "0": 1, "1": 2 }, "b": { "0": "x", "1": null } })).unwrap(), lists);
        let objects = lists.into_objects();
        assert_eq!(json!(objects), json!([{ "a": 1, "b": "x" }, { "a": 2, "b": null }]));
    }

    #[test]
    fn columns_of_different_lengths_and_bare_values_are_refused() {
        let wrong = |json| frame(json).unwrap_err().to_string();
        assert_eq!(wrong(json!({ "a": [1], "b": [1, 2] })), "column b has 2 values, a has 1");
        assert_eq!(wrong(json!({ "a": 1 })), "column a: expected a list of values");
        assert_eq!(frame(json!({})).unwrap().rows(), 0);
    }
}
