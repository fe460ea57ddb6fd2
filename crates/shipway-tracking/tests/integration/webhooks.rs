//! Webhooks: who is told what, how often, and whom a webhook never reaches.

use std::time::Duration;

use axum::body::Body;
use http::Method;
use serde_json::{Value, json};
use shipway_store::parameters;
use shipway_tracking::WebhookSettings;
use tokio_util::task::TaskTracker;

use super::app::{App, Response};
use crate::receiver::{Receiver, Reply};

const HOOKS: &str = "/api/2.0/mlflow/webhooks";

/// Receivers on this machine may be reached, and waits are short.
fn settings() -> WebhookSettings {
    WebhookSettings {
        allowed_hosts: vec!["127.0.0.1".into()],
        allow_http: true,
        first_wait: Duration::from_millis(1),
        ..WebhookSettings::default()
    }
}

async fn app() -> App {
    App::with_webhooks(super::empty_store().await, &settings()).await
}

fn event(entity: &str, action: &str) -> Value {
    json!({ "entity": entity, "action": action })
}

impl App {
    async fn hooks(&self, method: Method, path: &str, body: Value) -> Response {
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        self.send(method, &format!("{HOOKS}{path}"), body).await
    }

    async fn creates_hook(&self, url: &str, events: &[(&str, &str)], secret: &str) -> String {
        let events: Vec<Value> = events.iter().map(|(entity, action)| event(entity, action)).collect();
        let body = json!({ "name": "hook", "url": url, "events": events, "secret": secret });
        let made = self.hooks(Method::POST, "", body).await.ok();
        made["webhook"]["webhook_id"].as_str().unwrap().to_owned()
    }

    fn sends(&self) {
        self.tracking.start_webhooks(&TaskTracker::new());
    }

    async fn waiting(&self) -> i64 {
        let sql = "SELECT COUNT(*) AS waiting FROM webhook_deliveries";
        self.store.fetch_optional(sql, parameters![]).await.unwrap().unwrap().int("waiting").unwrap()
    }

    async fn creates_model(&self, name: &str) {
        self.post("registered-models/create", json!({ "name": name })).await.ok();
    }
}

#[tokio::test]
async fn changes_of_models_are_told_and_signed() {
    let (app, receiver) = (app().await, Receiver::start().await);
    let kinds = [
        ("REGISTERED_MODEL", "CREATED"),
        ("MODEL_VERSION", "CREATED"),
        ("MODEL_VERSION_TAG", "SET"),
        ("MODEL_VERSION_TAG", "DELETED"),
        ("MODEL_VERSION_ALIAS", "CREATED"),
        ("MODEL_VERSION_ALIAS", "DELETED"),
    ];
    app.creates_hook(&receiver.url(), &kinds, "hush").await;
    app.sends();
    let model_id = app.logs_model("trees").await;
    let body =
        json!({ "name": "late", "description": "delays", "tags": [{ "key": "team", "value": "ops" }] });
    app.post("registered-models/create", body).await.ok();
    let body = json!({ "name": "late", "source": format!("models:/{model_id}"), "run_id": "" });
    app.post("model-versions/create", body).await.ok();
    let tag = json!({ "name": "late", "version": "1", "key": "k", "value": "v" });
    app.post("model-versions/set-tag", tag.clone()).await.ok();
    app.send(Method::DELETE, "/api/2.0/mlflow/model-versions/delete-tag", tag.to_string()).await.ok();
    app.promotes("late", "champion", 1).await.ok();
    let alias = json!({ "name": "late", "alias": "champion" }).to_string();
    app.send(Method::DELETE, "/api/2.0/mlflow/registered-models/alias", alias).await.ok();
    let got = receiver.gets(6).await;
    let data = |kind: &str| got.iter().find(|one| one.event() == kind).unwrap().json()["data"].clone();
    assert_eq!(
        data("registered_model.created"),
        json!({ "name": "late", "tags": { "team": "ops" }, "description": "delays" })
    );
    assert_eq!(
        data("model_version.created"),
        json!({
            "name": "late", "version": "1", "source": format!("models:/{model_id}"), "run_id": null, "tags": {},
            "description": null,
        })
    );
    assert_eq!(
        data("model_version_tag.set"),
        json!({ "name": "late", "version": "1", "key": "k", "value": "v" })
    );
    assert_eq!(data("model_version_tag.deleted"), json!({ "name": "late", "version": "1", "key": "k" }));
    assert_eq!(
        data("model_version_alias.created"),
        json!({ "name": "late", "alias": "champion", "version": "1" })
    );
    assert_eq!(data("model_version_alias.deleted"), json!({ "name": "late", "alias": "champion" }));
    for one in &got {
        assert!(one.is_signed_with("hush") && !one.is_signed_with("other"), "{one:?}");
        assert_eq!((one.header("content-type"), one.path.as_str()), ("application/json", "/hook"));
        assert!(one.json()["timestamp"].as_str().unwrap().ends_with("+00:00"));
    }
}

