//! Ensembles: graphs of models and expressions, deployed and asked like models.

use std::sync::Arc;

use arrow::{record_batch::RecordBatch, util::display::array_value_to_string};
use futures::TryStreamExt as _;
use http::StatusCode;
use serde_json::{Value as Json, json};
use shipway_core::DataType;
use shipway_serving::EnsembleSpec;

use crate::{
    http::ask,
    world::{World, model_text, shape},
};

/// An expression, a deployment and a model of the ensemble's own behind it, and the two of them averaged and judged.
fn graph() -> Json {
    json!({
        "inputs": {"flights": "float", "month": "int", "carrier": "text"},
        "steps": [
            {"name": "ready", "compute": {"traffic": "flights * 2"}},
            {"name": "left", "model": "late", "inputs": {"origin_traffic__count_1d": "traffic"}},
            {"name": "right", "model": "models:/late@challenger", "inputs": {"origin_traffic__count_1d": "flights"}},
            {"name": "joined", "compute": {
                "mean": "(left + right) / 2",
                "verdict": "CASE WHEN mean > 2 THEN 'hold' ELSE 'go' END",
                "ratio": "flights / (month - 1)",
            }},
        ],
        "outputs": {"mean": "mean", "verdict": "verdict", "ratio": "ratio"},
    })
}

async fn world() -> World {
    let world = World::new().await;
    world.models.move_silently("challenger", 2);
    world.deploys("late", None).await;
    world
}

fn spec(graph: &Json) -> EnsembleSpec {
    serde_json::from_value(json!({ "ensemble": graph })).unwrap()
}

async fn deploy(world: &World, body: Json) -> (StatusCode, Json) {
    ask(world, "PUT", "/api/v1/deployments/risk", Some(body)).await
}

async fn predict(world: &World, rows: Json) -> (StatusCode, Json) {
    ask(world, "POST", "/api/v1/predict/risk", Some(json!({ "rows": rows }))).await
}

async fn logged(world: &World, sql: &str) -> Vec<Vec<String>> {
    world.serving.flush().await.unwrap();
    let batches: Vec<RecordBatch> = world.lake.sql(sql).await.unwrap().try_collect().await.unwrap();
    let mut rows = Vec::new();
    for batch in &batches {
        for row in 0..batch.num_rows() {
            let cell = |column: &arrow::array::ArrayRef| array_value_to_string(column, row).unwrap();
            rows.push(batch.columns().iter().map(cell).collect());
        }
    }
    rows
}

#[tokio::test]
async fn an_ensemble_is_deployed_asked_and_logged_like_a_model() {
    let world = world().await;

    let (status, made) = deploy(&world, json!({ "ensemble": graph() })).await;

    assert_eq!(status, StatusCode::OK, "{made}");
    assert_eq!((&made["version"], &made["ready"], &made["trouble"]), (&json!(1), &json!(true), &Json::Null));
    assert_eq!(made["output_types"], json!({"mean": "float", "verdict": "text", "ratio": "float"}));
    assert_eq!(made["models"][1]["version"], 2);
    let (_, listed) = ask(&world, "GET", "/api/v1/deployments", None).await;
    assert_eq!((&listed["deployments"][0]["name"], &listed["ensembles"][0]), (&json!("late"), &made));

    let rows = json!([
        {"flights": 4, "month": 3, "carrier": "UA"},
        {"flights": 6, "month": 1, "carrier": null},
        {"flights": 20.5, "month": null, "carrier": "B6"},
    ]);
    let (status, answer) = predict(&world, rows).await;

    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(
        answer["predictions"],
        json!([
            {"mean": 1.6, "verdict": "go", "ratio": 2.0},
            {"mean": 2.0, "verdict": "go", "ratio": null},
            {"mean": 2.4, "verdict": "hold", "ratio": null},
        ])
    );
    assert_eq!(answer["steps"][0]["step"], "left");
    assert_eq!(
        (&answer["steps"][0]["deployment"], &answer["steps"][0]["version"]),
        (&json!("late"), &json!(1))
    );
    assert_eq!((&answer["steps"][1]["model"], &answer["steps"][1]["version"]), (&json!("late"), &json!(2)));
    let sql = "SELECT request_id, model, model_version, flights, carrier, prediction, output__verdict, output__ratio, steps \
               FROM predictions__risk ORDER BY row";
    let rows = logged(&world, sql).await;
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[2][0], answer["request_id"].as_str().unwrap());
    assert_eq!(rows[2][1..7], ["risk", "1", "20.5", "B6", "[2.4, NaN]", "hold"]);
    assert_eq!(rows[1][7], "");
    assert_eq!(serde_json::from_str::<Json>(&rows[0][8]).unwrap(), answer["steps"]);
    let of_step = answer["steps"][0]["request_id"].as_str().unwrap();
    let sql = format!("SELECT prediction FROM predictions__late WHERE request_id = '{of_step}' ORDER BY row");
    assert_eq!(logged(&world, &sql).await, [["[1.1]"], ["[1.9]"], ["[1.9]"]]);
    let label = json!({ "labels": [{ "request_id": answer["request_id"], "label": 1 }] });
    assert_eq!(ask(&world, "POST", "/api/v1/labels/risk", Some(label)).await.0, StatusCode::OK);
}

