//! SIGKILL while many log: every point that was acknowledged is there, once, and no other than was sent.

use std::time::Duration;

use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use shipway_testkit::{Client, Server};
use tokio_util::task::TaskTracker;

use crate::world::BINARY;

const KILLS: usize = 8;
const WRITERS: usize = 8;

/// A run and what was logged for it: the points up to `acknowledged`, and perhaps the one after them.
#[derive(Clone)]
struct Logged {
    run_id: String,
    acknowledged: i64,
}

/// Logs point after point until the server is gone. Some are refused, together with those that are not.
async fn log(client: Client, mut logged: Logged) -> Logged {
    loop {
        let step = logged.acknowledged + 1;
        let point =
            json!({ "run_id": logged.run_id, "key": "loss", "value": 0.5, "timestamp": 1, "step": step });
        let request = client.request(reqwest::Method::POST, "/api/2.0/mlflow/runs/log-metric");
        match client.send(request.json(&point)).await {
            Ok(answer) if answer.status == 200 => logged.acknowledged = step,
            _ => return logged,
        }
        let unknown = json!({ "run_id": "nobody", "key": "loss", "value": 0.5, "timestamp": 1 });
        let request = client.request(reqwest::Method::POST, "/api/2.0/mlflow/runs/log-metric");
        if client.send(request.json(&unknown)).await.is_err() {
            return logged;
        }
    }
}

async fn steps(server: &Server, run_id: &str) -> Vec<i64> {
    let (mut steps, mut token) = (Vec::new(), String::new());
    loop {
        let path = format!(
            "/api/2.0/mlflow/metrics/get-history?run_id={run_id}&metric_key=loss&max_results=1000&page_token={token}"
        );
        let page = server.client().get(&path).await.ok();
        let points = page["metrics"].as_array().cloned().unwrap_or_default();
        steps.extend(points.iter().filter_map(|point| point["step"].as_i64()));
        match page["next_page_token"].as_str() {
            Some(next) => token = next.to_owned(),
            None => return steps,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_while_many_log_has_kept_every_point_that_it_acknowledged() {
    let mut random = StdRng::seed_from_u64(20_261_129);
    let mut server = Server::start(BINARY).await;
    let mut all = Vec::new();
    for _ in 0..WRITERS {
        let run =
            server.client().post("/api/2.0/mlflow/runs/create", &json!({ "experiment_id": "0" })).await.ok();
        let run_id = run["run"]["info"]["run_id"].as_str().unwrap().to_owned();
        all.push(Logged { run_id, acknowledged: 0 });
    }
    for _ in 0..KILLS {
        let tasks = TaskTracker::new();
        let writers: Vec<_> =
            all.iter().map(|logged| tasks.spawn(log(server.client().clone(), logged.clone()))).collect();
        tokio::time::sleep(Duration::from_millis(random.random_range(50..400))).await;
        server.kill();
        server.restart().await;
        for (logged, writer) in all.iter_mut().zip(writers) {
            *logged = writer.await.unwrap();
            let kept = steps(&server, &logged.run_id).await;
            let last = i64::try_from(kept.len()).unwrap();
            assert_eq!(kept, (1..=last).collect::<Vec<_>>());
            if last == 0 {
                continue;
            }
            assert!(
                last == logged.acknowledged || last == logged.acknowledged + 1,
                "{last} of {}",
                logged.acknowledged
            );
            // A point that is there without an answer may be sent again, and is there once.
            let again =
                json!({ "run_id": logged.run_id, "key": "loss", "value": 0.5, "timestamp": 1, "step": last });
            let answer: Value = server.client().post("/api/2.0/mlflow/runs/log-metric", &again).await.ok();
            assert_eq!(answer, json!({}));
            assert_eq!(steps(&server, &logged.run_id).await.len(), kept.len());
            logged.acknowledged = last;
        }
    }
    assert!(all.iter().all(|logged| logged.acknowledged > 10), "every kill comes under load");
}
