//! What libraries answered for small models, as the scripts under `tests/` wrote it down.

use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use shipway_core::{DataType, Value};

use crate::{Model, ModelFormat, OutputKind, RuntimeOptions};

pub(crate) struct Golden {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<Value>>,
    json: Json,
}

fn folder(library: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(library)
}

fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(flag) => Value::Bool(*flag),
        Json::Number(number) if number.is_i64() => Value::Int(number.as_i64().unwrap()),
        Json::String(text) if !text.ends_with("Infinity") => Value::text(text.as_str()),
        other => Value::from_json(other, DataType::Float).unwrap(),
    }
}

/// All goldens of a library whose model lies beside them.
pub(crate) fn all(library: &str) -> Vec<Golden> {
    let mut names: Vec<String> = fs_err::read_dir(folder(library))
        .unwrap()
        .filter_map(|entry| {
            entry.unwrap().file_name().into_string().unwrap().strip_suffix(".golden.json").map(str::to_owned)
        })
        .collect();
    names.sort();
    assert!(!names.is_empty(), "goldens of {library} are there");
    names.iter().map(|name| one(library, name)).collect()
}

pub(crate) fn bytes(library: &str, name: &str) -> Vec<u8> {
    let model = |ending: &str| folder(library).join(format!("{name}.{ending}"));
    let candidates = [model("ubj"), model("json"), folder("").join(format!("{name}.txt"))];
    fs_err::read(candidates.iter().find(|path| path.exists()).unwrap()).unwrap()
}

pub(crate) fn one(library: &str, name: &str) -> Golden {
    let path = folder(library).join(format!("{name}.golden.json"));
    let json: Json = serde_json::from_slice(&fs_err::read(path).unwrap()).unwrap();
    Golden {
        name: format!("{library}/{name}"),
        bytes: bytes(library, name),
        columns: serde_json::from_value(json["columns"].clone()).unwrap(),
        rows: json["rows"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row.as_array().unwrap().iter().map(value).collect())
            .collect(),
        json,
    }
}

impl Golden {
    pub(crate) fn load(&self, format: ModelFormat) -> Model {
        Model::load(format, &self.bytes, &RuntimeOptions::default())
            .unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    pub(crate) fn part(&self, part: &str) -> Option<Vec<Vec<f64>>> {
        serde_json::from_value(self.json.get(part)?.clone()).unwrap()
    }

    pub(crate) fn matrix(&self, model: &Model) -> Vec<f64> {
        let rows: Vec<&[Value]> = self.rows.iter().map(Vec::as_slice).collect();
        model.matrix(&model.bind(&self.columns).unwrap(), &rows).unwrap()
    }

    /// Asks for a kind of output and compares it with what the library answered, number by number.
    pub(crate) fn expect(
        &self,
        model: &Model,
        kind: OutputKind,
        part: &str,
        are_equal: impl Fn(f64, f64) -> bool,
    ) {
        let Some(expected) = self.part(part) else { return };
        let answered = model.output(kind, &self.matrix(model), self.rows.len()).unwrap();
        let width = model.output_width(kind).unwrap();
        assert_eq!(answered.len(), width * self.rows.len());
        for (row, (got, expected)) in answered.chunks_exact(width).zip(&expected).enumerate() {
            assert_eq!(got.len(), expected.len(), "{} {part}", self.name);
            let equal = got.iter().zip(expected).all(|(got, expected)| are_equal(*got, *expected));
            assert!(equal, "{} {part} row {row}: {got:?} {expected:?}", self.name);
        }
    }
}

/// Equal to about one part in 2^`-bits`.
pub(crate) fn within(tolerance: f64) -> impl Fn(f64, f64) -> bool {
    move |got, expected| got == expected || (got - expected).abs() <= tolerance * expected.abs().max(1.0)
}

/// The same float of single precision.
pub(crate) fn same_single(got: f64, expected: f64) -> bool {
    #[expect(clippy::cast_possible_truncation, reason = "the library answered single precision")]
    let expected = expected as f32;
    got.to_bits() == f64::from(expected).to_bits()
}