#[tokio::test]
async fn prompts_are_told_in_words_of_their_own() {
    let (app, receiver) = (app().await, Receiver::start().await);
    let kinds = [
        ("PROMPT", "CREATED"),
        ("PROMPT_VERSION", "CREATED"),
        ("PROMPT_TAG", "SET"),
        ("PROMPT_TAG", "DELETED"),
        ("PROMPT_VERSION_TAG", "SET"),
        ("PROMPT_VERSION_TAG", "DELETED"),
        ("PROMPT_ALIAS", "CREATED"),
        ("PROMPT_ALIAS", "DELETED"),
        ("REGISTERED_MODEL", "CREATED"),
        ("MODEL_VERSION", "CREATED"),
        ("MODEL_VERSION_ALIAS", "CREATED"),
    ];
    app.creates_hook(&receiver.url(), &kinds, "").await;
    app.sends();
    let is_prompt = json!({ "key": "mlflow.prompt.is_prompt", "value": "true" });
    let text = json!({ "key": "mlflow.prompt.text", "value": "Hi {{name}}" });
    app.post("registered-models/create", json!({ "name": "hi", "tags": [is_prompt] })).await.ok();
    let body = json!({ "name": "hi", "source": "dummy", "tags": [is_prompt, text] });
    app.post("model-versions/create", body).await.ok();
    let tag = json!({ "name": "hi", "version": "1", "key": "k", "value": "v" });
    let delete = async |path: &str| {
        app.send(Method::DELETE, &format!("/api/2.0/mlflow/{path}"), tag.to_string()).await
    };
    app.post("registered-models/set-tag", tag.clone()).await.ok();
    delete("registered-models/delete-tag").await.ok();
    app.post("model-versions/set-tag", tag.clone()).await.ok();
    delete("model-versions/delete-tag").await.ok();
    let alias = json!({ "name": "hi", "alias": "live", "version": "1" });
    app.post("registered-models/alias", alias.clone()).await.ok();
    app.send(Method::DELETE, "/api/2.0/mlflow/registered-models/alias", alias.to_string()).await.ok();
    let got = receiver.gets(8).await;
    let mut kinds: Vec<String> = got.iter().map(|one| one.event()).collect();
    kinds.sort();
    assert_eq!(
        kinds,
        [
            "prompt.created",
            "prompt_alias.created",
            "prompt_alias.deleted",
            "prompt_tag.deleted",
            "prompt_tag.set",
            "prompt_version.created",
            "prompt_version_tag.deleted",
            "prompt_version_tag.set",
        ]
    );
    let version = got.iter().find(|one| one.event() == "prompt_version.created").unwrap().json();
    let expected =
        json!({ "name": "hi", "version": "1", "template": "Hi {{name}}", "tags": {}, "description": null });
    assert_eq!(version["data"], expected);
    assert!(
        got.iter().all(|one| one.header("X-MLflow-Signature").is_empty()),
        "there is no secret to sign with"
    );
}

