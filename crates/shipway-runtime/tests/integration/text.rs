//! Models of text, against what onnxruntime and NumPy computed for each text alone (`tests/make_text_goldens.py`).

use std::path::Path;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use shipway_core::{Failure as _, Value};
use shipway_runtime::{
    DataFile, Model, RuntimeError, RuntimeOptions,
    tensor::{Elements, Tensor},
    text::TextTask,
};

use crate::onnx::options;

#[derive(Deserialize)]
struct Golden {
    text: String,
    ids: Vec<i64>,
    mean: Vec<f64>,
    cls: Vec<f64>,
    max: Vec<f64>,
    last: Vec<f64>,
    logits: Vec<f64>,
}

fn file(name: &str) -> Vec<u8> {
    fs_err::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/text").join(name)).unwrap()
}

fn goldens() -> Vec<Golden> {
    serde_json::from_slice(&file("golden.json")).unwrap()
}

fn load(encoder: &str, own: &Json) -> Result<Model, RuntimeError> {
    load_with(encoder, own, &options())
}

pub(crate) fn load_with(encoder: &str, own: &Json, options: &RuntimeOptions) -> Result<Model, RuntimeError> {
    let named = |path: &str, content: Vec<u8>| DataFile { path: path.to_owned(), content: content.into() };
    let files = [
        named("tokenizer.json", file("tokenizer.json")),
        named("shipway_text.json", own.to_string().into_bytes()),
    ];
    Model::load_text(&file(encoder), &[], &files, options)
}

fn embedder(own: Json) -> Model {
    load("model.onnx", &own).unwrap()
}

pub(crate) fn texts(texts: &[&str]) -> Tensor {
    let elements = texts.iter().map(|text| Bytes::copy_from_slice(text.as_bytes())).collect();
    Tensor { name: "text".to_owned(), shape: vec![texts.len()], elements: Elements::Bytes(elements) }
}

fn embeddings(model: &Model, input: Tensor) -> Vec<Vec<f64>> {
    let [only] = model.infer(vec![input], &["embedding"]).unwrap().try_into().unwrap();
    let Elements::Fp32(numbers) = &only.elements else { panic!("floats") };
    numbers.chunks(only.shape[1]).map(|row| row.iter().copied().map(f64::from).collect()).collect()
}

fn assert_near(got: &[f64], expected: &[f64], what: &str) {
    assert_eq!(got.len(), expected.len(), "{what}");
    let far = got.iter().zip(expected).map(|(got, expected)| (got - expected).abs()).fold(0.0, f64::max);
    assert!(far < 1e-5, "{what}: {far}");
}

#[test]
fn each_way_of_pooling_answers_what_was_computed() {
    type Way = fn(&Golden) -> &[f64];
    let ways: [(&str, Way); 4] = [
        ("mean", |golden| &golden.mean),
        ("cls", |golden| &golden.cls),
        ("max", |golden| &golden.max),
        ("last", |golden| &golden.last),
    ];
    let goldens = goldens();
    let all: Vec<&str> = goldens.iter().map(|golden| golden.text.as_str()).collect();
    for (pooling, expected) in ways {
        let model = embedder(json!({ "pooling": pooling }));
        for (got, golden) in embeddings(&model, texts(&all)).iter().zip(&goldens) {
            assert_near(got, expected(golden), &format!("{pooling}: {}", golden.text));
        }
    }
}

#[test]
fn a_classifier_answers_scores_and_labels_and_rows() {
    let model =
        load("classifier/model.onnx", &json!({"labels": ["no", "yes"], "activation": "sigmoid"})).unwrap();
    assert_eq!(model.text().unwrap().task(), TextTask::Classify);
    assert_eq!(model.text().unwrap().labels(), ["no", "yes"]);
    let goldens = goldens();
    let all: Vec<&str> = goldens.iter().map(|golden| golden.text.as_str()).collect();
    let binding = model.bind(&["other".to_owned(), "text".to_owned()]).unwrap();
    let rows: Vec<Vec<Value>> = all.iter().map(|text| vec![Value::Null, Value::text(*text)]).collect();
    let borrowed: Vec<&[Value]> = rows.iter().map(Vec::as_slice).collect();
    let predicted = model.predict(&binding, &borrowed).unwrap();
    let [scores, labels] = model.infer(vec![texts(&all)], &[]).unwrap().try_into().unwrap();
    let Elements::Bytes(labels) = labels.elements else { panic!("labels") };
    assert_eq!(model.predictions_in(&scores).unwrap(), predicted);
    for ((golden, got), label) in goldens.iter().zip(&predicted).zip(&labels) {
        let expected: Vec<f64> = golden.logits.iter().map(|logit| 1.0 / (1.0 + (-logit).exp())).collect();
        assert_near(got, &expected, &golden.text);
        let best = if expected[1] > expected[0] { "yes" } else { "no" };
        assert_eq!(label, best);
    }
}

