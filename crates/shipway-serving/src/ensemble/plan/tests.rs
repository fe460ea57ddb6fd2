//! Graphs that can run, and those that cannot.

use super::*;

fn graph(json: serde_json::Value) -> EnsembleGraph {
    serde_json::from_value(json).unwrap()
}

fn shape(inputs: &[(&str, Takes)], outputs: usize) -> Option<Shape> {
    let inputs = inputs.iter().map(|(name, takes)| ((*name).to_owned(), *takes)).collect();
    Some(Shape { who: "model `m` version 1".to_owned(), inputs, outputs })
}

/// Two models behind expressions, in no order, and what stands behind both.
fn diamond() -> (EnsembleGraph, Vec<Option<Shape>>) {
    let graph = graph(serde_json::json!({
        "inputs": {"delay": "float", "carrier": "text"},
        "steps": [
            {"name": "joined", "compute": {"mean": "(left + right_0) / 2", "late": "mean >= 0.5"}},
            {"name": "left", "model": "l", "inputs": {"x": "hours"}},
            {"name": "right", "model": "r"},
            {"name": "ready", "compute": {"hours": "delay / 60", "twice": "hours * 2"}},
        ],
        "outputs": {"probability": "mean", "late": "late", "carrier": "carrier"},
    }));
    let left = shape(&[("x", Takes::Number)], 1);
    let right = shape(&[("twice", Takes::Number), ("carrier", Takes::Category)], 2);
    (graph, vec![None, left, right, None])
}

#[test]
fn a_step_comes_after_those_it_reads_and_waits_for_nobody_else() {
    let (graph, shapes) = diamond();
    let plan = plan(&graph, &shapes).unwrap();

    let order: Vec<(&str, &[usize])> =
        plan.steps.iter().map(|step| (step.name.as_str(), step.waits.as_slice())).collect();
    assert_eq!(order, [("ready", &[][..]), ("left", &[0]), ("right", &[0]), ("joined", &[1, 2])]);
    let columns: Vec<&str> = plan.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(columns, ["delay", "carrier", "hours", "twice", "left", "right_0", "right_1", "mean", "late"]);
    let types: Vec<(String, DataType)> = plan.output_types();
    assert_eq!(
        types,
        [
            ("probability".to_owned(), DataType::Float),
            ("late".to_owned(), DataType::Bool),
            ("carrier".to_owned(), DataType::Text)
        ]
    );
}

/// What a graph is refused for when `change` was made to the one above.
fn refused(change: impl FnOnce(&mut serde_json::Value)) -> String {
    let (graph, shapes) = diamond();
    let mut json = serde_json::json!(graph);
    change(&mut json);
    let graph = serde_json::from_value(json).unwrap();
    let error = check_inputs(&graph, &shapes).and_then(|()| plan(&graph, &shapes)).unwrap_err();
    match shipway_core::Failure::hint(&error) {
        Some(hint) => format!("{error} ({hint})"),
        None => error.to_string(),
    }
}

#[test]
fn cycles_are_refused_with_what_waits_for_what() {
    assert_eq!(
        refused(|json| json["steps"][3]["compute"]["hours"] = "delay / mean".into()),
        "ensemble: steps wait for each other: `joined` reads `left` of `left`, `left` reads `hours` of `ready`, \
         `right` reads `twice` of `ready`, `ready` reads `mean` of `joined`"
    );
    assert_eq!(
        refused(|json| json["steps"][1]["inputs"]["x"] = "left".into()),
        "step `left`: input `x` of model `m` version 1 would be fed by its own output"
    );
    assert_eq!(
        refused(|json| json["steps"][3]["compute"]["hours"] = "twice / 2".into()),
        "step `ready`: column `hours` reads `twice`, which is computed after it"
    );
}