#[tokio::test]
async fn what_was_not_done_is_not_told() {
    let (app, receiver) = (app().await, Receiver::start().await);
    let kinds = [
        ("REGISTERED_MODEL", "CREATED"),
        ("MODEL_VERSION_ALIAS", "CREATED"),
        ("MODEL_VERSION_TAG", "DELETED"),
    ];
    app.creates_hook(&receiver.url(), &kinds, "").await;
    app.creates_model("late").await;
    assert_eq!(app.waiting().await, 1);
    assert_eq!(app.post("registered-models/create", json!({ "name": "late" })).await.refused().0, 400);
    app.guards("late", "champion", shipway_tracking::Rule::AtLeast(0.5));
    let model_id = app.logs_model("trees").await;
    let version = app.registers("late", &model_id).await;
    assert_eq!(app.promotes("late", "champion", version).await.status, 409);
    let tag = json!({ "name": "late", "version": "1", "key": "none" }).to_string();
    app.send(Method::DELETE, "/api/2.0/mlflow/model-versions/delete-tag", tag).await.ok();
    assert_eq!(app.waiting().await, 1);
    app.promotes("late", "trial", version).await.ok();
    app.promotes("late", "trial", version).await.ok();
    assert_eq!(app.waiting().await, 2, "asking again for what is so changes nothing");
}

#[tokio::test]
async fn a_receiver_that_fails_is_asked_again_with_the_same_delivery() {
    let (app, receiver) = (app().await, Receiver::start().await);
    app.creates_hook(&receiver.url(), &[("REGISTERED_MODEL", "CREATED")], "hush").await;
    receiver.replies([Reply::Status(503), Reply::Header(429, "retry-after", "0".into()), Reply::Status(500)]);
    app.sends();
    app.creates_model("first").await;
    let got = receiver.gets(4).await;
    assert!(got.iter().all(|one| one.body == got[0].body && one.is_signed_with("hush")));
    let id = got[0].header("X-MLflow-Delivery-Id");
    assert!(!id.is_empty() && got.iter().all(|one| one.header("X-MLflow-Delivery-Id") == id));
    app.creates_model("second").await;
    let fifth = receiver.gets(5).await.remove(4);
    assert_eq!(fifth.json()["data"]["name"], "second");
    assert_ne!(fifth.header("X-MLflow-Delivery-Id"), id);
}

#[tokio::test]
async fn a_receiver_is_given_up_after_six_attempts_or_a_refusal() {
    let (app, receiver) = (app().await, Receiver::start().await);
    app.creates_hook(&receiver.url(), &[("REGISTERED_MODEL", "CREATED")], "").await;
    receiver.replies([Reply::Status(500), Reply::Status(502), Reply::Status(503), Reply::Status(504)]);
    receiver.replies([Reply::Status(408), Reply::Status(500)]);
    app.sends();
    app.creates_model("first").await;
    receiver.gets(6).await;
    receiver.replies([Reply::Status(400)]);
    app.creates_model("second").await;
    receiver.gets(7).await;
    receiver.replies([Reply::Header(307, "location", receiver.url().replace("/hook", "/elsewhere"))]);
    app.creates_model("third").await;
    receiver.gets(8).await;
    app.creates_model("fourth").await;
    let got = receiver.gets(9).await;
    let names: Vec<Value> = got.iter().map(|one| one.json()["data"]["name"].clone()).collect();
    assert_eq!(names[5..], ["first", "second", "third", "fourth"]);
    assert!(got.iter().all(|one| one.path == "/hook"), "nobody is led elsewhere");
    app.tracking.stop_webhooks().await;
    assert_eq!(app.waiting().await, 0);
}

#[tokio::test]
async fn what_waits_survives_a_restart() {
    let receiver = Receiver::start().await;
    let store = super::empty_store().await;
    let before = App::with_webhooks(store.clone(), &settings()).await;
    before.creates_hook(&receiver.url(), &[("REGISTERED_MODEL", "CREATED")], "hush").await;
    before.creates_model("late").await;
    before.tracking.stop_webhooks().await;
    drop(before);
    let after = App::with_webhooks(store, &settings()).await;
    assert_eq!((after.waiting().await, receiver.got().len()), (1, 0));
    after.sends();
    let got = receiver.gets(1).await;
    assert!(got[0].is_signed_with("hush"));
    after.tracking.stop_webhooks().await;
    assert_eq!(after.waiting().await, 0);
}