#[test]
fn neither_company_nor_its_number_changes_an_embedding() {
    let model = embedder(json!({}));
    let goldens = goldens();
    // More tokens than run at once, short and long ones side by side.
    let many: Vec<&Golden> = goldens.iter().cycle().take(3_000).collect();
    let all: Vec<&str> = many.iter().map(|golden| golden.text.as_str()).collect();
    for (got, golden) in embeddings(&model, texts(&all)).iter().zip(&many) {
        assert_near(got, &golden.mean, &golden.text);
    }
}

#[test]
fn tokens_are_taken_as_they_are() {
    let model = embedder(json!({}));
    let goldens = goldens();
    let width = goldens.iter().map(|golden| golden.ids.len()).max().unwrap();
    let cells = goldens
        .iter()
        .flat_map(|golden| golden.ids.iter().copied().chain(std::iter::repeat(-1)).take(width))
        .collect();
    let tensor = |shape: [usize; 2], cells| Tensor {
        name: "tokens".to_owned(),
        shape: shape.to_vec(),
        elements: Elements::Int64(cells),
    };
    for (got, golden) in embeddings(&model, tensor([goldens.len(), width], cells)).iter().zip(&goldens) {
        assert_near(got, &golden.mean, &golden.text);
        assert_eq!(model.text().unwrap().count(&golden.text), golden.ids.len());
    }
    for (cells, words) in [(vec![-1, -1], "row 0 has no tokens"), (vec![2, 100_000], "tokens are 0 to")] {
        let refused = model.infer(vec![tensor([1, 2], cells)], &[]).unwrap_err();
        assert!(refused.to_string().contains(words), "{refused}");
    }
}

#[test]
fn a_prefix_stands_before_each_text_and_long_texts_are_cut() {
    let model = embedder(json!({"prefix": "The ", "max_tokens": 6}));
    assert_eq!(model.text().unwrap().max_tokens(), 6);
    let plain = embedder(json!({"max_tokens": 6}));
    let [prefixed] = embeddings(&model, texts(&["flight from Newark to nowhere"])).try_into().unwrap();
    let [cut] = embeddings(&plain, texts(&["The flight from Newark to Chicago"])).try_into().unwrap();
    let [short] = embeddings(&plain, texts(&["The flight"])).try_into().unwrap();
    assert_near(&prefixed, &cut, "both begin alike");
    assert_ne!(cut, short);
    assert!(model.text().unwrap().count("flight from Newark to nowhere") > 6, "all tokens are counted");
}

#[test]
fn what_is_no_text_is_refused_by_its_row() {
    let model = embedder(json!({}));
    let shaped = |shape: &[usize], texts: &[&[u8]]| Tensor {
        name: "text".to_owned(),
        shape: shape.to_vec(),
        elements: Elements::Bytes(texts.iter().map(|text| Bytes::copy_from_slice(text)).collect()),
    };
    let numbers = Tensor { name: "text".to_owned(), shape: vec![1], elements: Elements::Int64(vec![1]) };
    for (input, words) in [
        (shaped(&[2], &[b"a", b"\xff"]), "row 1 is not UTF-8"),
        (shaped(&[0], &[]), "it has no elements"),
        (shaped(&[3], &[b"a"]), "another number of elements"),
        (shaped(&[1, 2], &[b"a", b"b"]), "expected shape [-1] or [-1, 1]"),
        (numbers, "expected BYTES, got INT64"),
        (Tensor { name: "txt".to_owned(), ..shaped(&[1], &[b"a"]) }, "there is no input `txt`"),
    ] {
        let refused = model.check(std::slice::from_ref(&input), &[]).unwrap_err();
        assert!(refused.to_string().contains(words), "{refused}");
        assert!(model.infer(vec![input], &[]).is_err());
    }
    assert_eq!(model.check(&[texts(&["a"])], &["scores"]).unwrap_err().code(), "runtime.unknown_tensor");
    let binding = model.bind(&["text".to_owned()]).unwrap();
    let refused = model.predict(&binding, &[&[Value::Int(1)]]).unwrap_err();
    assert_eq!(refused.to_string(), "row 0: column `text` must be text, got int");
}

#[test]
fn settings_that_do_not_fit_the_encoder_are_refused() {
    for (encoder, own, words) in [
        ("model.onnx", json!({"task": "classify"}), "an output of floats for texts"),
        ("model.onnx", json!({"max_tokens": 2}), "2 tokens are no room for a text"),
        ("model.onnx", json!({"dimensions": [17]}), "dimensions has 17; the model has 16"),
        ("classifier/model.onnx", json!({"labels": ["a"]}), "1 labels for 2 scores"),
    ] {
        let refused = load(encoder, &own).unwrap_err();
        assert!(refused.to_string().contains(words), "{refused}");
    }
    let refused = load("model.onnx", &json!({"task": "classify"})).unwrap_err();
    assert!(refused.hint().unwrap().contains("tensors"), "there is a way out");
    assert!(load("model.onnx", &json!({"task": "tensors"})).unwrap().text().is_none());
}
