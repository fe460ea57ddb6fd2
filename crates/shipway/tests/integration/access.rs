//! Who may do what, on every route of the real server.

use reqwest::Method;
use serde_json::{Value, json};
use shipway_testkit::{Server, ServerOptions, TempData};

use crate::world::BINARY;

const OPERATOR: &str = "the operator's own token";
const PASSWORD: &str = "correct horse battery";
/// Routes that anybody may ask. A new one must be put here by somebody who has thought about it.
const PUBLIC: [&str; 10] = [
    "/healthz",
    "/readyz",
    "/health",
    "/version",
    "/v2",
    "/v2/health/live",
    "/v2/health/ready",
    "/api/3.0/mlflow/server-info",
    "/ajax-api/3.0/mlflow/server-info",
    "/ajax-api/3.0/mlflow/ui-telemetry",
];

/// Routes that show everybody what they may see, and nothing else.
const NARROWED: [&str; 8] = [
    "/api/2.0/mlflow/experiments/search",
    "/ajax-api/2.0/mlflow/experiments/search",
    "/api/2.0/mlflow/registered-models/search",
    "/ajax-api/2.0/mlflow/registered-models/search",
    "/api/2.0/mlflow/model-versions/search",
    "/ajax-api/2.0/mlflow/model-versions/search",
    "/api/v1/models",
    "/graphql",
];

struct Route {
    method: Method,
    path: String,
    level: String,
    about: String,
}

/// Every route with what it demands, as the reference lists it; a test of the reference demands that it is current.
fn routes() -> Vec<Route> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/permissions.md");
    let page = fs_err::read_to_string(page).unwrap();
    assert!(page.lines().count() > 300, "every route is listed");
    let rows = page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| method"));
    rows.map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        Route {
            method: cells[0].parse().unwrap(),
            path: cells[1].trim_matches('`').to_owned(),
            level: cells[2].to_owned(),
            about: cells.get(3).map(|cell| cell.trim_matches([' ', '|']).to_owned()).unwrap_or_default(),
        }
    })
    .collect()
}

async fn guarded() -> Server {
    let environment = vec![("SHIPWAY_TOKEN".to_owned(), OPERATOR.to_owned())];
    Server::start_in(BINARY, TempData::new(), ServerOptions { environment, ..ServerOptions::default() }).await
}

enum As<'a> {
    Nobody,
    Operator,
    User(&'a str),
}

async fn ask(server: &Server, who: As<'_>, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
    let mut request = server.client().request(method, path);
    request = match who {
        As::Nobody => request,
        As::Operator => request.bearer_auth(OPERATOR),
        As::User(name) => request.basic_auth(name, Some(PASSWORD)),
    };
    if let Some(body) = body {
        request = request.json(&body);
    }
    let answer = server.client().send(request).await.unwrap();
    (answer.status, serde_json::from_slice(&answer.body).unwrap_or_default())
}

async fn has_user(server: &Server, name: &str, grants: &[&str]) {
    let body = json!({ "name": name, "password": PASSWORD });
    assert_eq!(ask(server, As::Operator, Method::POST, "/api/v1/users", Some(body)).await.0, 201);
    for grant in grants {
        let path = format!("/api/v1/users/{name}/grants");
        let granted = ask(server, As::Operator, Method::POST, &path, Some(json!({ "grant": grant }))).await;
        assert_eq!(granted.0, 204, "{grant}");
    }
}

async fn mlflow(server: &Server, who: As<'_>, method: Method, path: &str, body: Value) -> (u16, Value) {
    ask(server, who, method, &format!("/api/2.0/mlflow/{path}"), Some(body)).await
}