#[tokio::test]
async fn what_is_too_old_begun_too_often_or_too_much_is_given_up() {
    let (app, receiver) = (app().await, Receiver::start().await);
    let id = app.creates_hook(&receiver.url(), &[("REGISTERED_MODEL", "CREATED")], "").await;
    let now_ms = 1_900_000_000_000_i64;
    let sql = "INSERT INTO webhook_deliveries (delivery_id, webhook_id, body, attempts, due_ms, created_ms) \
               VALUES ($1, $2, '{}', $3, 0, $4)";
    app.store.execute(sql, parameters!["a day old", id.as_str(), 1_i64, 0_i64]).await.unwrap();
    app.store.execute(sql, parameters!["begun six times", id.as_str(), 6_i64, now_ms]).await.unwrap();
    app.creates_model("late").await;
    app.sends();
    let got = receiver.gets(1).await;
    assert_eq!(got[0].json()["data"]["name"], "late");
    app.tracking.stop_webhooks().await;
    assert_eq!((app.waiting().await, receiver.got().len()), (0, 1));
    let many = "WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 10000) \
                INSERT INTO webhook_deliveries (delivery_id, webhook_id, body, attempts, due_ms, created_ms) \
                SELECT CAST(n AS TEXT), $1, '{}', 0, 0, 0 FROM number";
    app.store.execute(many, parameters![id.as_str()]).await.unwrap();
    app.creates_model("later").await;
    assert_eq!(app.waiting().await, 10_000, "the model is there, its news is not kept");
}

#[tokio::test]
async fn a_slow_receiver_holds_up_nobody_else() {
    let settings = WebhookSettings { patience: Duration::from_secs(20), ..settings() };
    let app = App::with_webhooks(super::empty_store().await, &settings).await;
    let (slow, quick) = (Receiver::start().await, Receiver::start().await);
    slow.replies(std::iter::repeat_n(Reply::Silence, 20));
    app.creates_hook(&slow.url(), &[("REGISTERED_MODEL", "CREATED")], "").await;
    app.creates_hook(&quick.url(), &[("REGISTERED_MODEL", "CREATED")], "").await;
    app.sends();
    for number in 0..12 {
        app.creates_model(&format!("model-{number}")).await;
    }
    quick.gets(12).await;
    assert_eq!(slow.gets(1).await.len(), 1, "one at a time");
}

#[tokio::test]
async fn a_webhook_never_reaches_this_machine_or_its_neighbours() {
    let app = App::new().await;
    let receiver = Receiver::start().await;
    let bad = [
        "http://example.com/".to_owned(),
        receiver.url(),
        receiver.url().replace("http:", "https:"),
        "https://localhost/".to_owned(),
        "https://127.1/".to_owned(),
        "https://[::1]/".to_owned(),
        "https://[::ffff:10.0.0.1]/".to_owned(),
        "https://169.254.169.254/latest/meta-data".to_owned(),
        "https://192.168.0.1/".to_owned(),
        "https://nowhere.invalid/".to_owned(),
        "https://user:pass@example.com/".to_owned(),
        "ftp://example.com/".to_owned(),
        "x".to_owned(),
        format!("https://example.com/{}", "x".repeat(2_000)),
    ];
    for url in &bad {
        let body = json!({ "name": "hook", "url": url, "events": [event("PROMPT", "CREATED")] });
        let refused = app.hooks(Method::POST, "", body).await;
        assert_eq!(refused.refused(), (400, "INVALID_PARAMETER_VALUE".to_owned()), "{url}");
    }
    assert_eq!(app.hooks(Method::GET, "", Value::Null).await.ok(), json!({}));
    // One that was allowed once is checked again whenever it is used.
    let store = super::empty_store().await;
    let lax = App::with_webhooks(store.clone(), &settings()).await;
    let id = lax.creates_hook(&receiver.url(), &[("REGISTERED_MODEL", "CREATED")], "").await;
    let other = receiver.url().replace("127.0.0.1", "127.0.0.2");
    let refused = lax.hooks(Method::PATCH, &format!("/{id}"), json!({ "url": other })).await;
    assert_eq!(refused.refused().0, 400);
    assert_eq!(
        lax.hooks(Method::GET, &format!("/{id}"), Value::Null).await.ok()["webhook"]["url"],
        receiver.url()
    );
    lax.creates_model("late").await;
    let strict =
        App::with_webhooks(store, &WebhookSettings { allow_http: true, ..WebhookSettings::default() }).await;
    let tried = strict.hooks(Method::POST, &format!("/{id}/test"), json!({})).await.ok()["result"].clone();
    assert_eq!(tried["success"], false);
    assert!(tried["error_message"].as_str().unwrap().contains("non-public"), "{tried}");
    strict.sends();
    strict.tracking.stop_webhooks().await;
    assert_eq!(receiver.got().len(), 0);
}

