//! The evaluator against what LightGBM itself predicted, and the parser against damage.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::Value as Json;
use shipway_core::{DataType, Failure as _, Value};

use crate::{
    Model, ModelFormat, OutputKind, RuntimeOptions,
    damages::{answers_all, apply, damage},
    goldens::{all, within},
    trees::TreeModel,
};

struct Golden {
    name: String,
    text: String,
    columns: Vec<String>,
    rows: Vec<Vec<Value>>,
    raw: Vec<Vec<f64>>,
    predictions: Vec<Vec<f64>>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens")
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

fn matrix(json: &Json) -> Vec<Vec<f64>> {
    serde_json::from_value(json.clone()).unwrap()
}

fn golden(name: &str) -> Golden {
    let text = fs_err::read_to_string(folder().join(format!("{name}.txt"))).unwrap();
    let json: Json =
        serde_json::from_str(&fs_err::read_to_string(folder().join(format!("{name}.json"))).unwrap())
            .unwrap();
    let rows = json["rows"].as_array().unwrap();
    Golden {
        name: name.to_owned(),
        text,
        columns: serde_json::from_value(json["columns"].clone()).unwrap(),
        rows: rows.iter().map(|row| row.as_array().unwrap().iter().map(value).collect()).collect(),
        raw: matrix(&json["raw"]),
        predictions: matrix(&json["predictions"]),
    }
}

fn goldens() -> Vec<Golden> {
    let mut names: Vec<String> = fs_err::read_dir(folder())
        .unwrap()
        .filter_map(|entry| {
            entry.unwrap().file_name().into_string().unwrap().strip_suffix(".txt").map(str::to_owned)
        })
        .collect();
    names.sort();
    assert!(names.len() >= 20, "the goldens are there: {names:?}");
    names.iter().map(|name| golden(name)).collect()
}

fn load(text: &str) -> Result<Model, crate::RuntimeError> {
    Model::load(ModelFormat::LightGbmText, text.as_bytes(), &RuntimeOptions::default())
}

fn codes(model: &Model, golden: &Golden) -> Vec<Vec<f64>> {
    let columns = super::load(golden.text.as_bytes()).unwrap().columns;
    assert_eq!(columns.len(), model.inputs().len());
    let encode = |row: &Vec<Value>| {
        columns.iter().zip(row).map(|(column, value)| column.encoding.encode(value).unwrap()).collect()
    };
    golden.rows.iter().map(encode).collect()
}

#[test]
fn raw_scores_have_the_bits_of_lightgbm() {
    for golden in goldens() {
        let model = load(&golden.text).unwrap();
        let (native, _) = TreeModel::new(super::load(golden.text.as_bytes()).unwrap());
        for (place, (mut row, expected)) in codes(&model, &golden).into_iter().zip(&golden.raw).enumerate() {
            let mut scores = Vec::new();
            native.raw(&mut row, &mut scores);
            let bits = |numbers: &[f64]| numbers.iter().map(|number| number.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&scores), bits(expected), "{} row {place}: {scores:?} {expected:?}", golden.name);
        }
    }
}

#[test]
fn predictions_equal_those_of_lightgbm() {
    for golden in goldens() {
        let model = load(&golden.text).unwrap();
        let binding = model.bind(&golden.columns).unwrap();
        let rows: Vec<&[Value]> = golden.rows.iter().map(Vec::as_slice).collect();
        let answered = model.predict(&binding, &rows).unwrap();
        let flat: Vec<f64> = codes(&model, &golden).concat();
        let raw = model.predict_raw(&flat, rows.len()).unwrap();
        assert_eq!(answered.concat().len(), raw.len());
        for (place, (got, expected)) in answered.iter().zip(&golden.predictions).enumerate() {
            assert_eq!(got.len(), model.outputs());
            for (got, expected) in got.iter().zip(expected) {
                let near = (got - expected).abs() <= 1e-12 * expected.abs().max(1.0);
                assert!(near || got == expected, "{} row {place}: {got} {expected}", golden.name);
            }
        }
        assert!(answered.concat().iter().zip(&raw).all(|(left, right)| left.to_bits() == right.to_bits()));
    }
}

#[test]
fn leaves_and_contributions_are_those_of_lightgbm() {
    for golden in all("lightgbm") {
        let model = golden.load(ModelFormat::LightGbmText);
        golden.expect(&model, OutputKind::LeafIndex, "leaves", |got, expected| got == expected);
        golden.expect(&model, OutputKind::Contributions, "contributions", within(1e-9));
    }
}

#[test]
fn classes_are_told_where_there_are_some() {
    let kind = OutputKind::Class;
    let model = load(&golden("multiclass").text).unwrap();
    let row = vec![0.5; model.inputs().len()];
    let scores = model.output(OutputKind::Raw, &row, 1).unwrap();
    let class = model.output(kind, &row, 1).unwrap()[0];
    assert!(scores.iter().all(|score| *score <= scores[class as usize]));
    let model = load(&golden("binary").text).unwrap();
    let probability = model.predict_raw(&row, 1).unwrap()[0];
    assert_eq!(model.output(kind, &row, 1).unwrap(), [f64::from(u8::from(probability > 0.5))]);
    let refusal = load(&golden("regression").text).unwrap().output(kind, &row, 1).unwrap_err();
    assert_eq!(refusal.to_string(), "lightgbm model: a class is not supported");
}

