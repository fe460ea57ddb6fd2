//! Models of tensors, in every type of element.

use bytes::Bytes;
use half::{bf16, f16};
use shipway_runtime::{
    DataFile, Model, ModelFormat,
    tensor::{Datatype, Elements, Tensor, TensorSpec},
};

use crate::onnx::{load, options};

fn tensor(name: &str, shape: &[usize], elements: Elements) -> Tensor {
    Tensor { name: name.to_owned(), shape: shape.to_vec(), elements }
}

#[test]
fn every_type_of_element_goes_through_a_model() {
    let text = |words: [&'static str; 4]| Elements::Bytes(words.map(Bytes::from).to_vec());
    for elements in [
        Elements::Bool(vec![true, false, false, true]),
        Elements::Int8(vec![-128, 0, 1, 127]),
        Elements::Int16(vec![-300, 1, 2, 3]),
        Elements::Int32(vec![i32::MIN, 1, 2, i32::MAX]),
        Elements::Int64(vec![i64::MIN, 1, 2, i64::MAX]),
        Elements::Uint8(vec![0, 1, 2, 255]),
        Elements::Uint16(vec![0, 1, 2, 65_535]),
        Elements::Uint32(vec![0, 1, 2, u32::MAX]),
        Elements::Uint64(vec![0, 1, 2, u64::MAX]),
        Elements::Fp16([0.5, -2.0, 65_504.0, 0.0].map(f16::from_f32).to_vec()),
        Elements::Bf16([0.5, -2.0, 1e30, 0.0].map(bf16::from_f32).to_vec()),
        Elements::Fp32(vec![0.1, f32::INFINITY, -0.0, 1e-40]),
        Elements::Fp64(vec![0.1, f64::NEG_INFINITY, -0.0, 1e-310]),
        text(["", "a", "ä", "a longer one"]),
    ] {
        let word = elements.datatype().word().to_lowercase();
        let model = load(&format!("identity_{word}"));

        let answers =
            model.infer(vec![tensor(&format!("{word}_in"), &[2, 2], elements.clone())], &[]).unwrap();

        assert_eq!(answers, [tensor(&format!("{word}_out"), &[2, 2], elements)]);
    }
}

#[test]
fn a_model_says_what_it_takes_and_gives_and_answers_what_is_wanted() {
    let model = load("add_sub");
    let signature = model.signature().unwrap();
    assert!(signature.batches());
    assert_eq!(
        signature.inputs[1],
        TensorSpec { name: "INPUT1".to_owned(), datatype: Datatype::Int32, shape: vec![-1, 16] }
    );
    assert!(!model.takes_rows(), "two matrices are no rows");
    let ones = tensor("INPUT1", &[1, 16], Elements::Int32(vec![1; 16]));
    let numbers = tensor("INPUT0", &[1, 16], Elements::Int32((0..16).collect()));

    let answers = model.infer(vec![ones, numbers], &["OUTPUT1"]).unwrap();

    assert_eq!(answers, [tensor("OUTPUT1", &[1, 16], Elements::Int32((-1..15).collect()))]);
}

#[test]
fn dimensions_behind_the_first_are_kept() {
    let model = load("sum_of_rows");
    let x = tensor("x", &[1, 2, 3], Elements::Fp32(vec![1.0, 2.0, 3.0, 10.0, 20.0, 30.0]));
    let answers = model.infer(vec![x], &[]).unwrap();
    assert_eq!(answers, [tensor("total", &[1, 3], Elements::Fp32(vec![11.0, 22.0, 33.0]))]);
}

#[test]
fn a_tensor_that_does_not_fit_is_refused_by_name() {
    let model = load("add_sub");
    let fit = || tensor("INPUT0", &[1, 16], Elements::Int32(vec![0; 16]));
    let other = |shape: &[usize], elements| vec![fit(), tensor("INPUT1", shape, elements)];
    let refusal = |inputs| model.infer(inputs, &[]).unwrap_err().to_string();
    for (inputs, expected) in [
        (vec![fit()], "input `INPUT1`: it is missing; the model takes INT32 of shape [-1, 16]"),
        (vec![fit(), fit()], "input `INPUT0`: it comes twice"),
        (other(&[1, 16], Elements::Int64(vec![0; 16])), "input `INPUT1`: expected INT32, got INT64"),
        (other(&[1, 8], Elements::Int32(vec![0; 8])), "input `INPUT1`: expected shape [-1, 16], got [1, 8]"),
        (other(&[16], Elements::Int32(vec![0; 16])), "input `INPUT1`: expected shape [-1, 16], got [16]"),
        (
            other(&[2, 16], Elements::Int32(vec![0; 16])),
            "input `INPUT1`: shape [2, 16] has another number of elements than the 16 given",
        ),
        (other(&[0, 16], Elements::Int32(vec![])), "input `INPUT1`: it has no elements"),
    ] {
        assert_eq!(refusal(inputs), expected);
    }
    let unknown =
        model.infer(vec![tensor("INPUT2", &[1, 16], Elements::Int32(vec![0; 16]))], &[]).unwrap_err();
    assert_eq!(unknown.to_string(), "there is no input `INPUT2`; the model has INPUT0, INPUT1");
    let wanted = model.infer(other(&[1, 16], Elements::Int32(vec![0; 16])), &["SUM"]).unwrap_err();
    assert_eq!(wanted.to_string(), "there is no output `SUM`; the model has OUTPUT0, OUTPUT1");
    let uneven = other(&[3, 16], Elements::Int32(vec![0; 48]));
    assert_eq!(refusal(uneven), "input `INPUT1`: expected 1 rows as in `INPUT0`, got 3");
    assert!(model.infer(other(&[1, 16], Elements::Int32(vec![0; 16])), &[]).is_ok());
}

#[test]
fn a_string_that_is_no_text_is_refused() {
    let model = load("identity_bytes");
    let strings = |last: &'static [u8]| Elements::Bytes(vec![Bytes::new(), Bytes::from_static(last)]);
    let refusal = model.infer(vec![tensor("bytes_in", &[1, 2], strings(b"\xff"))], &[]).unwrap_err();
    assert_eq!(refusal.to_string(), "a string for an onnx model must be UTF-8");
    assert!(model.infer(vec![tensor("bytes_in", &[1, 2], strings(b"a\0b"))], &[]).is_err());
}

#[test]
fn a_model_of_rows_has_no_tensors() {
    let text = include_bytes!("../goldens/binary.txt");
    let model = Model::load(ModelFormat::LightGbmText, text, &options()).unwrap();
    assert!(model.signature().is_none() && model.takes_rows());
    assert_eq!(
        model.infer(vec![], &[]).unwrap_err().to_string(),
        "a lightgbm model has no tensors of its own"
    );
}

#[test]
fn weights_in_another_file_come_with_the_model_and_never_from_the_disk() {
    let model = include_bytes!("../goldens/outside.onnx");
    let weights = [1.0_f32, 2.0, 3.0, 4.0].map(f32::to_le_bytes).concat();
    let data = [DataFile { path: "outside.onnx.data".to_owned(), content: weights.into() }];
    let loaded = Model::load_with(ModelFormat::Onnx, model, &data, &options()).unwrap();
    let x = tensor("x", &[1, 4], Elements::Fp32(vec![10.0; 4]));
    let answers = loaded.infer(vec![x], &[]).unwrap();
    assert_eq!(answers[0].elements, Elements::Fp32(vec![11.0, 12.0, 13.0, 14.0]));

    let refusal = Model::load(ModelFormat::Onnx, model, &options()).unwrap_err();
    let expected = "onnx model: its weights are in `outside.onnx.data`, which was not logged with it";
    assert_eq!(refusal.to_string(), expected);
    // A path of the same length, so that the file stays one.
    let name = b"outside.onnx.data";
    let place = model.windows(name.len()).position(|window| window == name).unwrap();
    for path in ["/etc/passwd_data_", "../../outside.dat", "./outside.onnx.da"] {
        let mut hostile = model.to_vec();
        hostile[place..place + name.len()].copy_from_slice(path.as_bytes());
        let refusal = Model::load_with(ModelFormat::Onnx, &hostile, &data, &options()).unwrap_err();
        assert!(refusal.to_string().contains(path), "{refusal}");
    }
    let short = [DataFile { path: "outside.onnx.data".to_owned(), content: vec![0; 3].into() }];
    assert!(Model::load_with(ModelFormat::Onnx, model, &short, &options()).is_err());
}
