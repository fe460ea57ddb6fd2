//! The golden inputs of a version: what it must answer before it takes traffic. Pure but for running the model.
//!
//! A model's folder may have a file `shipway_golden.json`: a request of the scoring protocol together with its answer,
//!
//! ```json
//! {"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2]]}, "predictions": [0.25], "tolerance": 1e-6}
//! ```
//!
//! Running it is also what warms the model up; without it, MLflow's own example of an input does that.

use serde_json::{Map, Value as Json};
use shipway_core::Value;
use shipway_runtime::Model;

use crate::{
    bind,
    error::ServingError,
    model::prediction::{check_rows, number_or_list},
    scoring::{frame, tensors},
};

/// The file of golden inputs in a model's folder.
pub(crate) const FILE: &str = "shipway_golden.json";

/// MLflow's example of what a model server is sent, in the same folder.
pub(crate) const EXAMPLE: &str = "serving_input_example.json";

/// The largest file of either.
pub(crate) const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// How far an answer may be from the golden one, beside one and as a share of larger numbers.
const USUAL_TOLERANCE: f64 = 1e-6;

/// Why a version does not answer as it must, in words.
type Mismatch = String;

/// Runs the golden inputs, and compares.
pub(crate) fn check(model: &Model, content: &[u8]) -> Result<(), Mismatch> {
    let mut body: Map<String, Json> =
        serde_json::from_slice(content).map_err(|error| format!("{FILE} is not readable: {error}"))?;
    let tolerance = match body.remove("tolerance") {
        None => USUAL_TOLERANCE,
        Some(tolerance) => tolerance
            .as_f64()
            .filter(|tolerance| *tolerance >= 0.0)
            .ok_or_else(|| format!("{FILE}: tolerance must be a number, not negative"))?,
    };
    let expected = body.remove("predictions").ok_or_else(|| format!("{FILE} has no predictions"))?;
    let got = run(model, body).map_err(|error| format!("{FILE}: {error}"))?;
    differs("predictions", &expected, &got, tolerance).map_or(Ok(()), Err)
}

/// Runs a request of the scoring protocol and answers its predictions. Columns come from the request, whatever feeds the model.
pub(crate) fn run(model: &Model, body: Map<String, Json>) -> Result<Json, ServingError> {
    let frame = frame::of_json(body)?;
    match model.signature() {
        Some(signature) if !model.takes_rows() => {
            let inputs = tensors::read(signature, frame)?;
            Ok(tensors::write(&model.infer(inputs, &[])?))
        }
        _ => {
            let names: Vec<String> = model.inputs().iter().map(|input| input.name.clone()).collect();
            let rows = frame.rows(&names, &[])?;
            check_rows(rows.len())?;
            let values = bind::direct_values(model, &rows)?;
            let borrowed: Vec<&[Value]> = values.iter().map(Vec::as_slice).collect();
            let predictions = model.predict(&model.bind(&names)?, &borrowed)?;
            Ok(predictions.iter().map(|row| number_or_list(row)).collect())
        }
    }
}

/// The first place where two answers differ, in words.
fn differs(place: &str, expected: &Json, got: &Json, tolerance: f64) -> Option<Mismatch> {
    let said = || Some(format!("{place}: expected {}, got {}", short(expected), short(got)));
    match (expected, got) {
        (Json::Array(wanted), Json::Array(answered)) if wanted.len() == answered.len() => {
            wanted.iter().zip(answered).enumerate().find_map(|(index, (wanted, answered))| {
                differs(&format!("{place}[{index}]"), wanted, answered, tolerance)
            })
        }
        (Json::Object(wanted), Json::Object(answered)) if wanted.len() == answered.len() => {
            wanted.iter().find_map(|(name, wanted)| match answered.get(name) {
                Some(answered) => differs(&format!("{place}.{name}"), wanted, answered, tolerance),
                None => Some(format!("{place}: {name} is missing")),
            })
        }
        (Json::Number(_), Json::Number(_)) => {
            let (wanted, answered) = (expected.as_f64()?, got.as_f64()?);
            let near = (wanted - answered).abs() <= tolerance * wanted.abs().max(1.0);
            if near { None } else { said() }
        }
        (wanted, answered) if wanted == answered => None,
        // A model of one output may be written as a row of one number.
        (Json::Array(only), answered) if only.len() == 1 && !answered.is_array() => {
            only.first().and_then(|wanted| differs(place, wanted, answered, tolerance))
        }
        _ => said(),
    }
}

fn short(json: &Json) -> String {
    let text = json.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn answers_differ_where_they_differ() {
        let differ = |expected: Json, got: Json| differs("predictions", &expected, &got, 1e-6);
        assert_eq!(differ(json!([0.5, [1.0, 2e9]]), json!([0.500_000_1, [1.0, 2.000_000_1e9]])), None);
        assert_eq!(differ(json!([[0.5]]), json!([0.5])), None);
        assert_eq!(differ(json!({"y": ["a"]}), json!({"y": ["a"]})), None);
        assert_eq!(
            differ(json!([0.5, 0.5]), json!([0.5, 0.6])).unwrap(),
            "predictions[1]: expected 0.5, got 0.6"
        );
        assert_eq!(differ(json!([1, 2]), json!([1])).unwrap(), "predictions: expected [1,2], got [1]");
        assert_eq!(differ(json!({"y": 1}), json!({"z": 1})).unwrap(), "predictions: y is missing");
        assert!(differ(json!("NaN"), json!(1.0)).is_some());
    }
}
