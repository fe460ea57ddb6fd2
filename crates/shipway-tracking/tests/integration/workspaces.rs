//! Workspaces: made, changed and deleted; names are free in each of them, and models have keys for the whole server.

use axum::body::Body;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    app::App,
    workspace_world::{DEFAULT, TEAM, World},
};

#[tokio::test]
async fn a_name_is_free_in_each_workspace_and_taken_in_its_own() {
    let app = App::new().await;
    app.has_workspace("team-a").await;
    let first = app.experiment_in(DEFAULT, "flights").await;
    let second = app.experiment_in(TEAM, "flights").await;
    assert_ne!(first, second);
    for workspace in [DEFAULT, TEAM] {
        let again = app.post_in(workspace, "experiments/create", json!({ "name": "flights" })).await;
        assert_eq!(again.refused(), (400, "RESOURCE_ALREADY_EXISTS".to_owned()));
        let body = json!({ "name": "churn" });
        app.post_in(workspace, "registered-models/create", body.clone()).await.ok();
        let again = app.post_in(workspace, "registered-models/create", body).await;
        assert_eq!(again.refused(), (400, "RESOURCE_ALREADY_EXISTS".to_owned()));
    }
    let found = app.get_in(TEAM, "experiments/get-by-name?experiment_name=flights").await.ok();
    assert_eq!(found["experiment"]["experiment_id"], second.as_str());
    assert_eq!(found["experiment"]["artifact_location"], format!("mlflow-artifacts:/workspaces/team-a/{second}"));
    // Names with slashes are names of experiments, and never a way to another workspace.
    app.experiment_in(DEFAULT, "team-a/flights").await;
    let renamed = json!({ "experiment_id": second, "new_name": "delays" });
    app.post_in(TEAM, "experiments/update", renamed).await.ok();
    app.experiment_in(TEAM, "flights").await;
    assert_eq!(
        app.get_in(TEAM, "experiments/get-by-name?experiment_name=team-a%2Fflights").await.refused().0,
        404
    );
    // Experiment 0 is what nothing means, in `default` alone.
    assert_eq!(app.post_in(TEAM, "runs/create", json!({})).await.refused().0, 404);
    app.post_in(DEFAULT, "runs/create", json!({})).await.ok();
}

#[tokio::test]
async fn a_registered_model_of_another_workspace_is_reached_by_no_spelling_of_its_name() {
    let app = App::new().await;
    app.has_workspace("team-a").await;
    World::new(&app, TEAM).await;
    for name in ["team-a/churn", "team-a%2Fchurn", "/churn", "default/churn", "../team-a/churn"] {
        let encoded: String = url::form_urlencoded::byte_serialize(name.as_bytes()).collect();
        for workspace in [DEFAULT, TEAM] {
            let answer = app.get_in(workspace, &format!("registered-models/get?name={encoded}")).await;
            assert_eq!(answer.refused(), (404, "RESOURCE_DOES_NOT_EXIST".to_owned()), "{workspace:?} {name}");
            let answer = app.get_in(workspace, &format!("model-versions/get?name={encoded}&version=1")).await;
            assert_eq!(answer.refused().0, 404, "{workspace:?} {name}");
            let body = json!({ "name": name, "alias": "champion", "version": "1" });
            assert_eq!(app.post_in(workspace, "registered-models/alias", body).await.refused().0, 404);
        }
    }
    for name in ["team-a/churn", "a/b"] {
        let made = app.post_in(DEFAULT, "registered-models/create", json!({ "name": name })).await;
        assert_eq!(made.refused(), (400, "INVALID_PARAMETER_VALUE".to_owned()), "{name}");
    }
    app.post_in(DEFAULT, "registered-models/create", json!({ "name": "mine" })).await.ok();
    let renamed = app.post_in(DEFAULT, "registered-models/rename", json!({ "name": "mine", "new_name": "team-a/x" })).await;
    assert_eq!(renamed.refused(), (400, "INVALID_PARAMETER_VALUE".to_owned()));
    // The native API names it by its key.
    let shown = app.send(Method::GET, "/api/v1/models/team-a%2Fchurn", Body::empty()).await.ok();
    assert_eq!((shown["name"].as_str(), shown["aliases"]["champion"].as_i64()), (Some("team-a/churn"), Some(1)));
    assert_eq!(app.promotes("team-a%2Fchurn", "shadow", 1).await.status, StatusCode::OK);
    assert_eq!(app.holder_of("team-a/churn", "shadow").await, Some(1));
    assert_eq!(app.holder_of("churn", "shadow").await, None);
}