#[tokio::test]
async fn trying_a_webhook_tells_what_came_of_it() {
    let app = App::with_webhooks(
        super::empty_store().await,
        &WebhookSettings { patience: Duration::from_millis(500), ..settings() },
    )
    .await;
    let receiver = Receiver::start().await;
    let kinds = [("PROMPT_ALIAS", "CREATED"), ("MODEL_VERSION", "CREATED")];
    let id = app.creates_hook(&receiver.url(), &kinds, "hush").await;
    let tries = async |body: Value| {
        app.hooks(Method::POST, &format!("/{id}/test"), body).await.ok()["result"].clone()
    };
    receiver.replies([
        Reply::Text(200, "thanks"),
        Reply::Text(500, "no"),
        Reply::Endless,
        Reply::Status(302),
        Reply::Silence,
    ]);
    let asked = json!({ "event": event("PROMPT_ALIAS", "CREATED") });
    assert_eq!(
        tries(asked).await,
        json!({ "success": true, "response_status": 200, "response_body": "thanks" })
    );
    let got = receiver.gets(1).await.remove(0);
    assert!(got.is_signed_with("hush"));
    assert_eq!(got.event(), "prompt_alias.created");
    assert_eq!(
        tries(json!({})).await,
        json!({ "success": false, "response_status": 500, "response_body": "no" })
    );
    assert_eq!(tries(json!({})).await["response_body"].as_str().map(str::len), Some(64 * 1024));
    assert_eq!(tries(json!({})).await, json!({ "success": false, "response_status": 302 }));
    let silent = tries(json!({})).await;
    assert!(silent["success"] == false && silent["error_message"].is_string(), "{silent}");
    assert!(!silent.to_string().contains("/hook"), "the address may be a secret: {silent}");
    let wrong = json!({ "event": event("PROMPT", "SET") });
    assert_eq!(app.hooks(Method::POST, &format!("/{id}/test"), wrong).await.refused().0, 400);
    assert_eq!(app.hooks(Method::POST, "/none/test", json!({})).await.refused().0, 404);
}