#[tokio::test]
async fn the_open_inference_protocol_has_a_tensor_for_every_input_and_output() {
    let world = world().await;
    deploy(&world, json!({ "ensemble": graph() })).await;

    let (_, metadata) = ask(&world, "GET", "/v2/models/risk", None).await;
    assert_eq!((&metadata["platform"], &metadata["versions"]), (&json!("ensemble"), &json!(["1"])));
    assert_eq!(metadata["inputs"][2], json!({"name": "carrier", "datatype": "BYTES", "shape": [-1]}));
    assert_eq!(metadata["outputs"][1], json!({"name": "verdict", "datatype": "BYTES", "shape": [-1]}));
    assert_eq!(ask(&world, "GET", "/v2/models", None).await.1, json!({ "models": ["late", "risk"] }));
    assert_eq!(ask(&world, "GET", "/v2/models/risk/versions/1/ready", None).await.0, StatusCode::OK);
    assert_eq!(ask(&world, "GET", "/v2/models/risk/versions/2/ready", None).await.0, StatusCode::NOT_FOUND);
    assert_eq!(ask(&world, "GET", "/v2/models/risk/config", None).await.1["max_batch_size"], 0);

    let inputs = json!([
        {"name": "flights", "shape": [2], "datatype": "FP32", "data": [4, 20]},
        {"name": "month", "shape": [2, 1], "datatype": "INT64", "data": [[1], [2]]},
        {"name": "carrier", "shape": [2], "datatype": "BYTES", "data": ["UA", "B6"]},
    ]);
    let body = json!({ "id": "7", "inputs": inputs, "outputs": [{"name": "verdict"}, {"name": "ratio"}] });
    let (status, answer) = ask(&world, "POST", "/v2/models/risk/infer", Some(body)).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!((&answer["id"], &answer["model_version"]), (&json!("7"), &json!("1")));
    assert_eq!(answer["outputs"][0]["data"], json!(["go", "hold"]));
    assert_eq!(answer["outputs"][1]["data"], json!(["NaN", 20.0]), "what is missing is NaN");
    let steps: Json = serde_json::from_str(answer["parameters"]["steps"].as_str().unwrap()).unwrap();
    assert_eq!(steps[1]["version"], 2);

    let (_, statistics) = ask(&world, "GET", "/v2/models/risk/stats", None).await;
    let counted = &statistics["model_stats"][0];
    assert_eq!(
        (&counted["inference_count"], &counted["inference_stats"]["success"]["count"]),
        (&json!(2), &json!(1))
    );
    let (_, all) = ask(&world, "GET", "/v2/models/stats", None).await;
    assert_eq!(all["model_stats"].as_array().unwrap().len(), 2);
    let other = json!({ "inputs": inputs, "outputs": [{"name": "verdikt"}] });
    let (status, refused) = ask(&world, "POST", "/v2/models/risk/infer", Some(other)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(refused["error"], "there is no output `verdikt`; the outputs are mean, verdict, ratio");
}

#[tokio::test]
async fn the_scoring_protocol_answers_a_record_for_each_row() {
    let world = world().await;
    deploy(&world, json!({ "ensemble": graph() })).await;
    let expected = json!({"predictions": [{"mean": 1.6, "verdict": "go", "ratio": 2.0}]});
    for body in [
        json!({"dataframe_split": {"columns": ["carrier", "month", "flights"], "data": [["UA", 3, 4.0]]}}),
        json!({"instances": [[4, 3, "UA"]]}),
        json!({"inputs": {"flights": [4], "month": [3], "carrier": ["UA"]}}),
    ] {
        let (status, answer) = ask(&world, "POST", "/endpoints/risk/invocations", Some(body)).await;
        assert_eq!((status, answer), (StatusCode::OK, expected.clone()));
    }
    assert_eq!(ask(&world, "GET", "/endpoints/risk/ping", None).await.0, StatusCode::OK);
    assert_eq!(ask(&world, "GET", "/endpoints/risk/version", None).await.0, StatusCode::OK);
}

#[tokio::test]
async fn what_cannot_run_is_refused_and_leaves_no_trace() {
    let world = world().await;
    let cases = [
        ("/steps/1/model", json!("lates"), 404, "step `left`: deployment `lates` does not exist"),
        ("/steps/2/model", json!("models:/late@nobody"), 404, "step `right`: model late has no alias nobody"),
        (
            "/steps/2/model",
            json!("models:/late/2"),
            400,
            "step `right`: `models:/late/2` is no model; expected the name of a deployment, or models:/NAME@ALIAS",
        ),
        (
            "/steps/1/inputs",
            json!({}),
            400,
            "step `left`: nothing feeds input `origin_traffic__count_1d` of model `late` version 1",
        ),
        (
            "/inputs/month",
            json!("text"),
            400,
            "step `left`: input `month` takes a number; column `month` is text",
        ),
        ("/outputs/mean", json!("meen"), 400, "output `mean`: there is no column `meen`"),
    ];
    for (pointer, value, status, detail) in cases {
        let mut changed = graph();
        *changed.pointer_mut(pointer).unwrap() = value;
        let (got, problem) = deploy(&world, json!({ "ensemble": changed })).await;
        assert_eq!((got.as_u16(), problem["detail"].as_str().unwrap()), (status, detail));
    }
    assert_eq!(ask(&world, "GET", "/api/v1/deployments/risk", None).await.0, StatusCode::NOT_FOUND);
    assert!(world.restart().await.serving.ensembles().is_empty());
}

#[tokio::test]
async fn names_are_of_one_kind_and_what_is_asked_stays() {
    let world = world().await;
    deploy(&world, json!({ "ensemble": graph() })).await;

    let model = json!({ "model": "late", "alias": "champion" });
    let (status, problem) = ask(&world, "PUT", "/api/v1/deployments/risk", Some(model)).await;
    assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!("serving.name_taken")));
    let (status, problem) =
        ask(&world, "PUT", "/api/v1/deployments/late", Some(json!({ "ensemble": graph() }))).await;
    assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!("serving.name_taken")));
    let (status, problem) = ask(&world, "DELETE", "/api/v1/deployments/late", None).await;
    assert_eq!(
        (status, &problem["detail"]),
        (StatusCode::CONFLICT, &json!("deployment `late` is asked by ensemble `risk`"))
    );
    let (status, problem) = ask(&world, "POST", "/api/v1/explain/risk", Some(json!({ "rows": [] }))).await;
    assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!("serving.is_ensemble")));
    let nested =
        json!({"inputs": {"x": "float"}, "steps": [{"name": "s", "model": "risk"}], "outputs": {"y": "s"}});
    let (status, problem) =
        ask(&world, "PUT", "/api/v1/deployments/outer", Some(json!({ "ensemble": nested }))).await;
    assert_eq!(
        (status, &problem["detail"]),
        (StatusCode::CONFLICT, &json!("step `s`: deployment `risk` is an ensemble"))
    );

    assert_eq!(ask(&world, "DELETE", "/api/v1/deployments/risk", None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(ask(&world, "DELETE", "/api/v1/deployments/late", None).await.0, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn steps_follow_their_aliases_and_a_version_that_does_not_fit_does_not_take_over() {
    let world = world().await;
    world.serving.deploy_ensemble("tester", "risk", spec(&graph())).await.unwrap();
    world.models.register(3, &model_text(&["origin_traffic__count_1d", "humidity"], 3.1, 3.9), None);
    world.models.register(4, &model_text(&["origin_traffic__count_1d", "flights"], 4.1, 4.9), None);
    let rows = json!([{"flights": 1, "month": 3, "carrier": "UA"}]);

    for (alias, step) in [("champion", "left"), ("challenger", "right")] {
        world.models.move_alias(alias, 3);
        world.serving.refresh().await;

        let status = world.serving.status_of_ensemble("risk").unwrap();
        let trouble = status.trouble.unwrap();
        assert_eq!(trouble.code, "serving.unfit_for_ensemble");
        assert_eq!(
            trouble.detail,
            format!(
                "step `{step}`: ensemble `risk` cannot use it: step `{step}`: nothing feeds input `humidity` of model `late` version 3"
            )
        );
        assert!(status.ready);
        assert_eq!(predict(&world, rows.clone()).await.1["predictions"][0]["mean"], 1.6, "the old one stays");

        world.models.move_alias(alias, if alias == "champion" { 1 } else { 2 });
        world.serving.refresh().await;
        assert_eq!(world.serving.status_of_ensemble("risk").unwrap().trouble, None);
    }
    // Another input that a column of its name feeds, and the one that was mapped.
    world.models.move_alias("champion", 4);
    world.models.move_alias("challenger", 4);
    world.serving.refresh().await;
    let (_, answer) = predict(&world, rows).await;
    assert_eq!(
        (&answer["predictions"][0]["mean"], &answer["steps"][1]["version"]),
        (&json!(4.1), &json!(4)),
        "{answer}"
    );
}

#[tokio::test]
async fn no_request_fails_while_versions_with_other_inputs_take_over() {
    let world = Arc::new(world().await);
    world.serving.deploy_ensemble("tester", "risk", spec(&graph())).await.unwrap();
    world.models.register(4, &model_text(&["flights", "origin_traffic__count_1d"], 4.1, 4.9), None);
    let asking = {
        let world = Arc::clone(&world);
        async move {
            for _ in 0..300 {
                let (status, answer) =
                    predict(&world, json!([{"flights": 1, "month": 3, "carrier": "UA"}])).await;
                assert_eq!(status, StatusCode::OK, "{answer}");
                tokio::task::yield_now().await;
            }
        }
    };
    let moving = async {
        for version in [4, 1].into_iter().cycle().take(20) {
            world.models.move_alias("champion", version);
            world.serving.refresh().await;
        }
    };
    futures::join!(asking, moving);
}

#[tokio::test]
async fn an_ensemble_outlives_a_restart_and_counts_its_changes() {
    let world = world().await;
    world.serving.deploy_ensemble("tester", "risk", spec(&graph())).await.unwrap();
    let same = world.serving.deploy_ensemble("tester", "risk", spec(&graph())).await.unwrap();
    assert_eq!(same.version, 1);
    let reads = world.models.reads();
    let mut changed = graph();
    changed["steps"][3]["compute"]["mean"] = "(left + right) / 4".into();
    let status = world.serving.deploy_ensemble("tester", "risk", spec(&changed)).await.unwrap();
    assert_eq!((status.version, world.models.reads()), (2, reads), "its models stay loaded");

    let world = world.restart().await;

    assert!(world.serving.ready());
    let (_, answer) = predict(&world, json!([{"flights": 1, "month": 3, "carrier": "UA"}])).await;
    assert_eq!((&answer["version"], &answer["predictions"][0]["mean"]), (&json!(2), &json!(0.8)));
}

#[tokio::test]
async fn a_request_that_does_not_fit_is_refused_by_name_and_a_step_that_fails_is_named() {
    let world = world().await;
    deploy(&world, json!({ "ensemble": graph() })).await;
    let row = json!({"flights": 1, "month": 3, "carrier": "UA"});
    let many: Json = std::iter::repeat_n(row.clone(), 100_000).collect();
    for (rows, status, detail) in [
        (json!([]), 400, "a prediction takes 1 to 1024 rows, got 0"),
        (many, 413, "a prediction takes 1 to 1024 rows, got 100000"),
        (json!([{"flights": 1, "month": 3}]), 400, "row 0: column `carrier`: missing"),
        (
            json!([row, {"flights": "x", "month": 3, "carrier": "UA"}]),
            400,
            "row 1: column `flights`: expected float, got \"x\"",
        ),
        (
            json!([{"flights": 1, "month": 3.5, "carrier": "UA"}]),
            400,
            "row 0: column `month`: expected int, got 3.5",
        ),
    ] {
        let (got, problem) = predict(&world, rows).await;
        assert_eq!((got.as_u16(), problem["detail"].as_str().unwrap()), (status, detail));
    }
    let body = json!({ "rows": [row], "timeout_ms": 0 });
    let (status, problem) = ask(&world, "POST", "/api/v1/predict/risk", Some(body)).await;
    assert_eq!((status, &problem["code"]), (StatusCode::TOO_MANY_REQUESTS, &json!("serving.too_late")));
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.starts_with("step `left`: ") || detail.starts_with("step `right`: "), "{detail}");

    world.serving.unload("late").await.unwrap();
    let (status, problem) = predict(&world, json!([row])).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(problem["detail"], "step `left`: deployment `late` is unloaded");
    assert_eq!(ask(&world, "GET", "/v2/models/risk/ready", None).await.0, StatusCode::SERVICE_UNAVAILABLE);
    world.serving.load_again("late").await.unwrap();
    world.serving.unload("risk").await.unwrap();
    assert_eq!(predict(&world, json!([row])).await.1["code"], "serving.unloaded");
    world.serving.load_again("risk").await.unwrap();
    assert_eq!(predict(&world, json!([row])).await.0, StatusCode::OK);
    let (_, statistics) = ask(&world, "GET", "/v2/models/risk/stats", None).await;
    let counted = &statistics["model_stats"][0];
    assert_eq!(counted["inference_stats"]["fail"]["count"], 8);
    assert_eq!(counted["refused_count"], 1);
}

#[tokio::test]
async fn a_thousand_rows_go_through_the_queues_of_the_models() {
    let world = world().await;
    deploy(&world, json!({ "ensemble": graph() })).await;
    let rows: Json = (0..1024).map(|row| json!({"flights": row, "month": 3, "carrier": "UA"})).collect();
    let (status, answer) = predict(&world, rows).await;
    assert_eq!(status, StatusCode::OK);
    let means: Vec<f64> =
        answer["predictions"].as_array().unwrap().iter().map(|row| row["mean"].as_f64().unwrap()).collect();
    let expected = |row: usize| match row {
        0..=5 => 1.6,
        6..=10 => 2.0,
        _ => 2.4,
    };
    assert!(means.iter().enumerate().all(|(row, mean)| (mean - expected(row)).abs() < 1e-12));
}

#[tokio::test]
async fn inputs_come_from_a_feature_service_by_ids() {
    let world = world().await;
    let graph = json!({
        "inputs": {"origin_traffic__count_1d": "float", "month": "int"},
        "steps": [
            {"name": "left", "model": "late"},
            {"name": "joined", "compute": {"late": "COALESCE(origin_traffic__count_1d, 0) > 10 AND left > 1.5"}},
        ],
        "outputs": {"late": "late"},
    });
    let body = json!({ "ensemble": graph, "service": "traffic" });
    let (status, made) = deploy(&world, body.clone()).await;
    assert_eq!(status, StatusCode::OK, "{made}");
    assert_eq!(made["service_hash"], shape("v1", &[]).hash.to_string());

    let rows = json!([{"origin": "JFK", "month": 1}, {"origin": "LGA", "month": 1},
        {"origin": "LGA", "month": 1, "origin_traffic__count_1d": 40}]);
    let (status, answer) = predict(&world, rows).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(answer["predictions"], json!([{"late": true}, {"late": false}, {"late": true}]));
    assert_eq!(answer["overridden"], json!([[], [], ["origin_traffic__count_1d"]]));
    assert_eq!(answer["feature_age"][0][0]["view"], "origin_traffic");
    let sql = "SELECT origin, origin_traffic__count_1d, service, overridden, output__late FROM predictions__risk ORDER BY row";
    let rows = logged(&world, sql).await;
    assert_eq!(rows[0], ["JFK", "30", "traffic", "", "true"]);
    assert_eq!(rows[2], ["LGA", "5", "traffic", "{\"origin_traffic__count_1d\":40}", "true"]);
    let metadata = ask(&world, "GET", "/v2/models/risk", None).await.1;
    assert_eq!(metadata["inputs"][0], json!({"name": "origin", "datatype": "BYTES", "shape": [-1]}));

    // A version of the service with one more feature takes over by itself.
    world.features.apply(shape("v2", &[("wind", DataType::Float)]));
    let (_, answer) = predict(&world, json!([{"origin": "JFK", "month": 1}])).await;
    assert_eq!(answer["service_hash"], shape("v2", &[]).hash.to_string());
    assert_eq!(logged(&world, "SELECT count(wind) FROM predictions__risk").await, [["1"]]);

    let mut wrong = body;
    wrong["ensemble"]["inputs"]["month"] = "text".into();
    wrong["ensemble"]["inputs"]["humidity"] = "float".into();
    let (_, problem) = deploy(&world, wrong).await;
    assert_eq!(problem["code"], "serving.wrong_ensemble", "{problem}");
}

#[tokio::test]
async fn models_of_ensembles_make_room_and_are_loaded_again_when_they_are_asked() {
    let probe = World::new().await;
    let budget = probe.models.bytes(1) + 10;
    let world = World::with_memory(Some(budget)).await;
    world.models.move_silently("challenger", 2);
    world.deploys("late", None).await;
    let row = json!([{"flights": 1, "month": 3, "carrier": "UA"}]);

    let (status, made) = deploy(&world, json!({ "ensemble": graph() })).await;

    assert_eq!(status, StatusCode::OK, "{made}");
    assert_eq!(predict(&world, row.clone()).await.1["predictions"][0]["mean"], 1.6);
    let world = world.restart().await;
    assert!(world.serving.ready());
    assert_eq!(predict(&world, row).await.1["predictions"][0]["mean"], 1.6);
}

#[tokio::test]
async fn an_output_that_is_missing_is_null_and_refused_where_its_tensor_has_no_such_value() {
    let world = world().await;
    let graph = json!({
        "inputs": {"flights": "float"},
        "steps": [{"name": "only", "compute": {"whole": "CAST(flights AS BIGINT)"}}],
        "outputs": {"whole": "whole"},
    });
    deploy(&world, json!({ "ensemble": graph })).await;
    let (_, answer) = predict(&world, json!([{"flights": null}, {"flights": "NaN"}, {"flights": 3.0}])).await;
    assert_eq!(answer["predictions"], json!([{"whole": null}, {"whole": null}, {"whole": 3}]));
    let body =
        json!({ "inputs": [{"name": "flights", "shape": [2], "datatype": "FP64", "data": [1.0, null]}] });
    let (status, refused) = ask(&world, "POST", "/v2/models/risk/infer", Some(body)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let expected = "output `whole` has no value in row 1, and INT64 has none for that";
    assert!(refused["error"].as_str().unwrap().starts_with(expected), "{refused}");
}

#[tokio::test]
async fn a_launch_of_a_steps_model_decides_who_answers_in_it() {
    let world = world().await;
    deploy(&world, json!({ "ensemble": graph() })).await;
    let launch = json!({ "alias": "challenger", "shadow_share": 0, "canary_shares": [0.5], "hold_s": 600 });
    let (status, begun) = ask(&world, "POST", "/api/v1/deployments/late/launch", Some(launch)).await;
    assert_eq!(status, StatusCode::CREATED, "{begun}");

    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..100 {
        let (_, answer) = predict(&world, json!([{"flights": 1, "month": 3, "carrier": "UA"}])).await;
        let step = &answer["steps"][0];
        seen.insert(format!("{} {} {}", step["variant"], step["version"], answer["predictions"][0]["mean"]));
    }

    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["\"canary\" 2 2.1", "\"stable\" 1 1.6"]);
}
