//! Who may do what, on every route of the real server.

use reqwest::Method;
use serde_json::{Value, json};
use shipway_testkit::{Server, ServerOptions, TempData};

use crate::world::BINARY;

const OPERATOR: &str = "the operator's own token";
const PASSWORD: &str = "correct horse battery";
/// Routes that anybody may ask. A new one must be put here by somebody who has thought about it.
const PUBLIC: [&str; 15] = [
    "/healthz",
    "/readyz",
    "/health",
    "/version",
    "/v2",
    "/v2/health/live",
    "/v2/health/ready",
    "/inference.GRPCInferenceService/ServerLive",
    "/inference.GRPCInferenceService/ServerReady",
    "/inference.GRPCInferenceService/ServerMetadata",
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
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
        let grpc = ["FlightService/", "FeatureService/", "GRPCInferenceService/", "ServerReflection/"];
        let is_grpc = grpc.iter().any(|service| path.contains(service));
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

/// A request to the wire of MLflow in a workspace.
async fn in_workspace(server: &Server, who: &str, workspace: &str, path: &str, body: Value) -> (u16, Value) {
    let request = server.client().request(Method::POST, &format!("/api/2.0/mlflow/{path}"));
    let request = request.basic_auth(who, Some(PASSWORD)).header("x-mlflow-workspace", workspace).json(&body);
    let answer = server.client().send(request).await.unwrap();
    (answer.status, serde_json::from_slice(&answer.body).unwrap_or_default())
}

/// A server with the workspace `team`, an experiment and the model `churn` in it, and users who may do different things there; and the
/// experiment.
async fn with_team() -> (Server, Value) {
    let server = guarded().await;
    for (name, grants) in [
        ("editor", vec!["workspace/team:edit"]),
        ("reader", vec!["workspace/team:read"]),
        ("lead", vec!["workspace/team:manage"]),
        ("outsider", vec!["workspace:use"]),
        ("denied", vec!["experiment:manage", "registered_model:manage", "workspace/team:deny"]),
    ] {
        has_user(&server, name, &grants).await;
    }
    let create =
        |who| ask(&server, who, Method::POST, "/api/3.0/mlflow/workspaces", Some(json!({ "name": "team" })));
    assert_eq!(create(As::User("lead")).await.0, 403);
    assert_eq!(create(As::Operator).await.0, 201);
    let create = json!({ "name": "flights" });
    let (status, made) = in_workspace(&server, "editor", "team", "experiments/create", create).await;
    assert_eq!(status, 200, "{made}");
    let model = json!({ "name": "churn" });
    assert_eq!(in_workspace(&server, "editor", "team", "registered-models/create", model).await.0, 200);
    (server, made["experiment_id"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_granted_a_workspace_works_in_it_and_nowhere_else() {
    let (server, experiment) = with_team().await;
    let create = || json!({ "name": "flights" });
    assert_eq!(in_workspace(&server, "editor", "default", "experiments/create", create()).await.0, 403);
    assert_eq!(in_workspace(&server, "reader", "team", "experiments/create", create()).await.0, 403);
    assert_eq!(in_workspace(&server, "denied", "team", "experiments/create", create()).await.0, 403);

    // By the id of an experiment, and by the name of a model; what others made, too.
    let run = || json!({ "experiment_id": experiment });
    for (who, read, write) in
        [("lead", 200, 200), ("reader", 200, 403), ("outsider", 403, 403), ("denied", 403, 403)]
    {
        let body = json!({ "experiment_ids": [experiment] });
        assert_eq!(in_workspace(&server, who, "team", "runs/search", body).await.0, read, "{who}");
        assert_eq!(in_workspace(&server, who, "team", "runs/create", run()).await.0, write, "{who}");
        let tag = json!({ "name": "churn", "key": "k", "value": "v" });
        assert_eq!(
            in_workspace(&server, who, "team", "registered-models/set-tag", tag).await.0,
            write,
            "{who}"
        );
        let native = ask(&server, As::User(who), Method::GET, "/api/v1/models/team%2Fchurn", None).await;
        assert_eq!(native.0, read, "{who}");
        let (_, listed) = ask(&server, As::User(who), Method::GET, "/api/v1/models", None).await;
        assert_eq!(listed["models"].as_array().unwrap().len(), usize::from(read == 200), "{who}");
        let body = json!({ "max_results": 10 });
        let (_, found) = in_workspace(&server, who, "team", "experiments/search", body).await;
        let found = found["experiments"].as_array().map_or(0, Vec::len);
        assert_eq!(found, usize::from(read == 200), "{who}");
    }
    // Naming another workspace in the header is no way to what lies in this one.
    assert_eq!(in_workspace(&server, "lead", "default", "runs/create", run()).await.0, 404);
    let (_, found) =
        in_workspace(&server, "lead", "default", "experiments/search", json!({ "max_results": 10 })).await;
    assert_eq!(found.get("experiments"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_manages_a_workspace_changes_grants_and_deletes_it() {
    let (server, _) = with_team().await;
    let workspaces = "/api/3.0/mlflow/workspaces";
    let create = || json!({ "name": "flights" });

    // Webhooks of a workspace are its manager's.
    let hooks = |who: &'static str, workspace: &'static str| {
        let request = server.client().request(Method::GET, "/api/2.0/mlflow/webhooks");
        let request = request.basic_auth(who, Some(PASSWORD)).header("x-mlflow-workspace", workspace);
        async { server.client().send(request).await.unwrap().status }
    };
    assert_eq!((hooks("lead", "team").await, hooks("lead", "default").await), (200, 403));
    assert_eq!(hooks("editor", "team").await, 403);

    // Who manages it shows it, changes it, grants it, and deletes it; only what they see is listed.
    let names = |who: &'static str| {
        let server = &server;
        async move {
            let (_, listed) = ask(server, As::User(who), Method::GET, workspaces, None).await;
            let list = listed["workspaces"].as_array().unwrap().clone();
            list.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        }
    };
    assert_eq!(names("lead").await, ["default", "team"]);
    assert_eq!(names("denied").await, ["default"]);
    let team = format!("{workspaces}/team");
    assert_eq!(ask(&server, As::User("denied"), Method::GET, &team, None).await.0, 404);
    let change = || Some(json!({ "description": "ours" }));
    assert_eq!(ask(&server, As::User("editor"), Method::PATCH, &team, change()).await.0, 403);
    assert_eq!(ask(&server, As::User("lead"), Method::PATCH, &team, change()).await.0, 200);
    let default = format!("{workspaces}/default");
    assert_eq!(ask(&server, As::User("lead"), Method::PATCH, &default, change()).await.0, 403);
    let grant = |who, grant: &str| {
        let (server, body) = (&server, json!({ "grant": grant }));
        async move { ask(server, who, Method::POST, "/api/v1/users/outsider/grants", Some(body)).await.0 }
    };
    assert_eq!(grant(As::User("lead"), "workspace/team:read").await, 204);
    assert_eq!(grant(As::User("lead"), "registered_model/team/churn:edit").await, 204);
    assert_eq!(grant(As::User("editor"), "workspace/team:read").await, 403);
    assert_eq!(grant(As::User("lead"), "workspace/other:read").await, 403);
    assert_eq!(grant(As::User("lead"), "workspace:use").await, 403);
    let delete = |who, mode: &str| {
        let (server, path) = (&server, format!("{team}?mode={mode}"));
        async move { ask(server, who, Method::DELETE, &path, None).await.0 }
    };
    assert_eq!(delete(As::User("editor"), "CASCADE").await, 403);
    assert_eq!(delete(As::User("lead"), "SET_DEFAULT").await, 403, "it would come into another workspace");
    assert_eq!(delete(As::User("lead"), "CASCADE").await, 204);
    // What was granted on it ended with it.
    assert_eq!(
        ask(&server, As::Operator, Method::POST, workspaces, Some(json!({ "name": "team" }))).await.0,
        201
    );
    assert_eq!(in_workspace(&server, "editor", "team", "experiments/create", create()).await.0, 403);
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

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_goes_with_the_experiment_that_is_purged() {
    let server = guarded().await;
    let create = |name: &str| json!({ "name": name });
    let (_, made) = mlflow(&server, As::Operator, Method::POST, "experiments/create", create("old")).await;
    let id = made["experiment_id"].as_str().unwrap().to_owned();
    has_user(&server, "ana", &[&format!("experiment/{id}:read")]).await;
    let seen = format!("/api/2.0/mlflow/experiments/get?experiment_id={id}");
    assert_eq!(ask(&server, As::User("ana"), Method::GET, &seen, None).await.0, 200);
    let deleted = json!({ "experiment_id": id });
    assert_eq!(mlflow(&server, As::Operator, Method::POST, "experiments/delete", deleted).await.0, 200);
    let now = json!({ "older_than": "0", "dry_run": false });
    let (status, begun) = ask(&server, As::Operator, Method::POST, "/api/v1/purge", Some(now)).await;
    assert!(status < 300, "{begun}");
    // The id of the last experiment is given to the next one.
    for _ in 0..200 {
        if ask(&server, As::Operator, Method::GET, &seen, None).await.0 == 404 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let (_, made) = mlflow(&server, As::Operator, Method::POST, "experiments/create", create("new")).await;
    assert_eq!(made["experiment_id"].as_str().unwrap(), id);
    assert_eq!(ask(&server, As::User("ana"), Method::GET, &seen, None).await.0, 403);
}
