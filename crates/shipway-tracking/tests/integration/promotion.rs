//! Promotion: gates, on every way to an alias.

use http::Method;
use serde_json::json;
use shipway_tracking::Rule;

use super::app::App;

const BEATS: Rule = Rule::BeatsHolder { margin: 0.0 };

/// Registers a version whose model has this content and, if given, this score.
async fn version(app: &App, content: &str, auc: Option<f64>) -> u32 {
    let run_id = app.creates_run().await;
    let model_id = app.logs_model(content).await;
    if let Some(auc) = auc {
        app.evaluates(&run_id, &model_id, auc).await;
    }
    app.registers("late", &model_id).await
}

#[tokio::test]
async fn the_better_version_takes_the_alias_and_the_worse_is_refused() {
    let app = App::new().await;
    app.guards("late", "champion", BEATS);
    let (first, second, third) = (
        version(&app, "static", Some(0.6)).await,
        version(&app, "features", Some(0.7)).await,
        version(&app, "shuffled", Some(0.5)).await,
    );
    let promoted = app.promotes("late", "champion", first).await.ok();
    assert_eq!(promoted["replaced"], json!(null));
    let promoted = app.promotes("late", "champion", second).await.ok();
    assert_eq!(promoted["replaced"], 1);
    assert_eq!(promoted["judged"][0]["finding"], "auc 0.7 on autumn (d1) beats version 1's 0.6");
    let refused = app.promotes("late", "champion", third).await;
    assert_eq!(refused.status, 409);
    assert_eq!(refused.json()["code"], "tracking.gate_not_met");
    assert_eq!(
        refused.json()["detail"],
        "late version 3 may not take champion: gate worthy: auc 0.5 on autumn (d1) does not beat version 2's 0.7"
    );
    assert_eq!(app.holder_of("late", "champion").await, Some(2));
    assert_eq!(
        app.audited().await,
        ["tracking.promote", "tracking.promote", "tracking.refuse_promotion"],
        "both outcomes are audited"
    );
}

#[tokio::test]
async fn the_mlflow_wire_is_no_way_round_a_gate() {
    let app = App::new().await;
    app.guards("late", "champion", Rule::AtLeast(0.65));
    let weak = version(&app, "weak", Some(0.6)).await;
    let body = json!({ "name": "late", "alias": "champion", "version": weak.to_string() });
    let refused = app.post("registered-models/alias", body.clone()).await;
    assert_eq!(refused.refused(), (403, "PERMISSION_DENIED".to_owned()));
    assert!(refused.message().contains("auc 0.6 on autumn (d1) is below 0.65"), "{}", refused.message());
    let path = "/ajax-api/2.0/mlflow/registered-models/alias";
    assert_eq!(app.send(Method::POST, path, body.to_string()).await.refused().0, 403);
    assert_eq!(app.holder_of("late", "champion").await, None);
    let free = json!({ "name": "late", "alias": "trial", "version": weak.to_string() });
    app.post("registered-models/alias", free).await.ok();
    assert_eq!(app.holder_of("late", "trial").await, Some(weak), "no gate stands before this alias");
}

#[tokio::test]
async fn renaming_is_no_way_round_a_gate() {
    let app = App::new().await;
    app.guards("guarded", "champion", Rule::AtLeast(0.65));
    let weak = version(&app, "weak", Some(0.6)).await;
    app.promotes("late", "champion", weak).await.ok();
    let refused =
        app.post("registered-models/rename", json!({ "name": "late", "new_name": "guarded" })).await;
    assert_eq!(refused.refused().0, 403);
    assert_eq!(app.holder_of("late", "champion").await, Some(weak));
}

#[tokio::test]
async fn a_score_earned_by_another_artifact_does_not_count() {
    let app = App::new().await;
    app.guards("late", "champion", BEATS);
    let run_id = app.creates_run().await;
    let model_id = app.logs_model("before").await;
    app.evaluates(&run_id, &model_id, 0.9).await;
    app.puts(&model_id, "model.lgb", "after").await.ok();
    let version = app.registers("late", &model_id).await;
    let refused = app.promotes("late", "champion", version).await;
    assert_eq!(refused.json()["code"], "tracking.version_not_evaluated");
    app.evaluates(&run_id, &model_id, 0.9).await;
    let again = app.promotes("late", "champion", version).await;
    assert_eq!(again.status, 409, "the same point sent again keeps the artifact it was earned by");
    let metric = json!({
        "run_id": run_id, "key": "auc", "value": 0.9, "timestamp": 6, "model_id": model_id, "dataset_name": "autumn",
    });
    app.post("runs/log-metric", metric).await.ok();
    app.promotes("late", "champion", version).await.ok();
}

#[tokio::test]
async fn a_version_without_evaluation_is_refused_and_an_unknown_one_is_not_found() {
    let app = App::new().await;
    app.guards("late", "champion", BEATS);
    let version = version(&app, "model", None).await;
    let refused = app.promotes("late", "champion", version).await;
    assert_eq!(refused.json()["code"], "tracking.version_not_evaluated");
    assert_eq!(app.promotes("late", "champion", 99).await.status, 404);
    assert_eq!(app.promotes("lat", "champion", 1).await.json()["hint"], "did you mean late?");
    assert_eq!(app.promotes("late", "v1", version).await.status, 400, "reads as a version");
}

#[tokio::test]
async fn watchers_hear_of_each_committed_change_and_of_nothing_else() {
    let app = App::new().await;
    app.guards("late", "champion", Rule::AtLeast(0.65));
    let changes = app.tracking.alias_changes();
    let (weak, strong) = (version(&app, "weak", Some(0.6)).await, version(&app, "strong", Some(0.7)).await);
    app.promotes("late", "champion", weak).await;
    assert_eq!(*changes.borrow(), 0, "refused");
    app.promotes("late", "champion", strong).await.ok();
    app.promotes("late", "champion", strong).await.ok();
    assert_eq!(*changes.borrow(), 1, "giving it again changes nothing");
    let body = json!({ "name": "late", "alias": "champion" }).to_string();
    app.send(Method::DELETE, "/api/2.0/mlflow/registered-models/alias", body).await.ok();
    assert_eq!(*changes.borrow(), 2);
    assert_eq!(app.holder_of("late", "champion").await, None);
    assert_eq!(app.audited().await.last().map(String::as_str), Some("tracking.delete_alias"));
}

#[tokio::test]
async fn a_resolved_version_names_its_files_by_content() {
    let app = App::new().await;
    let model_id = app.logs_model("trees").await;
    app.puts(&model_id, "data/schema.json", "{}").await.ok();
    let version = app.registers("late", &model_id).await;
    let resolved = app.tracking.resolve_version("late", version).await.unwrap();
    let paths: Vec<_> = resolved.files.iter().map(|file| (file.path.as_str(), file.bytes)).collect();
    assert_eq!(paths, [("data/schema.json", 2), ("model.lgb", 5)]);
    assert_eq!(resolved.model_id, model_id);
    let content = app.tracking.read_file(&resolved.files[1].digest).await.unwrap();
    assert_eq!(content.as_ref(), b"trees");
    let below = json!({
        "name": "late", "source": format!("mlflow-artifacts:/0/models/{model_id}/artifacts/data"),
    });
    app.post("model-versions/create", below).await.ok();
    let resolved = app.tracking.resolve_version("late", 2).await.unwrap();
    assert_eq!(resolved.files[0].path, "schema.json", "paths are relative to the version's folder");
}