#[tokio::test]
async fn webhooks_are_changed_listed_and_deleted() {
    let (app, receiver) = (app().await, Receiver::start().await);
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(app.creates_hook(&receiver.url(), &[("REGISTERED_MODEL", "CREATED")], "hush").await);
    }
    let first = app.hooks(Method::GET, "?max_results=2", Value::Null).await.ok();
    let token = first["next_page_token"].as_str().unwrap().to_owned();
    let query = url::form_urlencoded::Serializer::new("?max_results=2".to_owned())
        .append_pair("page_token", &token)
        .finish();
    let second = app.hooks(Method::GET, &query, Value::Null).await.ok();
    let mut listed: Vec<String> = [&first, &second]
        .iter()
        .flat_map(|page| page["webhooks"].as_array().unwrap())
        .map(|one| one["webhook_id"].as_str().unwrap().to_owned())
        .collect();
    listed.sort();
    ids.sort();
    assert_eq!((listed, second.get("next_page_token")), (ids.clone(), None));
    let path = format!("/{}", ids[0]);
    let change = json!({ "name": "", "description": "d", "events": [event("PROMPT", "CREATED"), event("PROMPT", "CREATED")] });
    let changed = app.hooks(Method::PATCH, &path, change).await.ok()["webhook"].clone();
    assert_eq!((&changed["name"], &changed["description"]), (&json!("hook"), &json!("d")));
    assert_eq!(changed["events"], json!([event("PROMPT", "CREATED")]));
    app.creates_model("late").await;
    assert_eq!(app.waiting().await, 2, "one of the three no longer wants to know");
    app.hooks(Method::PATCH, &format!("/{}", ids[1]), json!({ "status": "DISABLED" })).await.ok();
    assert_eq!(app.waiting().await, 1, "one that is disabled forgets what waits");
    app.hooks(Method::DELETE, &format!("/{}", ids[2]), Value::Null).await.ok();
    assert_eq!(app.waiting().await, 0);
    app.creates_model("later").await;
    assert_eq!(app.waiting().await, 0);
    assert_eq!(app.hooks(Method::GET, &format!("/{}", ids[2]), Value::Null).await.refused().0, 404);
    assert_eq!(app.hooks(Method::DELETE, "/none", Value::Null).await.refused().0, 404);
    let audited = app.audited().await;
    assert_eq!(
        audited[..4],
        ["tracking.create_webhook"; 3].into_iter().chain(["tracking.update_webhook"]).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn a_webhook_that_makes_no_sense_is_refused() {
    let (app, receiver) = (app().await, Receiver::start().await);
    let good = json!({ "name": "hook", "url": receiver.url(), "events": [event("PROMPT", "CREATED")] });
    for (field, value) in [
        ("name", json!("")),
        ("name", json!("-x")),
        ("name", json!("n".repeat(64))),
        ("events", json!([])),
        ("events", json!([event("PROMPT", "UPDATED")])),
        ("events", json!([event("WEATHER", "CREATED")])),
        ("events", json!([{ "entity": "PROMPT" }])),
        ("status", json!("ASLEEP")),
        ("secret", json!("s".repeat(1_001))),
        ("description", json!("d".repeat(1_001))),
    ] {
        let mut body = good.clone();
        body[field] = value;
        let refused = app.hooks(Method::POST, "", body).await;
        assert_eq!(refused.refused(), (400, "INVALID_PARAMETER_VALUE".to_owned()), "{field}");
        assert!(!refused.message().contains("ssss"), "a secret is not repeated");
    }
    for query in ["?max_results=-1", "?max_results=1001", "?page_token=x"] {
        assert_eq!(app.hooks(Method::GET, query, Value::Null).await.refused().0, 400, "{query}");
    }
}

#[tokio::test]
async fn a_secret_goes_in_and_never_comes_out() {
    let receiver = Receiver::start().await;
    let store = super::empty_store().await;
    let keyed =
        WebhookSettings { secret_key: Some("a key that nobody will ever guess".into()), ..settings() };
    let app = App::with_webhooks(store.clone(), &keyed).await;
    let id = app.creates_hook(&receiver.url(), &[("REGISTERED_MODEL", "CREATED")], "hush-hush").await;
    let path = format!("/{id}");
    for answer in [
        app.hooks(Method::GET, "", Value::Null).await,
        app.hooks(Method::GET, &path, Value::Null).await,
        app.hooks(Method::PATCH, &path, json!({ "description": "d" })).await,
    ] {
        let text = String::from_utf8(answer.bytes).unwrap();
        assert!(!text.contains("hush") && !text.contains("secret"), "{text}");
    }
    let kept = store.fetch_all("SELECT * FROM webhooks", parameters![]).await.unwrap();
    assert!(kept[0].text("sealed_secret").unwrap().starts_with("aes256gcm:"));
    assert!(!format!("{kept:?}").contains("hush-hush"));
    let entries = shipway_store::audit::list(&store, 10).await.unwrap();
    assert!(!format!("{entries:?}").contains("hush") && !format!("{entries:?}").contains("/hook"));
    app.sends();
    app.creates_model("late").await;
    assert!(receiver.gets(1).await[0].is_signed_with("hush-hush"));
    app.hooks(Method::PATCH, &path, json!({ "secret": "" })).await.ok();
    app.creates_model("later").await;
    assert_eq!(receiver.gets(2).await[1].header("X-MLflow-Signature"), "");
}
