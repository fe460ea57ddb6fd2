//! Every earlier form of the tables is brought forward with what is in it.

use serde_json::json;
use shipway_store::Migration;

use super::app::App;

const FIRST: Migration =
    Migration { version: 1, name: "tracking", sql: include_str!("../../migrations/0001_tracking.sql") };

#[tokio::test]
async fn what_the_first_form_of_the_tables_held_is_answered() {
    let store = super::empty_store().await;
    store.migrate("tracking", &[FIRST]).await.unwrap();
    for statement in include_str!("../golden/tables-1.sql").lines().filter(|line| line.starts_with("INSERT")) {
        store.execute(statement.trim_end_matches(';'), vec![]).await.unwrap();
    }

    let app = App::over(store).await;

    let run = app.get("runs/get?run_id=0123456789abcdef0123456789abcdef").await.ok();
    assert_eq!(run["run"]["info"]["run_name"], "first");
    assert_eq!(run["run"]["data"]["metrics"][0]["value"], 0.75);
    assert_eq!(run["run"]["data"]["params"], json!([{ "key": "rate", "value": "0.1" }]));
    assert_eq!(run["run"]["inputs"]["dataset_inputs"][0]["dataset"]["name"], "flights");
    let history = app.get("metrics/get-history?run_id=0123456789abcdef0123456789abcdef&metric_key=auc").await.ok();
    assert_eq!(history["metrics"].as_array().map(Vec::len), Some(2));
    let search = json!({ "experiment_ids": ["1"], "order_by": ["metrics.auc DESC"] });
    let found = app.post("runs/search", search).await.ok();
    let names: Vec<_> = found["runs"].as_array().unwrap().iter().map(|run| &run["info"]["run_name"]).collect();
    assert_eq!(names, ["first", "second"]);
    let above = json!({ "experiment_ids": ["1"], "filter": "metrics.auc > 0.7" });
    assert_eq!(app.post("runs/search", above).await.ok()["runs"].as_array().map(Vec::len), Some(1));
    let experiment = app.get("experiments/get-by-name?experiment_name=autumn").await.ok();
    assert_eq!(experiment["experiment"]["experiment_id"], "1");
    let taken = app.post("experiments/create", json!({ "name": "autumn" })).await;
    assert_eq!(taken.refused(), (400, "RESOURCE_ALREADY_EXISTS".to_owned()));
    let found = app.get("model-versions/search?max_results=5").await.ok();
    assert_eq!(found["model_versions"].as_array().map(Vec::len), Some(1), "in the workspace `default`");
    let version = app.get("registered-models/alias?name=late_arrivals&alias=champion").await.ok();
    assert_eq!(version["model_version"]["version"], "2");
    let model = app.get("logged-models/m-0123456789abcdef0123456789abcdef").await.ok();
    assert_eq!(model["model"]["data"]["metrics"][0]["value"], 0.75);
}
