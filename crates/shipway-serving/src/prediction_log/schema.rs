//! The table of a deployment's predictions: its name, its columns, their types.

use std::sync::Arc;

use arrow::datatypes::{DataType as ArrowType, Field, Schema, SchemaRef};
use shipway_core::{DataType, Name};
use shipway_lake::{arrow_type, timestamp_type};
use shipway_runtime::{InputKind, Model};

use crate::ports::ServiceShape;

/// The columns that every prediction log has, in front of the request's own.
const FIXED: [&str; 15] = [
    "request_id",
    "row",
    "at",
    "served_at",
    "deployment",
    "model",
    "model_version",
    "artifact_digest",
    "service",
    "service_hash",
    "watermarks",
    "prediction",
    "latency_us",
    "overridden",
    "variant",
];

/// The table and the columns of one deployment at one version of its service.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LogSchema {
    pub(crate) table: String,
    /// Keys, features and request columns, under their names in the table.
    pub(crate) columns: Vec<(String, DataType)>,
    /// Which of the values that the model was given follow the keys.
    pub(crate) values: Vec<usize>,
    pub(crate) arrow: SchemaRef,
}

/// The Delta table of a deployment's predictions.
pub fn table_of(deployment: &Name) -> String {
    format!("predictions__{deployment}")
}

/// The column of the prediction log that holds a key, a feature or a request column: its own name, except where that is the
/// name of a column that every log has.
pub fn column_of(name: &str) -> String {
    if FIXED.contains(&name) { format!("input__{name}") } else { name.to_owned() }
}

/// The column of the prediction log of an ensemble that says who answered in its steps, as JSON.
const STEPS: &str = "steps";

/// The column of the prediction log of an ensemble that holds an output.
fn output_column_of(name: &str) -> String {
    format!("output__{name}")
}

/// The list of a prediction's numbers.
pub(crate) fn number_list() -> Arc<Field> {
    Arc::new(Field::new("element", ArrowType::Float64, true))
}

impl LogSchema {
    /// The keys of a service, then those of its columns that are not keys themselves.
    pub(crate) fn of_service(deployment: &Name, shape: &ServiceShape) -> Self {
        let is_key = |name: &String| shape.keys.iter().any(|(key, _)| key == name);
        let (values, rest): (Vec<usize>, Vec<(String, DataType)>) =
            shape.columns.iter().cloned().enumerate().filter(|(_, (name, _))| !is_key(name)).unzip();
        Self::new(deployment, shape.keys.iter().cloned().chain(rest).collect(), values)
    }

    /// The inputs of a model: numbers, and categories as text.
    pub(crate) fn of_model(deployment: &Name, model: &Model) -> Self {
        let columns: Vec<(String, DataType)> = model
            .inputs()
            .iter()
            .map(|input| {
                let data_type = match input.kind {
                    InputKind::Number => DataType::Float,
                    InputKind::Category => DataType::Text,
                };
                (input.name.clone(), data_type)
            })
            .collect();
        let values = (0..columns.len()).collect();
        Self::new(deployment, columns, values)
    }

    /// The tensors that a model takes, then each that it gives under `output__` and its name.
    pub(crate) fn of_tensors(
        deployment: &Name,
        inputs: Vec<(String, DataType)>,
        outputs: Vec<(String, DataType)>,
    ) -> Self {
        let given = outputs.into_iter().map(|(name, data_type)| (output_column_of(&name), data_type));
        let columns: Vec<(String, DataType)> = inputs.into_iter().chain(given).collect();
        let values = (0..columns.len()).collect();
        Self::new(deployment, columns, values)
    }

    /// What comes in, as it is logged for a model, then each output under `output__` and its name, and who answered in the steps.
    pub(crate) fn of_ensemble(
        deployment: &Name,
        service: Option<&ServiceShape>,
        inputs: &[(String, DataType)],
        outputs: &[(String, DataType)],
    ) -> Self {
        let (mut columns, values) = match service {
            Some(shape) => {
                let Self { columns, values, .. } = Self::of_service(deployment, shape);
                (columns, values)
            }
            None => (inputs.to_vec(), (0..inputs.len()).collect()),
        };
        let own = outputs.iter().map(|(name, data_type)| (output_column_of(name), *data_type));
        for (name, data_type) in own.chain([(STEPS.to_owned(), DataType::Text)]) {
            // What came in keeps its name, by which it is replayed.
            let is_taken = columns.iter().any(|(other, _)| *other == name);
            columns.push((if is_taken { format!("ensemble__{name}") } else { name }, data_type));
        }
        Self::new(deployment, columns, values)
    }

    /// The same columns in another table.
    pub(crate) fn in_table(&self, table: String) -> Self {
        let (columns, values, arrow) = (self.columns.clone(), self.values.clone(), Arc::clone(&self.arrow));
        Self { table, columns, values, arrow }
    }

    fn new(deployment: &Name, columns: Vec<(String, DataType)>, values: Vec<usize>) -> Self {
        let columns: Vec<(String, DataType)> =
            columns.into_iter().map(|(name, data_type)| (column_of(&name), data_type)).collect();
        let fixed = FIXED.iter().map(|name| {
            let arrow = match *name {
                "row" | "model_version" | "latency_us" => ArrowType::Int64,
                "at" | "served_at" => timestamp_type(),
                "prediction" => ArrowType::List(number_list()),
                _ => ArrowType::Utf8,
            };
            Field::new(*name, arrow, true)
        });
        let own = columns.iter().map(|(name, data_type)| Field::new(name, arrow_type(*data_type), true));
        let arrow = Arc::new(Schema::new(fixed.chain(own).collect::<Vec<_>>()));
        Self { table: table_of(deployment), columns, values, arrow }
    }
}

#[cfg(test)]
mod tests {
    use shipway_core::Digest;

    use super::*;

    #[test]
    fn keys_come_before_features_and_a_column_is_listed_once() {
        let shape = ServiceShape {
            hash: Digest::of("v1"),
            keys: vec![("origin".to_owned(), DataType::Text), ("model".to_owned(), DataType::Text)],
            request: vec![("origin".to_owned(), DataType::Text)],
            columns: vec![
                ("traffic__count_1d".to_owned(), DataType::Int),
                ("origin".to_owned(), DataType::Text),
            ],
        };
        let schema = LogSchema::of_service(&Name::new("late").unwrap(), &shape);
        let names: Vec<&str> = schema.columns.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["origin", "input__model", "traffic__count_1d"]);
        assert_eq!(schema.values, [0]);
        assert_eq!(schema.table, "predictions__late");
        assert_eq!(schema.arrow.fields().len(), FIXED.len() + 3);
    }

    #[test]
    fn an_ensemble_logs_what_came_in_and_then_what_went_out() {
        let typed = |name: &str| (name.to_owned(), DataType::Float);
        let name = Name::new("risk").unwrap();
        let inputs = [typed("distance"), typed("variant"), typed("steps")];
        let schema = LogSchema::of_ensemble(&name, None, &inputs, &[typed("distance")]);
        let names: Vec<&str> = schema.columns.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["distance", "input__variant", "steps", "output__distance", "ensemble__steps"]);
        assert_eq!(schema.values, [0, 1, 2]);
    }
}