#[tokio::test]
async fn an_unknown_workspace_is_refused_and_an_empty_one_is_default() {
    let app = App::new().await;
    let code = |workspace| {
        let app = &app;
        async move { app.get_in(Some(workspace), "experiments/search?max_results=1").await.refused() }
    };
    assert_eq!(code("team-a").await, (404, "RESOURCE_DOES_NOT_EXIST".to_owned()));
    for name in ["Team", "a", "../x", "team_a", "api", "*", "a/b", "' OR 1=1"] {
        assert_eq!(code(name).await, (400, "INVALID_PARAMETER_VALUE".to_owned()), "{name}");
    }
    for name in ["", " ", "default", " default "] {
        app.get_in(Some(name), "experiments/search?max_results=1").await.ok();
    }
    let info = app.get_3("server-info").await.ok();
    assert_eq!(info["workspaces_enabled"], true);
    let info = app.ask_in(Some("team-a"), Method::GET, "/api/3.0/mlflow/server-info", &Value::Null).await;
    assert_eq!(info.status, StatusCode::OK, "clients ask before they know");
}

#[tokio::test]
async fn workspaces_are_made_shown_and_changed() {
    let app = App::new().await;
    let listed = app.get_3("workspaces").await.ok();
    assert_eq!(listed, json!({ "workspaces": [{ "name": "default" }] }));
    let body = json!({ "name": "team-a", "description": "ours", "default_artifact_root": "mlflow-artifacts:/teams/a" });
    let made = app.call(Method::POST, "workspaces", body.clone()).await;
    assert_eq!((made.status, made.json()), (StatusCode::CREATED, json!({ "workspace": body })));
    assert_eq!(app.get_3("workspaces/team-a").await.ok(), json!({ "workspace": body }));
    let location = |id: &str| format!("mlflow-artifacts:/teams/a/{id}");
    let id = app.experiment_in(TEAM, "flights").await;
    let experiment = app.get_in(TEAM, &format!("experiments/get?experiment_id={id}")).await.ok();
    assert_eq!(experiment["experiment"]["artifact_location"], location(&id));
    let change = json!({ "description": "", "default_artifact_root": "" });
    let changed = app.call(Method::PATCH, "workspaces/team-a", change).await.ok();
    assert_eq!(changed, json!({ "workspace": { "name": "team-a", "description": "" } }));
    app.call(Method::PATCH, "workspaces/default", json!({ "description": "all of us" })).await.ok();

    let wrong = |code: &str| (400, code.to_owned());
    let again = app.call(Method::POST, "workspaces", json!({ "name": "team-a" })).await;
    assert_eq!(again.refused(), wrong("RESOURCE_ALREADY_EXISTS"));
    for body in [
        json!({}),
        json!({ "name": "default" }),
        json!({ "name": "Team" }),
        json!({ "name": "static-files" }),
        json!({ "name": "team-b", "default_artifact_root": "s3://bucket/x" }),
        json!({ "name": "team-b", "default_artifact_root": "/etc" }),
        json!({ "name": "team-b", "default_artifact_root": "mlflow-artifacts:/../x" }),
        json!({ "name": "team-b", "description": "x".repeat(1_001) }),
        json!({ "name": "team-b", "trace_archival_config": { "location": "s3://b/x" } }),
    ] {
        let refused = app.call(Method::POST, "workspaces", body.clone()).await.refused();
        assert_eq!(refused, wrong("INVALID_PARAMETER_VALUE"), "{body}");
    }
    assert_eq!(app.call(Method::PATCH, "workspaces/team-a", json!({})).await.refused(), wrong("INVALID_PARAMETER_VALUE"));
    let missing = (404, "RESOURCE_DOES_NOT_EXIST".to_owned());
    assert_eq!(app.call(Method::PATCH, "workspaces/team-b", json!({ "description": "x" })).await.refused(), missing);
    assert_eq!(app.get_3("workspaces/team-b").await.refused(), missing);
    let audited = app.audited().await;
    assert_eq!(audited, ["tracking.create_workspace", "tracking.update_workspace", "tracking.update_workspace"]);
}