#[test]
fn linear_trees_are_not_explained() {
    let model = load(&golden("linear_tree").text).unwrap();
    let refusal = model.explain(&vec![0.5; model.inputs().len()], 1).unwrap_err();
    assert_eq!(refusal.to_string(), "lightgbm model: contributions of linear trees is not supported");
}

#[test]
fn columns_are_found_by_name_in_any_order() {
    let golden = golden("binary_pandas_categories");
    let model = load(&golden.text).unwrap();
    let reversed: Vec<String> = golden.columns.iter().rev().cloned().chain(["extra".to_owned()]).collect();
    let binding = model.bind(&reversed).unwrap();
    let row: Vec<Value> = golden.rows[9].iter().rev().cloned().chain([Value::text("ignored")]).collect();
    let answered = model.predict(&binding, &[&row]).unwrap();
    assert!((answered[0][0] - golden.predictions[9][0]).abs() < 1e-12);
}

#[test]
fn a_missing_column_is_named_with_the_nearest_one() {
    let model = load(&golden("regression").text).unwrap();
    let columns: Vec<String> = ["temp", "count_1d", "delay_avg_6", "distance"].map(str::to_owned).to_vec();
    let refusal = model.bind(&columns).unwrap_err();
    assert_eq!(refusal.to_string(), "model input `delay_avg_6h` is not among the 4 given columns");
    assert_eq!(refusal.hint().unwrap(), "did you mean `delay_avg_6`?");
}

#[test]
fn a_value_that_cannot_be_compared_is_refused_with_its_place() {
    let golden = golden("regression");
    let model = load(&golden.text).unwrap();
    let binding = model.bind(&golden.columns).unwrap();
    let mut row = golden.rows[0].clone();
    row[2] = Value::text("late");
    let refusal = model.predict(&binding, &[&golden.rows[0], &row]).unwrap_err();
    assert_eq!(refusal.to_string(), "row 1: column `delay_avg_6h` must be a number, got text");
    assert_eq!(model.predict(&binding, &[&row[..2]]).unwrap_err().code(), "runtime.shape");
    assert_eq!(model.predict_raw(&[0.0; 7], 2).unwrap_err().code(), "runtime.shape");
}

#[test]
fn what_is_damaged_is_named() {
    let text = golden("regression").text;
    for (from, to, expected) in [
        ("version=v4", "version=v9", "lightgbm model: format version v9 is not supported"),
        ("objective=regression", "objective=magic", "lightgbm model: objective magic is not supported"),
        ("end of trees", "", "lightgbm model: the file is cut: it has no line `end of trees`"),
        (
            "max_feature_idx=3",
            "max_feature_idx=4",
            "lightgbm model: 4 feature names, but max_feature_idx is 4",
        ),
        ("num_leaves=9", "num_leaves=8", "lightgbm model: tree 0: split_feature has 8 numbers, expected 7"),
        (
            "left_child=1",
            "left_child=0",
            "lightgbm model: tree 0: child 0 does not exist or is reached twice",
        ),
        (
            "num_tree_per_iteration=1",
            "num_tree_per_iteration=3",
            "lightgbm model: 5 trees do not make whole iterations of 3",
        ),
        ("split_feature=0", "split_feature=4", "lightgbm model: tree 0: split on feature 4 of 4"),
    ] {
        assert!(text.contains(from), "{from}");
        assert_eq!(load(&text.replacen(from, to, 1)).unwrap_err().to_string(), expected);
    }
    assert!(Model::load(ModelFormat::LightGbmText, &[0xff, 0xfe], &RuntimeOptions::default()).is_err());
}

#[test]
fn an_ordered_category_is_refused_and_not_guessed() {
    let text = golden("binary_pandas_categories").text;
    let ordered = text.replace("[categorical_feature: 1,2,3,5]", "[categorical_feature: 1,2,3]");
    assert_eq!(load(&ordered).unwrap_err().code(), "runtime.model_unsupported");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_damaged_model_is_refused_or_predicts_and_never_panics(
        name in prop::sample::select(vec!["multiclass", "linear_tree", "binary_pandas_categories", "constant"]),
        damages in prop::collection::vec(damage(), 1..4),
    ) {
        let mut bytes = golden(name).text.into_bytes();
        for damage in &damages {
            apply(&mut bytes, damage);
        }
        if let Ok(model) = Model::load(ModelFormat::LightGbmText, &bytes, &RuntimeOptions::default()) {
            answers_all(&model);
        }
    }

    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(Model::load(ModelFormat::LightGbmText, &bytes, &RuntimeOptions::default()).is_err());
    }
}
