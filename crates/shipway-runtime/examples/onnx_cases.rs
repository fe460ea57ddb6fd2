//! Runs the test cases of the ONNX standard (`tests/make_operator_cases.py`) with rten and prints, for each operator, what became of its
//! cases. Operators with wrong answers do not belong on the list in `src/onnx/fallback/operators.rs`.
//!
//! `cargo run --example onnx_cases -- FOLDER`
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a tool that is run by hand")]

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;
use serde_json::Value as Json;
use shipway_core::Failure as _;
use shipway_runtime::{
    Model, ModelFormat, OnnxEngine, RuntimeOptions,
    tensor::{Elements, Tensor},
};

#[derive(Deserialize)]
struct Case {
    name: String,
    operators: Vec<String>,
    inputs: Vec<Sent>,
    outputs: Vec<Sent>,
    relative: f64,
    absolute: f64,
}

#[derive(Deserialize)]
struct Sent {
    name: String,
    datatype: String,
    shape: Vec<usize>,
    numbers: Vec<Json>,
}

impl Sent {
    fn numbers(&self) -> Vec<f64> {
        let number = |json: &Json| json.as_f64().unwrap_or_else(|| json.as_str().unwrap().parse().unwrap());
        self.numbers.iter().map(number).collect()
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "they were of this type before"
    )]
    fn tensor(&self) -> Option<Tensor> {
        let numbers = self.numbers().into_iter();
        let elements = match self.datatype.as_str() {
            "FP32" => Elements::Fp32(numbers.map(|number| number as f32).collect()),
            "FP16" => Elements::Fp16(numbers.map(half::f16::from_f64).collect()),
            "INT64" => Elements::Int64(numbers.map(|number| number as i64).collect()),
            "INT32" => Elements::Int32(numbers.map(|number| number as i32).collect()),
            "INT8" => Elements::Int8(numbers.map(|number| number as i8).collect()),
            "UINT8" => Elements::Uint8(numbers.map(|number| number as u8).collect()),
            "BOOL" => Elements::Bool(numbers.map(|number| number != 0.0).collect()),
            _ => return None,
        };
        Some(Tensor { name: self.name.clone(), shape: self.shape.clone(), elements })
    }
}

/// What became of a case: that it is right, refused with a reason, or wrong.
fn run(model: &[u8], case: &Case) -> Result<(), (&'static str, String)> {
    let options = RuntimeOptions { onnx_engine: OnnxEngine::Rten, ..RuntimeOptions::default() };
    let refused = |error: shipway_runtime::RuntimeError| {
        let outcome = if error.code() == "runtime.onnx_fallback" { "refused" } else { "failed" };
        (outcome, error.to_string())
    };
    let model = Model::load(ModelFormat::Onnx, model, &options).map_err(refused)?;
    let inputs = case.inputs.iter().map(Sent::tensor).collect::<Option<Vec<_>>>();
    let inputs = inputs.ok_or(("refused", "a type".to_owned()))?;
    let answers = model.infer(inputs, &[]).map_err(refused)?;
    for (answer, expected) in answers.iter().zip(&case.outputs) {
        if answer.shape != expected.shape {
            return Err(("wrong", format!("shape {:?} for {:?}", answer.shape, expected.shape)));
        }
        for (place, expected) in expected.numbers().into_iter().enumerate() {
            let got = answer.elements.number(place).unwrap();
            let near = (got - expected).abs() <= case.absolute.max(1e-5) + case.relative * expected.abs();
            let same = got == expected || got.is_nan() && expected.is_nan();
            if !(same || near) {
                return Err(("wrong", format!("{got} for {expected} at {place}")));
            }
        }
    }
    Ok(())
}

fn main() {
    let folder = std::env::args().nth(1).unwrap();
    let mut operators: BTreeMap<String, BTreeMap<&'static str, u32>> = BTreeMap::new();
    for number in 0.. {
        let path = |extension: &str| Path::new(&folder).join(format!("{number}.{extension}"));
        let Ok(case) = fs_err::read(path("json")) else { break };
        let case: Case = serde_json::from_slice(&case).unwrap();
        let outcome = match run(&fs_err::read(path("onnx")).unwrap(), &case) {
            Ok(()) => "right",
            Err((outcome, reason)) => {
                println!("{outcome}: {}: {reason}", case.name);
                outcome
            }
        };
        for operator in &case.operators {
            *operators.entry(operator.clone()).or_default().entry(outcome).or_default() += 1;
        }
    }
    for (operator, outcomes) in &operators {
        println!("{operator}: {outcomes:?}");
    }
}