#[tokio::test]
async fn a_workspace_goes_when_it_is_empty_and_default_never_does() {
    let app = App::new().await;
    app.has_workspace("team-a").await;
    let id = app.experiment_in(TEAM, "flights").await;
    app.post_in(TEAM, "experiments/delete", json!({ "experiment_id": id })).await.ok();
    let refused = app.deletes_workspace("team-a", "RESTRICT").await;
    assert_eq!(refused.refused(), (400, "INVALID_STATE".to_owned()));
    assert!(refused.message().contains("1 experiments"), "{}", refused.message());
    for (name, mode, code) in [
        ("default", "RESTRICT", "INVALID_PARAMETER_VALUE"),
        ("default", "CASCADE", "INVALID_PARAMETER_VALUE"),
        ("team-a", "PURGE", "INVALID_PARAMETER_VALUE"),
        ("team-b", "CASCADE", "RESOURCE_DOES_NOT_EXIST"),
    ] {
        assert_eq!(app.deletes_workspace(name, mode).await.refused().1, code, "{name} {mode}");
    }
    assert_eq!(app.get_3("workspaces").await.ok()["workspaces"].as_array().map(Vec::len), Some(2));
    app.has_workspace("team-b").await;
    let gone = app.send(Method::DELETE, "/api/3.0/mlflow/workspaces/team-b", Body::empty()).await;
    assert_eq!((gone.status, gone.bytes.len()), (StatusCode::NO_CONTENT, 0));
    assert_eq!(app.get_in(Some("team-b"), "experiments/search?max_results=1").await.refused().0, 404);
}

#[tokio::test]
async fn a_workspace_goes_with_all_that_is_in_it() {
    let app = App::new().await;
    app.has_workspace("team-a").await;
    let (here, there) = (World::new(&app, DEFAULT).await, World::new(&app, TEAM).await);
    assert_eq!(app.deletes_workspace("team-a", "CASCADE").await.status, StatusCode::NO_CONTENT);
    for table in ["experiments", "registered_models", "model_versions", "evaluation_datasets", "webhooks"] {
        let sql = format!("SELECT COUNT(*) AS number FROM {table} WHERE workspace = 'team-a'");
        let row = app.store.fetch_optional(&sql, vec![]).await.unwrap().unwrap();
        assert_eq!(row.int("number").unwrap(), 0, "{table}");
    }
    for table in ["runs", "traces", "logged_models"] {
        let sql = format!("SELECT COUNT(*) AS number FROM {table}");
        let row = app.store.fetch_optional(&sql, vec![]).await.unwrap().unwrap();
        assert_eq!(row.int("number").unwrap(), 1, "{table}: that of default");
    }
    app.get_in(DEFAULT, &format!("runs/get?run_id={}", here.run)).await.ok();
    let file = format!("/api/2.0/mlflow-artifacts/artifacts/{}/MLmodel", here.root);
    assert_eq!(app.send(Method::GET, &file, Body::empty()).await.status, StatusCode::OK);
    // The next one of that name begins empty.
    app.has_workspace("team-a").await;
    assert_eq!(app.names_in(TEAM, "experiments", "").await, Vec::<String>::new());
    assert_eq!(app.get_in(TEAM, &format!("runs/get?run_id={}", there.run)).await.refused().0, 404);
}

