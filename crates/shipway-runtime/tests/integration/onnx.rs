//! ONNX models that scikit-learn's converter wrote, against what ONNX Runtime answered in Python.

use std::path::Path;

use shipway_core::{Failure as _, Value};
use shipway_runtime::{Device, InputKind, Model, ModelFormat, RuntimeError, RuntimeOptions};

use crate::library::library;

pub(crate) fn options() -> RuntimeOptions {
    RuntimeOptions { onnx_library: Some(library()), ..RuntimeOptions::default() }
}

pub(crate) fn bytes(name: &str) -> Vec<u8> {
    fs_err::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(name)).unwrap()
}

pub(crate) fn load(name: &str) -> Model {
    Model::load(ModelFormat::Onnx, &bytes(&format!("{name}.onnx")), &options()).unwrap()
}

fn expect_golden(name: &str, take: fn(&[f64]) -> Vec<f64>) -> Model {
    let model = load(name);
    let golden: serde_json::Value = serde_json::from_slice(&bytes(&format!("{name}.onnx.json"))).unwrap();
    let columns: Vec<String> = serde_json::from_value(golden["columns"].clone()).unwrap();
    let expected: Vec<Vec<f64>> = serde_json::from_value(golden["predictions"].clone()).unwrap();
    let rows: Vec<Vec<Value>> = golden["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            let value = |json: &serde_json::Value| {
                json.as_str().map_or_else(|| Value::float(json.as_f64().unwrap()), Value::text)
            };
            row.as_array().unwrap().iter().map(value).collect()
        })
        .collect();
    let binding = model.bind(&columns).unwrap();
    let rows: Vec<&[Value]> = rows.iter().map(Vec::as_slice).collect();

    let answered = model.predict(&binding, &rows).unwrap();

    assert_eq!(answered.len(), expected.len());
    for (got, expected) in answered.iter().zip(&expected) {
        let expected = take(expected);
        assert_eq!(got.len(), expected.len());
        assert!(
            got.iter().zip(&expected).all(|(got, expected)| (got - expected).abs() < 1e-6),
            "{got:?} {expected:?}"
        );
    }
    model
}

#[test]
fn a_model_runs_with_operators_side_by_side_and_not_on_a_gpu_that_the_library_does_not_know() {
    let load =
        |options: RuntimeOptions| Model::load(ModelFormat::Onnx, &bytes("logistic_binary.onnx"), &options);
    load(RuntimeOptions { threads: 2, inter_threads: 2, ..options() }).unwrap();
    // The library of the tests is the one for processors.
    let refusal = load(RuntimeOptions { device: Device::Cuda(0), ..options() }).unwrap_err();
    assert_eq!(refusal.code(), "runtime.onnx_failed");
    assert!(refusal.to_string().starts_with("onnx runtime could not use the GPU"), "{refusal}");
}

#[test]
fn a_model_with_several_sessions_answers_the_same_in_all_of_them() {
    let several = RuntimeOptions { sessions: 3, ..options() };
    let model = Model::load(ModelFormat::Onnx, &bytes("linear_regression.onnx"), &several).unwrap();
    let expected = load("linear_regression").predict_raw(&[0.5; 8], 2).unwrap();
    let start = std::sync::Barrier::new(6);
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                start.wait();
                for _ in 0..200 {
                    assert_eq!(model.predict_raw(&[0.5; 8], 2).unwrap(), expected);
                }
            });
        }
    });
}

#[test]
fn a_device_is_read_from_its_name() {
    assert_eq!("cpu".parse(), Ok(Device::Cpu));
    assert_eq!("cuda".parse(), Ok(Device::Cuda(0)));
    assert_eq!("cuda:3".parse(), Ok(Device::Cuda(3)));
    for wrong in ["", "gpu", "cuda:", "cuda:x", "cuda:-1", "cpu:0"] {
        assert!(wrong.parse::<Device>().is_err(), "{wrong}");
    }
}

#[test]
fn a_binary_classifier_answers_the_probability_of_the_positive_class() {
    let model = expect_golden("logistic_binary", |both| vec![both[1]]);
    assert_eq!(model.outputs(), 1);
    assert_eq!(model.inputs().len(), 4);
}

#[test]
fn a_classifier_of_three_classes_answers_three_probabilities() {
    assert_eq!(expect_golden("logistic_multiclass", <[f64]>::to_vec).outputs(), 3);
}

#[test]
fn a_regression_answers_one_number_and_takes_a_raw_matrix() {
    let model = expect_golden("linear_regression", <[f64]>::to_vec);
    assert_eq!(model.predict_raw(&[0.5; 8], 2).unwrap().len(), 2);
    assert_eq!(model.predict_raw(&[], 0).unwrap(), Vec::<f64>::new());
}

#[test]
fn a_model_with_a_tensor_per_column_takes_text_and_numbers() {
    let model = expect_golden("columns_binary", |both| vec![both[1]]);
    let kinds: Vec<InputKind> = model.inputs().iter().map(|input| input.kind).collect();
    assert_eq!(kinds, [InputKind::Number, InputKind::Category]);
    let binding = model.bind(&["delay".to_owned(), "carrier".to_owned()]).unwrap();
    let refusal = model.predict(&binding, &[&[Value::float(1.0), Value::Int(3)]]).unwrap_err();
    assert_eq!(refusal.to_string(), "row 0: column `carrier` must be text, got int");
}

#[test]
fn the_names_of_a_signature_replace_those_of_a_matrix() {
    let names = ["temp", "wind", "month", "distance"].map(str::to_owned);
    let model = load("linear_regression").with_input_names(&names).unwrap();
    assert_eq!(model.inputs()[2].name, "month");
    assert_eq!(model.with_input_names(&names[..2]).unwrap_err().code(), "runtime.input_names");
}

#[test]
fn a_list_of_maps_is_refused_with_the_way_to_export_it() {
    let refusal = Model::load(ModelFormat::Onnx, &bytes("zipmap.onnx"), &options());
    // The converter's zipmap model still has its probabilities as maps only.
    assert!(refusal.unwrap_err().to_string().contains("zipmap"));
}

#[test]
fn bytes_that_are_no_model_are_refused() {
    let refusal = Model::load(ModelFormat::Onnx, b"not a model", &options()).unwrap_err();
    assert!(matches!(refusal, RuntimeError::Damaged { format: "onnx", .. }), "{refusal:?}");
    let empty = Model::load(ModelFormat::Onnx, b"", &options()).unwrap_err();
    assert!(matches!(empty, RuntimeError::Onnx { action: "load the model", .. }), "{empty:?}");
}
