//! Models of tensors over REST: the log of those that have rows, what waits and what is refused, and the scoring protocol.

use arrow::{record_batch::RecordBatch, util::pretty::pretty_format_batches};
use futures::TryStreamExt as _;
use http::StatusCode;
use serde_json::{Value as Json, json};
use shipway_serving::{BatchingSettings, DeploymentSpec, QueueSettings};

use crate::{
    http::ask,
    world::{World, spec},
};

const ADDS: &[u8] = include_bytes!("../../../shipway-runtime/tests/goldens/add_sub.onnx");
const CLASSES: &[u8] = include_bytes!("../../../shipway-runtime/tests/goldens/logistic_multiclass.onnx");

async fn serves(onnx: &'static [u8]) -> World {
    let world = World::new().await;
    world.models.register_onnx(5, onnx);
    world.models.move_silently("champion", 5);
    world.deploys("direct", None).await;
    world
}

fn pair(rows: usize) -> Json {
    let tensor = |name: &str, number: i64| json!({ "name": name, "datatype": "INT32", "shape": [rows, 16], "data": vec![number; rows * 16] });
    json!({ "inputs": [tensor("INPUT1", 2), tensor("INPUT0", 5)] })
}

#[tokio::test]
async fn a_model_of_tensors_answers_its_own_outputs_which_are_logged() {
    let world = serves(ADDS).await;
    let (status, answer) = ask(&world, "POST", "/v2/models/direct/infer", Some(pair(2))).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(answer["outputs"][1]["data"], json!(vec![3; 32]));
    let (_, model) = ask(&world, "GET", "/v2/models/direct", None).await;
    assert_eq!(model["inputs"][0], json!({ "name": "INPUT0", "datatype": "INT32", "shape": [-1, 16] }));
    let (status, refused) =
        ask(&world, "POST", "/api/v1/predict/direct", Some(json!({ "rows": [{ "INPUT0": 1 }] }))).await;
    assert_eq!((status.as_u16(), &refused["code"]), (400, &json!("runtime.no_rows")), "{refused}");
    world.serving.flush().await.unwrap();
    let sql = "SELECT row, \"INPUT0\"[1] AS given, \"output__OUTPUT1\"[16] AS gave, prediction[1] AS prediction \
               FROM predictions__direct ORDER BY row";
    let logged: Vec<RecordBatch> = world.lake.sql(sql).await.unwrap().try_collect().await.unwrap();
    let shown = pretty_format_batches(&logged).unwrap().to_string();
    assert!(
        shown.contains("| 0   | 5     | 3    | 7.0        |")
            && shown.contains("| 1   | 5     | 3    | 7.0        |"),
        "{shown}"
    );
}

#[tokio::test]
async fn the_rows_of_a_model_that_has_them_are_logged_whatever_way_they_came() {
    let world = serves(CLASSES).await;
    let row = [0.5, -1.0, 2.0, 0.25];
    let tensor = json!([{ "name": "features", "datatype": "FP32", "shape": [1, 4], "data": row }]);
    // The label alone is wanted; the probabilities are logged all the same.
    let wanted = json!({ "inputs": tensor, "outputs": [{ "name": "label" }], "id": "by tensors" });
    let (status, by_tensors) = ask(&world, "POST", "/v2/models/direct/infer", Some(wanted)).await;
    assert_eq!(status, StatusCode::OK, "{by_tensors}");
    assert_eq!(by_tensors["outputs"].as_array().unwrap().len(), 1);
    let named: Json = (0..4)
        .map(|place| (format!("features_{place}"), json!(row[place])))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let (_, by_rows) = ask(&world, "POST", "/api/v1/predict/direct", Some(json!({ "rows": [named] }))).await;
    assert_eq!(by_rows["predictions"][0].as_array().unwrap().len(), 3, "{by_rows}");
    let scored = json!({ "dataframe_split": { "columns": ["features_0", "features_1", "features_2", "features_3"], "data": [row] } });
    let (status, scored) = ask(&world, "POST", "/endpoints/direct/invocations", Some(scored)).await;
    assert_eq!((status, &scored["predictions"]), (StatusCode::OK, &by_rows["predictions"]), "{scored}");

    world.serving.flush().await.unwrap();
    let sql = "SELECT DISTINCT features_0, features_3, prediction FROM predictions__direct";
    let logged: Vec<RecordBatch> = world.lake.sql(sql).await.unwrap().try_collect().await.unwrap();
    assert_eq!(
        logged.iter().map(RecordBatch::num_rows).sum::<usize>(),
        1,
        "three answers, one and the same row:\n{}",
        pretty_format_batches(&logged).unwrap()
    );
}

