//! The engine against what XGBoost itself answered.

use proptest::prelude::*;
use shipway_core::{Failure as _, Value};

use crate::{
    InputKind, Model, ModelFormat, OutputKind, RuntimeError, RuntimeOptions,
    damages::{answers_all, apply, damage},
    goldens::{all, bytes, one, same_single, within},
};

const FORMAT: ModelFormat = ModelFormat::XgBoost;

fn load(bytes: &[u8]) -> Result<Model, RuntimeError> {
    Model::load(FORMAT, bytes, &RuntimeOptions::default())
}

#[test]
fn margins_have_the_bits_of_xgboost() {
    for golden in all("xgboost") {
        golden.expect(&golden.load(FORMAT), OutputKind::Raw, "raw", same_single);
    }
}

#[test]
fn predictions_equal_those_of_xgboost() {
    for golden in all("xgboost") {
        golden.expect(&golden.load(FORMAT), OutputKind::Value, "values", within(1e-6));
    }
}

#[test]
fn leaves_are_those_of_xgboost() {
    for golden in all("xgboost") {
        golden.expect(&golden.load(FORMAT), OutputKind::LeafIndex, "leaves", |got, expected| got == expected);
    }
}

#[test]
fn contributions_equal_those_of_xgboost() {
    for golden in all("xgboost") {
        golden.expect(&golden.load(FORMAT), OutputKind::Contributions, "contributions", within(1e-6));
    }
}

#[test]
fn contributions_add_up_to_the_margin() {
    for golden in all("xgboost") {
        let model = golden.load(FORMAT);
        let (matrix, rows) = (golden.matrix(&model), golden.rows.len());
        let margins = model.output(OutputKind::Raw, &matrix, rows).unwrap();
        let contributions = model.explain(&matrix, rows).unwrap();
        for (margin, parts) in margins.iter().zip(contributions.chunks_exact(model.inputs().len() + 1)) {
            let sum: f64 = parts.iter().sum();
            assert!((sum - margin).abs() <= 1e-5 * margin.abs().max(1.0), "{}: {sum} {margin}", golden.name);
        }
    }
}

#[test]
fn an_unseen_category_is_missing_and_a_known_one_is_coded_by_the_file() {
    let golden = one("xgboost", "categories");
    let model = golden.load(FORMAT);
    let kinds: Vec<InputKind> = model.inputs().iter().map(|input| input.kind).collect();
    assert_eq!(kinds, [InputKind::Number, InputKind::Category, InputKind::Category, InputKind::Number]);
    let row = |carrier: &str| [Value::float(0.1), Value::text(carrier), Value::Int(3), Value::Bool(true)];
    let binding = model.bind(&golden.columns).unwrap();
    let matrix = model.matrix(&binding, &[&row("EV, Inc"), &row("unseen")]).unwrap();
    assert_eq!((matrix[1], matrix[2]), (4.0, 2.0));
    assert!(matrix[5].is_nan());
}

#[test]
fn what_is_damaged_or_not_evaluated_is_named() {
    let text = String::from_utf8(bytes("xgboost", "reg_squarederror")).unwrap();
    for (from, to, expected) in [
        ("reg:squarederror", "reg:magic", "xgboost model: objective reg:magic is not supported"),
        ("\"name\":\"gbtree\"", "\"name\":\"gblinear\"", "xgboost model: booster gblinear is not supported"),
        (
            "\"num_feature\":\"4\",\"num_target",
            "\"num_feature\":\"99999999\",\"num_target",
            "xgboost model: num_feature is 99999999",
        ),
        (
            "\"left_children\":[1",
            "\"left_children\":[0",
            "xgboost model: tree 0: node 0 does not exist or is reached twice",
        ),
        (
            "\"left_children\":[1",
            "\"left_children\":[77",
            "xgboost model: tree 0: node 77 does not exist or is reached twice",
        ),
        ("\"tree_info\":[0", "\"tree_info\":[3", "xgboost model: tree 0 is of output 3 of 1"),
        ("\"split_indices\":[0", "\"split_indices\":[4", "xgboost model: tree 0: split on feature 4 of 4"),
        (
            "\"default_left\":[",
            "\"default_left\":[1,",
            "xgboost model: tree 0: default_left has 14 entries, expected 13",
        ),
    ] {
        assert!(text.contains(from), "{from}");
        assert_eq!(load(text.replacen(from, to, 1).as_bytes()).unwrap_err().to_string(), expected);
    }
    assert_eq!(load(b"binf\0\0").unwrap_err().code(), "runtime.model_unsupported");
    assert_eq!(load(b"tree").unwrap_err().code(), "runtime.model_damaged");
    assert_eq!(load(b"{}").unwrap_err().code(), "runtime.model_damaged");
}

#[test]
fn categories_that_the_library_wrote_cut_are_refused_and_not_guessed() {
    let text = String::from_utf8(bytes("xgboost", "categories")).unwrap();
    let cut = text.replacen("[85,", "[-61,", 1);
    assert_ne!(text, cut);
    assert_eq!(load(cut.as_bytes()).unwrap_err().code(), "runtime.model_unsupported");
}

#[test]
fn a_booster_of_long_ago_has_one_base_score_for_all_outputs() {
    let text = String::from_utf8(bytes("xgboost", "targets")).unwrap();
    let start = text.find("\"base_score\":\"[").unwrap() + 14;
    let end = start + text[start..].find(']').unwrap() + 1;
    let model = load(format!("{}5E-1{}", &text[..start], &text[end..]).as_bytes()).unwrap();
    assert_eq!(model.outputs(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn a_damaged_model_is_refused_or_answers_and_never_panics(
        name in prop::sample::select(vec!["categories", "integer_categories", "targets_vector_leaf", "dart_classes", "targets"]),
        damages in prop::collection::vec(damage(), 1..4),
    ) {
        let mut bytes = bytes("xgboost", name);
        damages.iter().for_each(|damage| apply(&mut bytes, damage));
        if let Ok(model) = load(&bytes) {
            answers_all(&model);
        }
    }

    #[test]
    fn any_bytes_are_refused_without_a_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(load(&bytes).is_err());
        bytes.insert(0, b'{');
        prop_assert!(load(&bytes).is_err());
    }
}