#[tokio::test]
async fn what_is_in_a_workspace_moves_to_default_unless_a_name_is_taken() {
    let app = App::new().await;
    app.has_workspace("team-a").await;
    let there = World::new(&app, TEAM).await;
    let taken = app.experiment_in(DEFAULT, "flights").await;
    app.post_in(DEFAULT, "registered-models/create", json!({ "name": "churn" })).await.ok();
    let refused = app.deletes_workspace("team-a", "SET_DEFAULT").await;
    assert_eq!(refused.refused(), (400, "INVALID_STATE".to_owned()));
    assert!(refused.message().contains("flights") && refused.message().contains("churn"), "{}", refused.message());
    app.get_in(TEAM, &format!("runs/get?run_id={}", there.run)).await.ok();

    app.post_in(DEFAULT, "experiments/update", json!({ "experiment_id": taken, "new_name": "old" })).await.ok();
    app.post_in(DEFAULT, "registered-models/rename", json!({ "name": "churn", "new_name": "old" })).await.ok();
    assert_eq!(app.deletes_workspace("team-a", "SET_DEFAULT").await.status, StatusCode::NO_CONTENT);
    app.get_in(DEFAULT, &format!("runs/get?run_id={}", there.run)).await.ok();
    let version = app.get_in(DEFAULT, "registered-models/alias?name=churn&alias=champion").await.ok();
    assert_eq!(version["model_version"]["model_id"], there.model.as_str());
    assert_eq!(app.names_in(DEFAULT, "model-versions", "name = 'churn'").await, ["churn"]);
    let found = app.get_in(DEFAULT, "experiments/get-by-name?experiment_name=flights").await.ok();
    assert_eq!(found["experiment"]["experiment_id"], there.experiment.as_str());
    app.get_in(DEFAULT, &format!("webhooks/{}", there.webhook)).await.ok();
    let file = format!("/api/2.0/mlflow-artifacts/artifacts/{}/MLmodel", there.root);
    assert_eq!(app.send(Method::GET, &file, Body::empty()).await.status, StatusCode::OK);
}

#[tokio::test]
async fn moving_a_model_is_no_way_round_a_gate() {
    let app = App::new().await;
    app.has_workspace("team-a").await;
    World::new(&app, TEAM).await;
    app.guards("churn", "champion", shipway_tracking::Rule::AtLeast(0.9));
    let refused = app.deletes_workspace("team-a", "SET_DEFAULT").await;
    assert_eq!(refused.refused(), (403, "PERMISSION_DENIED".to_owned()), "{}", refused.message());
    assert_eq!(app.names_in(TEAM, "registered-models", "").await, ["churn"], "nothing was moved");
    // A gate before a model of a workspace names it by its key.
    app.guards("team-a/churn", "shadow", shipway_tracking::Rule::AtLeast(0.9));
    let body = json!({ "name": "churn", "alias": "shadow", "version": "1" });
    assert_eq!(app.post_in(TEAM, "registered-models/alias", body).await.refused().0, 403);
}

#[tokio::test]
async fn a_webhook_is_told_of_its_own_workspace_by_the_names_that_models_have_there() {
    let app = App::new().await;
    app.has_workspace("team-a").await;
    let (here, there) = (World::new(&app, DEFAULT).await, World::new(&app, TEAM).await);
    app.post_in(TEAM, "registered-models/create", json!({ "name": "fraud" })).await.ok();
    app.post_in(DEFAULT, "registered-models/create", json!({ "name": "delay" })).await.ok();
    for (webhook, name) in [(&here.webhook, "delay"), (&there.webhook, "fraud")] {
        let sql = "SELECT body FROM webhook_deliveries WHERE webhook_id = $1";
        let rows = app.store.fetch_all(sql, shipway_store::parameters![webhook.as_str()]).await.unwrap();
        let bodies: Vec<Value> =
            rows.iter().map(|row| serde_json::from_str(&row.text("body").unwrap()).unwrap()).collect();
        let names: Vec<&Value> = bodies.iter().map(|body| &body["data"]["name"]).collect();
        assert_eq!(names, [name]);
    }
}

