//! The engine against what CatBoost itself answered.

use proptest::prelude::*;
use shipway_core::Failure as _;

use crate::{
    Model, ModelFormat, OutputKind, RuntimeError, RuntimeOptions,
    damages::{answers_all, apply, damage},
    goldens::{all, bytes, one, within},
};

const FORMAT: ModelFormat = ModelFormat::CatBoostJson;

fn load(bytes: &[u8]) -> Result<Model, RuntimeError> {
    Model::load(FORMAT, bytes, &RuntimeOptions::default())
}

#[test]
fn raw_scores_are_those_of_catboost() {
    for golden in all("catboost") {
        golden.expect(&golden.load(FORMAT), OutputKind::Raw, "raw", within(1e-14));
    }
}

#[test]
fn predictions_equal_those_of_catboost() {
    for golden in all("catboost") {
        let model = golden.load(FORMAT);
        if golden.name.ends_with("logloss") {
            // The library answers both probabilities, a model here that of the second class.
            let answered = model.predict_raw(&golden.matrix(&model), golden.rows.len()).unwrap();
            let both = golden.part("values").unwrap();
            assert!(answered.iter().zip(both).all(|(got, both)| (got - both[1]).abs() < 1e-14));
        } else {
            golden.expect(&model, OutputKind::Value, "values", within(1e-12));
        }
    }
}

#[test]
fn leaves_and_contributions_are_those_of_catboost() {
    for golden in all("catboost") {
        let model = golden.load(FORMAT);
        golden.expect(&model, OutputKind::LeafIndex, "leaves", |got, expected| got == expected);
        golden.expect(&model, OutputKind::Contributions, "contributions", within(1e-9));
    }
}

#[test]
fn what_is_not_in_the_file_is_refused_with_the_way_out() {
    let refusal = load(&bytes("catboost", "refused_ctr")).unwrap_err();
    assert_eq!(refusal.code(), "runtime.model_unsupported");
    let text = String::from_utf8(bytes("catboost", "one_hot")).unwrap();
    let nameless = text.replace("cat_features_hash", "other");
    assert!(load(nameless.as_bytes()).unwrap_err().to_string().contains("pool=pool"));
    let odd = text.replace("\"RMSE\"", "\"Magic\"");
    assert_eq!(
        load(odd.as_bytes()).unwrap_err().to_string(),
        "catboost model: loss function Magic is not supported"
    );
    assert!(load(b"CBM1 and more").unwrap_err().to_string().contains("format=\"json\""));
    assert_eq!(load(b"{}").unwrap_err().code(), "runtime.model_damaged");
}

#[test]
fn a_number_is_the_category_of_its_digits() {
    let golden = one("catboost", "one_hot");
    let model = golden.load(FORMAT);
    let matrix = golden.matrix(&model);
    assert!(matrix.chunks_exact(3).skip(4).all(|row| row[1] >= 0.0 && row[2] >= 0.0));
    assert!(matrix[1].is_nan(), "a category that training did not see");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_damaged_model_is_refused_or_answers_and_never_panics(
        name in prop::sample::select(vec!["one_hot", "lossguide", "multi_class", "regression_nan_max"]),
        damages in prop::collection::vec(damage(), 1..4),
    ) {
        let mut bytes = bytes("catboost", name);
        damages.iter().for_each(|damage| apply(&mut bytes, damage));
        if let Ok(model) = load(&bytes) {
            answers_all(&model);
        }
    }
}
