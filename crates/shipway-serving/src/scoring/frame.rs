//! The forms in which a data frame comes, as rows of named values. Pure.

use serde_json::{Map, Value};

use crate::error::ServingError;

/// The forms of a JSON body; it has exactly one of them.
const FORMS: [&str; 4] = ["dataframe_split", "dataframe_records", "instances", "inputs"];

/// A data frame as it came.
#[derive(Debug)]
pub(crate) enum Frame<'body> {
    Csv(&'body [u8]),
    /// Columns, and rows of values in their order.
    Split(Value),
    /// Objects, one per row.
    Records(Value),
    /// Objects or lists, one per row.
    Instances(Value),
    /// An object with a list per column, or a list of rows.
    Inputs(Value),
}

pub(crate) fn wrong(reason: impl Into<String>) -> ServingError {
    ServingError::WrongRequest(reason.into())
}

/// The one form that a JSON body has.
pub(crate) fn of_json(mut body: Map<String, Value>) -> Result<Frame<'static>, ServingError> {
    let given: Vec<&str> = FORMS.into_iter().filter(|form| body.contains_key(*form)).collect();
    let [form] = given.as_slice() else {
        let fields: Vec<String> = body.keys().take(8).cloned().collect();
        return Err(wrong(format!(
            "the body must have exactly one of {}; it has {}",
            FORMS.join(", "),
            if fields.is_empty() { "no fields".to_owned() } else { fields.join(", ") }
        )));
    };
    let content = body.remove(*form).unwrap_or_default();
    Ok(match *form {
        "dataframe_split" => Frame::Split(content),
        "dataframe_records" => Frame::Records(content),
        "instances" => Frame::Instances(content),
        _ => Frame::Inputs(content),
    })
}

impl Frame<'_> {
    /// The rows. Values without names take those of `positions`; columns of CSV in `texts` stay text, others are numbers where all of
    /// their values are.
    pub(crate) fn rows(
        self,
        positions: &[String],
        texts: &[String],
    ) -> Result<Vec<Map<String, Value>>, ServingError> {
        match self {
            Frame::Csv(body) => csv_rows(body, texts),
            Frame::Split(content) => split_rows(content),
            Frame::Records(content) => list(content, "dataframe_records")?
                .into_iter()
                .map(|row| record("dataframe_records", row))
                .collect(),
            Frame::Instances(content) => list(content, "instances")?
                .into_iter()
                .map(|row| named("instances", row, positions))
                .collect(),
            Frame::Inputs(Value::Object(columns)) => column_rows(columns),
            Frame::Inputs(content) => {
                list(content, "inputs")?.into_iter().map(|row| named("inputs", row, positions)).collect()
            }
        }
    }
}

fn list(content: Value, form: &str) -> Result<Vec<Value>, ServingError> {
    match content {
        Value::Array(rows) => Ok(rows),
        _ => Err(wrong(format!("{form} must be a list"))),
    }
}

fn record(form: &str, row: Value) -> Result<Map<String, Value>, ServingError> {
    match row {
        Value::Object(row) => Ok(row),
        _ => Err(wrong(format!("{form} must be a list of objects"))),
    }
}

/// A row with names, or a list that takes the names of the positions, or a single value that takes the only one.
fn named(form: &str, row: Value, positions: &[String]) -> Result<Map<String, Value>, ServingError> {
    let values = match row {
        Value::Object(row) => return Ok(row),
        Value::Array(values) => values,
        single => vec![single],
    };
    if values.len() != positions.len() {
        return Err(wrong(format!(
            "{form}: a row has {} values, expected {}: {}",
            values.len(),
            positions.len(),
            positions.iter().take(20).cloned().collect::<Vec<_>>().join(", ")
        )));
    }
    Ok(positions.iter().cloned().zip(values).collect())
}

fn split_rows(content: Value) -> Result<Vec<Map<String, Value>>, ServingError> {
    let Value::Object(mut content) = content else {
        return Err(wrong("dataframe_split must be an object with columns and data"));
    };
    let columns: Vec<String> = match content.remove("columns") {
        Some(columns) => serde_json::from_value(columns)
            .map_err(|_| wrong("dataframe_split: columns must be a list of names"))?,
        None => return Err(wrong("dataframe_split: columns are missing")),
    };
    let data = content.remove("data").ok_or_else(|| wrong("dataframe_split: data are missing"))?;
    list(data, "dataframe_split: data")?
        .into_iter()
        .enumerate()
        .map(|(place, row)| {
            let values = list(row, "dataframe_split: a row of data")?;
            if values.len() != columns.len() {
                let (got, expected) = (values.len(), columns.len());
                return Err(wrong(format!(
                    "dataframe_split: row {place} has {got} values, there are {expected} columns"
                )));
            }
            Ok(columns.iter().cloned().zip(values).collect())
        })
        .collect()
}

fn column_rows(columns: Map<String, Value>) -> Result<Vec<Map<String, Value>>, ServingError> {
    let mut rows: Vec<Map<String, Value>> = Vec::new();
    for (place, (name, values)) in columns.into_iter().enumerate() {
        let values = match values {
            Value::Array(values) => values,
            single => vec![single],
        };
        if place == 0 {
            rows = vec![Map::new(); values.len()];
        }
        if values.len() != rows.len() {
            let (got, expected) = (values.len(), rows.len());
            return Err(wrong(format!("inputs: {name} has {got} values, the first column has {expected}")));
        }
        for (row, value) in rows.iter_mut().zip(values) {
            // A column of one-element lists is a column too.
            let value = match value {
                Value::Array(mut only) if only.len() == 1 => only.pop().unwrap_or_default(),
                value => value,
            };
            row.insert(name.clone(), value);
        }
    }
    Ok(rows)
}