#[tokio::test]
async fn an_import_comes_into_the_workspace_that_it_names() {
    let app = App::new().await;
    app.has_workspace("team-a").await;
    let path = "/api/v1/import/mlflow/experiments";
    let body = json!({ "experiment_id": "7", "name": "imported", "lifecycle": "active", "created_ms": 5, "updated_ms": 6, "tags": {} });
    let first = app.ask_in(DEFAULT, Method::POST, path, &body).await.ok();
    let second = app.ask_in(TEAM, Method::POST, path, &body).await.ok();
    assert_eq!((first["experiment_id"].as_str(), second["outcome"].as_str()), (Some("7"), Some("created")));
    assert_ne!(first["experiment_id"], second["experiment_id"]);
    let body = json!({ "name": "fraud", "description": "", "created_ms": 1, "updated_ms": 1, "tags": {} });
    let path = "/api/v1/import/mlflow/registered-models";
    app.ask_in(TEAM, Method::POST, path, &body).await.ok();
    assert_eq!(app.names_in(TEAM, "registered-models", "").await, ["fraud"]);
    assert_eq!(app.names_in(DEFAULT, "registered-models", "").await, Vec::<String>::new());
    assert_eq!(app.ask_in(Some("nowhere"), Method::POST, path, &body).await.status, StatusCode::NOT_FOUND);

    // Ids are for the whole server: what is in one workspace stays there, and nothing of another is made of it.
    let world = World::new(&app, DEFAULT).await;
    let run = |id: &str, experiment: &Value| {
        json!({ "run_id": id, "experiment_id": experiment, "name": "r", "user_id": "", "status": "FINISHED", "start_ms": 1,
                "end_ms": 2, "lifecycle": "active", "params": {}, "tags": {} })
    };
    let version = json!({
        "name": "fraud", "version": 1, "source": format!("models:/{}", world.model), "has_files": true, "run_id": "",
        "model_id": "", "run_link": "", "description": "", "user_id": "", "stage": "None", "created_ms": 1,
        "updated_ms": 1, "tags": {},
    });
    for (path, body) in [
        ("runs", run(&world.run, &second["experiment_id"])),
        ("runs", run("new", &json!(world.experiment))),
        (&format!("runs/{}/metrics", world.run), json!({ "metrics": [] })),
        ("versions", version),
    ] {
        let answer = app.ask_in(TEAM, Method::POST, &format!("/api/v1/import/mlflow/{path}"), &body).await;
        let words = String::from_utf8_lossy(&answer.bytes);
        assert_eq!(answer.status, StatusCode::CONFLICT, "{path} {body}: {words}");
        assert!(words.contains("of another workspace"), "{words}");
    }
}

#[tokio::test]
async fn the_native_api_lists_makes_and_deletes_workspaces() {
    let app = App::new().await;
    let path = "/api/v1/workspaces";
    let body = json!({ "name": "team-a", "description": "ours" });
    let made = app.send(Method::POST, path, body.to_string()).await;
    assert_eq!((made.status, made.json()), (StatusCode::CREATED, body));
    let listed = app.send(Method::GET, path, Body::empty()).await.ok();
    let default = json!({ "name": "default", "description": null });
    assert_eq!(listed["workspaces"], json!([default, { "name": "team-a", "description": "ours" }]));
    app.experiment_in(TEAM, "flights").await;
    let delete = |query: &'static str| app.send(Method::DELETE, query, Body::empty());
    let refused = delete("/api/v1/workspaces/team-a").await;
    assert_eq!((refused.status.as_u16(), &refused.json()["code"]), (409, &json!("tracking.workspace_in_use")));
    assert_eq!(delete("/api/v1/workspaces/team-a?contents=all").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(delete("/api/v1/workspaces/nowhere").await.json()["code"], "tracking.workspace_not_found");
    assert_eq!(delete("/api/v1/workspaces/team-a?contents=move").await.status, StatusCode::NO_CONTENT);
    assert_eq!(app.names_in(DEFAULT, "experiments", "").await, ["flights", "Default"]);
}