#[test]
fn every_route_says_what_it_demands_and_of_what() {
    let routes = routes();
    for Route { method, path, level, about } in &routes {
        match level.as_str() {
            "public" => assert!(PUBLIC.contains(&path.as_str()), "{method} {path} is public"),
            "known" => assert!(about.is_empty(), "{method} {path}"),
            "read" | "use" | "edit" | "manage" => {
                assert!(!about.is_empty(), "{method} {path} does not say what it is about");
            }
            other => panic!("{method} {path} demands {other:?}"),
        }
    }
    for path in PUBLIC {
        assert!(routes.iter().any(|route| route.path == path), "{path} is gone");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_route_but_the_public_ones_answers_nobody_or_somebody_without_a_grant() {
    let server = guarded().await;
    has_user(&server, "nobody", &[]).await;
    for Route { method, path, level, about } in routes() {
        let asked = path.replace("{*path}", "x/y").replace(['{', '}'], "");
        let body = (method != Method::GET).then(|| json!({}));
        let (status, _) = ask(&server, As::Nobody, method.clone(), &asked, body.clone()).await;
        if level == "public" {
            assert_ne!(status, 401, "{method} {path}");
            continue;
        }
        let is_grpc = path.contains("FlightService/") || path.contains("FeatureService/");
        // A refusal of gRPC is in its trailers.
        let refused = if is_grpc { 200 } else { 401 };
        assert_eq!(status, refused, "{method} {path}");
        if level == "known" || NARROWED.contains(&path.as_str()) || is_grpc {
            continue;
        }
        let (status, answer) = ask(&server, As::User("nobody"), method.clone(), &asked, body).await;
        // 404: what is named in the path is looked up before it is known whose it is.
        assert!(matches!(status, 403 | 404), "{method} {path}: {status} {answer}");
        if status == 404 {
            assert!(about == "experiment" && path.contains('{'), "{method} {path}: {answer}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_works_in_their_own_experiments_and_sees_no_others() {
    let server = guarded().await;
    has_user(&server, "ana", &["workspace:use"]).await;
    has_user(&server, "bo", &["workspace:use"]).await;
    let create = |name: &str| json!({ "name": name });
    let (_, own) = mlflow(&server, As::User("ana"), Method::POST, "experiments/create", create("hers")).await;
    let (_, other) = mlflow(&server, As::User("bo"), Method::POST, "experiments/create", create("his")).await;
    let (own, other) = (own["experiment_id"].clone(), other["experiment_id"].clone());

    let listed =
        mlflow(&server, As::User("ana"), Method::POST, "experiments/search", json!({ "max_results": 10 }))
            .await;
    let names: Vec<&Value> =
        listed.1["experiments"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["hers"]);
    let run = |experiment: &Value| json!({ "experiment_id": experiment });
    let (status, made) = mlflow(&server, As::User("ana"), Method::POST, "runs/create", run(&own)).await;
    assert_eq!(status, 200);
    let own_run = made["run"]["info"]["run_id"].clone();
    assert_eq!(mlflow(&server, As::User("ana"), Method::POST, "runs/create", run(&other)).await.0, 403);
    let (_, made) = mlflow(&server, As::User("bo"), Method::POST, "runs/create", run(&other)).await;
    let other_run = made["run"]["info"]["run_id"].clone();

    let metric = |run: &Value, model: Value| json!({ "run_id": run, "key": "auc", "value": 1.0, "timestamp": 1, "model_id": model });
    assert_eq!(
        mlflow(&server, As::User("ana"), Method::POST, "runs/log-metric", metric(&own_run, json!("")))
            .await
            .0,
        200
    );
    assert_eq!(
        mlflow(&server, As::User("ana"), Method::POST, "runs/log-metric", metric(&other_run, json!("")))
            .await
            .0,
        403
    );
    // A model of somebody else is not praised by a run of one's own: gates judge by such metrics.
    let body = json!({ "experiment_id": other, "name": "m" });
    let (_, model) = mlflow(&server, As::User("bo"), Method::POST, "logged-models", body).await;
    let model_id = model["model"]["info"]["model_id"].clone();
    assert_eq!(
        mlflow(&server, As::User("ana"), Method::POST, "runs/log-metric", metric(&own_run, model_id.clone()))
            .await
            .0,
        403
    );
    let batch = json!({ "run_id": own_run, "metrics": [metric(&own_run, model_id.clone())] });
    assert_eq!(mlflow(&server, As::User("ana"), Method::POST, "runs/log-batch", batch).await.0, 403);
    // Both names of a field count.
    let both = json!({ "run_id": own_run, "run_uuid": other_run, "key": "k", "value": "v" });
    assert_eq!(mlflow(&server, As::User("ana"), Method::POST, "runs/set-tag", both).await.0, 403);

    let search = json!({ "experiment_ids": [own, other] });
    assert_eq!(mlflow(&server, As::User("ana"), Method::POST, "runs/search", search).await.0, 403);
    let search = json!({ "experiment_ids": [own] });
    assert_eq!(mlflow(&server, As::User("ana"), Method::POST, "runs/search", search).await.0, 200);
    // The browser's queries are asked the same.
    let graphql = |run: &Value| {
        json!({ "query": "query GetRun($data: MlflowGetRunInput!) { mlflowGetRun(input: $data) { run { info { runId } } } }",
                "variables": { "data": { "runId": run } } })
    };
    let (_, seen) = ask(&server, As::User("ana"), Method::POST, "/graphql", Some(graphql(&own_run))).await;
    assert_eq!(seen["data"]["mlflowGetRun"]["run"]["info"]["runId"], own_run);
    let (_, hidden) =
        ask(&server, As::User("ana"), Method::POST, "/graphql", Some(graphql(&other_run))).await;
    assert_eq!(hidden["data"]["mlflowGetRun"], Value::Null, "{hidden}");
    assert!(hidden["errors"][0]["message"].as_str().unwrap().contains("may not read experiment"), "{hidden}");

    // Ana lets Bo read; from then on he does, and no more than that.
    let body = json!({ "grant": format!("experiment/{}:read", own.as_str().unwrap()) });
    assert_eq!(
        ask(&server, As::User("ana"), Method::POST, "/api/v1/users/bo/grants", Some(body)).await.0,
        204
    );
    let get = format!("/api/2.0/mlflow/runs/get?run_id={}", own_run.as_str().unwrap());
    assert_eq!(ask(&server, As::User("bo"), Method::GET, &get, None).await.0, 200);
    assert_eq!(
        mlflow(&server, As::User("bo"), Method::POST, "runs/log-metric", metric(&own_run, json!(""))).await.0,
        403
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_are_not_added_to_a_trace_of_somebody_else() {
    let server = guarded().await;
    let mut experiments = Vec::new();
    for name in ["ana", "bo"] {
        has_user(&server, name, &["workspace:use"]).await;
        let made =
            mlflow(&server, As::User(name), Method::POST, "experiments/create", json!({ "name": name }))
                .await;
        experiments.push(made.1["experiment_id"].clone());
    }
    let (own, other) = (experiments[0].clone(), experiments[1].clone());
    let spans = |trace: &str| {
        json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": [{
            "traceId": trace.repeat(16), "spanId": "ab".repeat(8), "name": "s",
            "startTimeUnixNano": "1", "endTimeUnixNano": "2" }] }] }] })
    };
    let export = |who: As<'static>, experiment: &Value, trace: &str| {
        let request = server.client().request(Method::POST, "/v1/traces");
        let As::User(name) = who else { panic!("a user exports") };
        let request = request
            .basic_auth(name, Some(PASSWORD))
            .header("x-mlflow-experiment-id", experiment.as_str().unwrap());
        let request = request.json(&spans(trace));
        async { server.client().send(request).await.unwrap().status }
    };
    assert_eq!(export(As::User("bo"), &other, "cd").await, 200);
    assert_eq!(export(As::User("ana"), &other, "ce").await, 403);
    assert_eq!(export(As::User("ana"), &own, "cd").await, 403);
    assert_eq!(export(As::User("ana"), &own, "ce").await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_read_by_who_may_read_their_experiment_or_their_model() {
    let server = guarded().await;
    has_user(&server, "ana", &["workspace:use"]).await;
    has_user(&server, "eve", &["workspace:use"]).await;
    let post = |path: &'static str, body: Value| mlflow(&server, As::User("ana"), Method::POST, path, body);
    let experiment = post("experiments/create", json!({ "name": "hers" })).await.1["experiment_id"].clone();
    let body = json!({ "experiment_id": experiment, "name": "m" });
    let model = post("logged-models", body).await.1["model"]["info"]["model_id"].clone();
    let (experiment, model) = (experiment.as_str().unwrap().to_owned(), model.as_str().unwrap().to_owned());
    let file = format!("/api/2.0/mlflow-artifacts/artifacts/{experiment}/models/{model}/artifacts/MLmodel");
    let put = |who: As<'static>| ask(&server, who, Method::PUT, &file, Some(json!({ "flavors": {} })));
    assert_eq!(put(As::User("ana")).await.0, 200);
    assert_eq!(put(As::User("eve")).await.0, 403);
    assert_eq!(ask(&server, As::User("eve"), Method::GET, &file, None).await.0, 403);

    // Nobody makes a version of files that they may not read.
    let version =
        |name: &str| json!({ "name": name, "source": format!("models:/{model}"), "model_id": model });
    let body = json!({ "name": "stolen" });
    assert_eq!(mlflow(&server, As::User("eve"), Method::POST, "registered-models/create", body).await.0, 200);
    assert_eq!(
        mlflow(&server, As::User("eve"), Method::POST, "model-versions/create", version("stolen")).await.0,
        403
    );
    assert_eq!(post("registered-models/create", json!({ "name": "churn" })).await.0, 200);
    assert_eq!(post("model-versions/create", version("churn")).await.0, 200);

    let body = json!({ "grant": "registered_model/churn:read" });
    assert_eq!(
        ask(&server, As::User("ana"), Method::POST, "/api/v1/users/eve/grants", Some(body)).await.0,
        204
    );
    assert_eq!(ask(&server, As::User("eve"), Method::GET, &file, None).await.0, 200);
    assert_eq!(put(As::User("eve")).await.0, 403);
    // What was granted ends with the model.
    assert_eq!(
        mlflow(
            &server,
            As::User("ana"),
            Method::DELETE,
            "registered-models/delete",
            json!({ "name": "churn" })
        )
        .await
        .0,
        200
    );
    assert_eq!(ask(&server, As::User("eve"), Method::GET, &file, None).await.0, 403);
    let body = json!({ "name": "churn" });
    assert_eq!(mlflow(&server, As::Operator, Method::POST, "registered-models/create", body).await.0, 200);
    let get = "/api/2.0/mlflow/registered-models/get?name=churn";
    assert_eq!(ask(&server, As::User("eve"), Method::GET, get, None).await.0, 403);
    assert_eq!(ask(&server, As::User("ana"), Method::GET, get, None).await.0, 403, "another made this one");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_users_does_not_start_without_a_token() {
    let server = guarded().await;
    has_user(&server, "ana", &[]).await;
    let data = server.into_data();
    let mut command = std::process::Command::new(BINARY);
    command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data.path()).env_remove("SHIPWAY_TOKEN");
    let done = command.output().unwrap();
    let words = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(1), "{words}");
    assert!(words.contains("1 user has an account") && words.contains("SHIPWAY_TOKEN"), "{words}");
}