/// The words that stand for a missing number or value in CSV.
fn is_missing(cell: &str) -> bool {
    matches!(cell, "" | "NA" | "N/A" | "NaN" | "nan" | "null" | "NULL" | "None")
}

fn csv_rows(body: &[u8], texts: &[String]) -> Result<Vec<Map<String, Value>>, ServingError> {
    let mut reader = csv::Reader::from_reader(body);
    let refused = |error: csv::Error| wrong(format!("CSV: {error}"));
    let names: Vec<String> = reader.headers().map_err(refused)?.iter().map(str::to_owned).collect();
    let records: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().map_err(refused)?;
    let kinds: Vec<Cells> = names
        .iter()
        .enumerate()
        .map(|(column, name)| {
            let mut cells =
                records.iter().filter_map(|record| record.get(column)).filter(|cell| !is_missing(cell));
            match texts.contains(name) {
                true => Cells::Text,
                false => Cells::of(&mut cells),
            }
        })
        .collect();
    let row = |record: &csv::StringRecord| {
        names
            .iter()
            .zip(&kinds)
            .zip(record)
            .map(|((name, kind), cell)| (name.clone(), kind.value(cell)))
            .collect()
    };
    Ok(records.iter().map(row).collect())
}

/// What all cells of a column are.
#[derive(Clone, Copy)]
enum Cells {
    Numbers,
    TruthValues,
    Text,
}

impl Cells {
    fn of(cells: &mut dyn Iterator<Item = &str>) -> Self {
        let (mut numbers, mut flags) = (true, true);
        for cell in cells {
            numbers &= cell.parse::<f64>().is_ok();
            flags &= matches!(cell, "True" | "False" | "true" | "false");
        }
        match (numbers, flags) {
            (true, _) => Self::Numbers,
            (false, true) => Self::TruthValues,
            (false, false) => Self::Text,
        }
    }

    fn value(self, cell: &str) -> Value {
        match self {
            Self::Text => Value::from(cell),
            _ if is_missing(cell) => Value::Null,
            Self::TruthValues => Value::from(cell.eq_ignore_ascii_case("true")),
            Self::Numbers => cell
                .parse::<i64>()
                .map(Value::from)
                .or_else(|_| cell.parse::<f64>().map(Value::from))
                .unwrap_or(Value::Null),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rows(body: Value) -> Result<Value, String> {
        let positions = ["a", "b"].map(str::to_owned);
        let Value::Object(body) = body else { panic!("an object") };
        let rows = of_json(body).and_then(|frame| frame.rows(&positions, &[]));
        rows.map(|rows| json!(rows)).map_err(|error| error.to_string())
    }

    #[test]
    fn every_form_is_the_same_rows() {
        let expected = json!([{"a": 1, "b": "x"}, {"a": null, "b": "y"}]);
        for body in [
            json!({"dataframe_split": {"columns": ["a", "b"], "index": [0, 1], "data": [[1, "x"], [null, "y"]]}}),
            json!({"dataframe_records": [{"a": 1, "b": "x"}, {"a": null, "b": "y"}]}),
            json!({"instances": [{"a": 1, "b": "x"}, {"a": null, "b": "y"}]}),
            json!({"instances": [[1, "x"], [null, "y"]]}),
            json!({"inputs": {"a": [1, null], "b": [["x"], ["y"]]}}),
            json!({"inputs": [[1, "x"], [null, "y"]]}),
        ] {
            assert_eq!(rows(body.clone()).unwrap(), expected, "{body}");
        }
    }

    #[test]
    fn a_wrong_form_says_what_is_expected() {
        for (body, expected) in [
            (
                json!({"rows": []}),
                "the body must have exactly one of dataframe_split, dataframe_records, instances, inputs; it has rows",
            ),
            (
                json!({"inputs": [], "instances": []}),
                "the body must have exactly one of dataframe_split, dataframe_records, instances, inputs; it has inputs, instances",
            ),
            (json!({"instances": [[1]]}), "instances: a row has 1 values, expected 2: a, b"),
            (json!({"dataframe_records": [[1]]}), "dataframe_records must be a list of objects"),
            (
                json!({"dataframe_split": {"columns": ["a"], "data": [[1, 2]]}}),
                "dataframe_split: row 0 has 2 values, there are 1 columns",
            ),
            (json!({"dataframe_split": {"columns": ["a"]}}), "dataframe_split: data are missing"),
            (json!({"inputs": {"a": [1], "b": [1, 2]}}), "inputs: b has 2 values, the first column has 1"),
            (json!({"inputs": 3}), "inputs must be a list"),
        ] {
            assert_eq!(rows(body).unwrap_err(), expected);
        }
    }

    #[test]
    fn columns_of_csv_are_numbers_where_all_of_their_cells_are() {
        let body = b"id,n,f,w,t\n007,1,0.5,x,True\n008,,NaN,\"a, b\",False\n";
        let texts = ["id".to_owned()];
        let rows = Frame::Csv(body).rows(&[], &texts).unwrap();
        assert_eq!(
            json!(rows),
            json!([
                {"id": "007", "n": 1, "f": 0.5, "w": "x", "t": true},
                {"id": "008", "n": null, "f": null, "w": "a, b", "t": false},
            ])
        );
        let uneven = Frame::Csv(b"a,b\n1\n").rows(&[], &[]).unwrap_err().to_string();
        assert!(uneven.starts_with("CSV: "), "{uneven}");
        assert!(Frame::Csv(b"a\n\xff\n").rows(&[], &[]).is_err());
    }
}