#[tokio::test]
async fn settings_are_kept_and_checked() {
    let world = serves(ADDS).await;
    let batching = BatchingSettings { max_rows: Some(8), max_delay_us: 100, instances: 2 };
    let queue = QueueSettings { max_requests: 3, timeout_ms: 50 };
    let settings = DeploymentSpec { batching, queue, ..spec(None) };
    world.serving.deploy("tests", "direct", settings.clone()).await.unwrap();
    let (_, config) = ask(&world, "GET", "/v2/models/direct/config", None).await;
    assert_eq!((&config["max_batch_size"], &config["input"][0]["dims"]), (&json!(8), &json!([16])));
    assert_eq!(config["dynamic_batching"]["default_queue_policy"]["max_queue_size"], 3);
    assert_eq!(config["instance_group"][0]["count"], 2);
    let world = world.restart().await;
    assert_eq!(world.serving.status_of("direct").unwrap().spec, settings);
    for (setting, refused) in [
        (json!({ "batching": { "max_rows": 0 } }), "batching.max_rows must be 1 to 65536, got 0"),
        (json!({ "queue": { "timeout_ms": 0 } }), "queue.timeout_ms must be 1 to 600000, got 0"),
    ] {
        let mut body = setting;
        body["model"] = json!("late");
        body["alias"] = json!("champion");
        let (status, problem) = ask(&world, "PUT", "/api/v1/deployments/direct", Some(body)).await;
        assert_eq!((status.as_u16(), problem["detail"].as_str().unwrap()), (400, refused));
    }
}

#[tokio::test]
async fn scoring_refuses_in_its_own_words() {
    let world = serves(ADDS).await;
    let tensors = json!({ "inputs": { "INPUT0": vec![vec![1; 16]; 2], "INPUT1": vec![vec![2; 16]; 2] } });
    let (status, answer) = ask(&world, "POST", "/endpoints/direct/invocations", Some(tensors)).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(answer["predictions"]["OUTPUT0"], json!(vec![vec![3; 16]; 2]));
    for (path, body, status, code) in [
        ("/endpoints/direct/invocations", json!({ "rows": [] }), 400, "BAD_REQUEST"),
        (
            "/endpoints/direct/invocations",
            json!({ "inputs": {}, "params": { "top": 3 } }),
            400,
            "BAD_REQUEST",
        ),
        ("/endpoints/nothing/invocations", json!({ "inputs": [] }), 404, "RESOURCE_DOES_NOT_EXIST"),
    ] {
        let (got, refused) = ask(&world, "POST", path, Some(body)).await;
        assert_eq!((got.as_u16(), refused["error_code"].as_str().unwrap()), (status, code), "{refused}");
        assert!(refused["message"].is_string());
    }
    assert_eq!(ask(&world, "GET", "/endpoints/direct/ping", None).await.0, StatusCode::OK);
    world.serving.unload("direct").await.unwrap();
    assert_eq!(ask(&world, "GET", "/endpoints/direct/ping", None).await.0, StatusCode::SERVICE_UNAVAILABLE);
    let (status, refused) = ask(&world, "POST", "/v2/models/direct/infer", Some(pair(1))).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{refused}");
    world.serving.load_again("direct").await.unwrap();
    assert_eq!(ask(&world, "POST", "/v2/models/direct/infer", Some(pair(1))).await.0, StatusCode::OK);
}