#[test]
fn unknown_names_are_refused_with_the_nearest_or_all_that_there_are() {
    assert_eq!(
        refused(|json| json["steps"][1]["inputs"] = serde_json::json!({"x": "hour"})),
        "step `left`: input `x` of model `m` version 1: there is no column `hour` (did you mean `hours`?)"
    );
    assert_eq!(
        refused(|json| json["steps"][1]["inputs"] = serde_json::json!({"humidity": "hours", "x": "hours"})),
        "step `left`: model `m` version 1 has no input `humidity` (its inputs are x)"
    );
    assert_eq!(
        refused(|json| json["steps"][1]["inputs"] = serde_json::json!({})),
        "step `left`: nothing feeds input `x` of model `m` version 1 (name a column of another name in `inputs`: {x: COLUMN})"
    );
    assert_eq!(
        refused(|json| json["steps"][0]["compute"]["mean"] = "left + rihgt_0".into()),
        "step `joined`: column `mean`: column rihgt_0 does not exist here (at character 8) (did you mean `right_0`?)"
    );
    assert_eq!(
        refused(|json| json["outputs"]["late"] = "latte".into()),
        "output `late`: there is no column `latte` (did you mean `late`?)"
    );
}

#[test]
fn a_model_that_takes_less_than_its_graph_names_can_run() {
    let (graph, mut shapes) = diamond();
    shapes[1] = shape(&[("twice", Takes::Number)], 1);
    assert!(plan(&graph, &shapes).is_ok());
    let refused = check_inputs(&graph, &shapes).unwrap_err().to_string();
    assert_eq!(refused, "step `left`: model `m` version 1 has no input `x`");
}

#[test]
fn types_that_do_not_fit_are_refused_with_what_was_expected() {
    assert_eq!(
        refused(|json| json["steps"][1]["inputs"]["x"] = "carrier".into()),
        "step `left`: input `x` takes a number; column `carrier` is text (compute another column, such as CAST(carrier AS …))"
    );
    assert_eq!(
        refused(|json| json["steps"][3]["compute"]["hours"] = "carrier / 60".into()),
        "step `ready`: column `hours`: / does not take text and int (at character 1) (cast one of them, such as CAST(text_column AS DOUBLE))"
    );
    assert_eq!(
        refused(|json| json["inputs"]["delay"] = "list(float)".into()),
        "input `delay`: it is list(float); an input is one value for each row"
    );
    let typed = Takes::Typed(DataType::Float);
    assert!(typed.fits(DataType::Int) && typed.fits(DataType::Float) && !typed.fits(DataType::Text));
    assert!(!Takes::Category.fits(DataType::list(shipway_core::ScalarType::Float)));
    assert!(!Takes::Number.fits(DataType::Timestamp) && Takes::Number.fits(DataType::Bool));
}

#[test]
fn what_nothing_uses_or_what_is_there_twice_is_refused() {
    assert_eq!(
        refused(|json| json["steps"][0]["compute"]["mean"] = "left".into()),
        "step `right`: nothing uses what it makes: `right_0`, `right_1` (leave it out, or name one of them in `outputs`)"
    );
    assert_eq!(
        refused(|json| json["steps"][1]["outputs"] = serde_json::json!(["mean"])),
        "step `left`: column `mean` is made by step `joined` already"
    );
    assert_eq!(
        refused(|json| json["steps"][1]["outputs"] = serde_json::json!(["delay"])),
        "step `left`: column `delay` is an input already"
    );
    assert_eq!(
        refused(|json| json["steps"][1]["outputs"] = serde_json::json!(["a", "b"])),
        "step `left`: `outputs` has 2 names; model `m` version 1 answers 1 for each row"
    );
    assert_eq!(
        refused(|json| json["steps"][1]["name"] = "joined".into()),
        "step `joined`: there are two steps of this name"
    );
    assert_eq!(
        refused(|json| json["steps"][1] = serde_json::json!({"name": "left"})),
        "step `left`: it does nothing; expected `model` or `compute`"
    );
    assert_eq!(
        refused(|json| json["steps"][1]["compute"] = serde_json::json!({"z": "1"})),
        "step `left`: it has both `model` and `compute`; expected one of them"
    );
    assert_eq!(
        refused(|json| json["outputs"] = serde_json::json!({})),
        "ensemble: it has inputs and outputs, at least one of each"
    );
    let named = refused(|json| json["steps"][3]["compute"]["a.b"] = "1".into());
    assert!(named.starts_with("step `ready`: column `a.b`: a name has 1 to 100 bytes"), "{named}");
}
