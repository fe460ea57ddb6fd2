//! What a person sees of the catalog: plans with their cost and their blast radius, drops, and the list of features.

use insta::assert_snapshot;
use serde_json::{Value as Json, json};
use shipway_testkit::{Server, TempData};

use crate::{
    command_line::{Typed, shipway},
    world::{self, BINARY},
};

/// Longer lines are lists of columns.
const LONGEST: usize = 130;

/// What differs from run to run is named instead.
fn steady(text: &str) -> String {
    let words = text.split(' ').map(|word| {
        let bare = word.trim_end_matches(['\n', ',']);
        let is_version = bare.len() == 12 && bare.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_version { word.replace(bare, "[version]") } else { word.to_owned() }
    });
    let text = words.collect::<Vec<_>>().join(" ");
    let lines = text.lines().map(|line| match line.split_once(" rows, ") {
        Some((rows, rest)) if line.trim_start().starts_with("build:") => {
            let basis = if rest.contains("measured over") { "measured" } else { "assumed" };
            format!("{rows} rows, [size], [time] ({basis})")
        }
        _ if line.len() > LONGEST => line.chars().take(LONGEST / 2).chain(['…']).collect(),
        _ => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

struct World {
    server: Server,
    files: TempData,
}

impl World {
    async fn new() -> Self {
        let world = Self { server: Server::start(BINARY).await, files: TempData::new() };
        assert_eq!(world.types("apply", world::DEFINITIONS, &[]).code, Some(0));
        world
    }

    fn asks(&self, arguments: &[&str]) -> Typed {
        shipway(&self.server.url(), arguments, "")
    }

    fn types(&self, verb: &str, definitions: &str, more: &[&str]) -> Typed {
        let path = self.files.join("definitions.yaml");
        std::fs::write(&path, definitions).unwrap();
        let mut arguments = vec![verb, path.to_str().unwrap()];
        arguments.extend(more);
        let mut typed = self.asks(&arguments);
        typed.out = typed.out.replace(path.to_str().unwrap(), "FILE");
        typed
    }

    /// A thousand and a half orders, in one file of history, and everything built from it.
    fn loads(&self) {
        let orders = world::orders(1_500, 11);
        let lines: String = orders.iter().map(|order| format!("{}\n", order.line())).collect();
        let path = self.files.join("orders.jsonl");
        std::fs::write(&path, lines).unwrap();
        let loaded = self.asks(&["table", "load", "orders", path.to_str().unwrap()]);
        assert_eq!(loaded.code, Some(0), "{}", loaded.error);
    }

    /// A registered model version that says which version of the service it was trained on.
    async fn registers(&self, service_version: &str, alias: Option<&str>) {
        let client = self.server.client();
        let name = json!({ "name": "spending" });
        let _ = client.post("/api/2.0/mlflow/registered-models/create", &name).await;
        // A version without files, as prompts are: nobody runs it here.
        let is_prompt = json!({ "key": "mlflow.prompt.is_prompt", "value": "true" });
        let tags = json!([is_prompt, { "key": "shipway.service_hash", "value": service_version }]);
        let body = json!({ "name": "spending", "source": "none", "tags": tags });
        let made = client.post("/api/2.0/mlflow/model-versions/create", &body).await.ok();
        if let Some(alias) = alias {
            let version = &made["model_version"]["version"];
            let body = json!({ "name": "spending", "alias": alias, "version": version });
            client.post("/api/2.0/mlflow/registered-models/alias", &body).await.ok();
        }
    }

    async fn service_version(&self) -> String {
        let answer = self.server.client().get("/api/v1/definitions/service/shops").await.ok();
        answer["hash"].as_str().unwrap().to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_shows_versions_cost_consumers_and_warnings() {
    let world = World::new().await;
    world.loads();
    let version = world.service_version().await;
    world.registers(&version, None).await;
    world.registers(&version, Some("champion")).await;
    let changed = world::DEFINITIONS
        .replace("[5m, 1h, 1d, lifetime]", "[5m, 1h, 2h, 1d, lifetime]")
        .replace(
            "latest: [amount, customer]",
            "latest: [amount, customer]\nowner: ada\npii: personal\nfeatures: { amount: { pii: none, deprecated: { reason: in cents, use: customer } } }",
        );

    let planned = world.types("plan", &changed, &[]);

    assert_eq!(planned.code, Some(2), "{}", planned.error);
    assert_snapshot!(steady(&planned.out), @r"
    ~ view shop_latest  [version] (same version)
        owner: - → ada
        pii: - → personal
        pii of amount: - → none
        deprecated of amount: - → in cents; use customer
        no new version: every value stays as it is
        personal data: shop_latest:customer
    ~ view shop_orders  [version] → [version]
        feature count_2h: - → count over 2h
        its tiles will be built from the history of source orders
        build: 1,500 rows, [size], [time] (assumed)
        touches:
          service shops gets a new version: [version] → [version]
          model spending version 2 (champion) keeps version [version] of the view; train again to use the new one
          model spending 1 version without an alias keeps an earlier version of the view
    ~ service shops  [version] → [version]
        view shop_orders: version [version] → version [version]
        features of shop_orders: - → count_2h
        its columns are others: a model has to be trained on this version
        what was trained on an earlier version keeps it
        personal data: shop_latest__customer
        touches:
          model spending version 2 (champion) keeps version [version] of the service; train again to use the new one
          model spending 1 version without an alias keeps an earlier version of the service
        warning: it takes shop_latest:amount, which is deprecated: in cents; use customer
    3 to apply, 1,500 rows of history to read, less than 1 s: shipway apply FILE
    ");
    let document: Json =
        serde_json::from_str(&world.types("plan", &changed, &["--output", "json"]).out).unwrap();
    assert_eq!(document["cost"]["rows"], 1_500);
    assert_eq!(document["changes"][1]["consumers"][1]["name"], "spending");
    assert_eq!(world.types("apply", &changed, &[]).code, Some(0));
    let done = world.types("plan", &changed, &[]);
    assert_eq!((done.code, done.out.trim()), (Some(0), "nothing to do"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drop_is_refused_while_something_uses_the_thing() {
    let world = World::new().await;
    let version = world.service_version().await;
    world.registers(&version, Some("champion")).await;

    let refused = world.asks(&["drop", "view", "shop_orders"]);
    assert_eq!(refused.code, Some(1));
    assert_snapshot!(refused.error, @r"
    error: view shop_orders is in use by service shops, model spending version 1 (champion)
    hint: give alias champion of model spending to a version that does not need it; take it out of service shops and apply that, or drop the service first
    code: catalog.in_use
    ");
    let refused = world.asks(&["drop", "service", "shops"]);
    assert_snapshot!(refused.error, @r"
    error: service shops is in use by model spending version 1 (champion)
    hint: give alias champion of model spending to a version that does not need it
    code: catalog.in_use
    ");
    let pruned =
        world.types("apply", world::DEFINITIONS.split_once("---\nkind: view").unwrap().0, &["--prune"]);
    assert_eq!(pruned.code, Some(1), "{}", pruned.out);
    assert!(pruned.error.contains("catalog.in_use"), "{}", pruned.error);

    let body = json!({ "name": "spending", "alias": "champion" });
    let client = world.server.client();
    let request = client.request(reqwest::Method::DELETE, "/api/2.0/mlflow/registered-models/alias");
    client.send(request.json(&body)).await.unwrap().ok();
    let dry = world.asks(&["drop", "service", "shops", "--dry-run"]);
    assert_eq!(dry.code, Some(0), "{}", dry.error);
    assert_snapshot!(steady(&dry.out), @r"
    - service shops  [version]
        its versions stay known by their hashes for what was trained on them
        touches:
          model spending 1 version without an alias was trained on it and is served by nobody
    nothing was changed; shipway drop service shops does it
    ");
    assert_snapshot!(steady(&world.asks(&["drop", "service", "shops"]).out), @r"
    - service shops  [version]
        its versions stay known by their hashes for what was trained on them
        touches:
          model spending 1 version without an alias was trained on it and is served by nobody
    dropped service shops
    ");
    assert_eq!(world.asks(&["drop", "view", "shop_orders"]).code, Some(0));
    assert_snapshot!(world.asks(&["drop", "view", "shop_orders"]).error, @r"
    error: view shop_orders does not exist
    code: definitions.unknown
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn features_are_listed_with_what_is_known_about_them() {
    let world = World::new().await;
    let described = world::DEFINITIONS.replace(
        "latest: [amount, customer]",
        "latest: [amount, customer]\ntags: [money, core]\nowner: ada\ndescription: the last order\nfeatures: { customer: { pii: personal } }",
    );
    assert_eq!(world.types("apply", &described, &[]).code, Some(0));

    assert_snapshot!(world.asks(&["features", "list", "--tag", "money"]).out, @r"
    FEATURE               TYPE   ENTITY  OWNER  PII       TAGS         TAKEN BY  DESCRIPTION
    shop_latest:amount    float  shop    ada    -         money, core  shops     the last order
    shop_latest:customer  text   shop    ada    personal  money, core  shops     the last order
    ");
    assert_snapshot!(world.asks(&["features", "list", "--text", "STDDEV", "--view", "shop_orders"]).out, @r"
    FEATURE                       TYPE   ENTITY  OWNER  PII  TAGS  TAKEN BY  DESCRIPTION
    shop_orders:amount_stddev_1h  float  shop    -      -    -     shops     -
    shop_orders:amount_stddev_1d  float  shop    -      -    -     shops     -
    ");
    assert_snapshot!(world.asks(&["features", "list", "--owner", "nobody"]).out, @"no features match");
    let wrong = world.asks(&["features", "list", "--pii", "secret"]);
    assert_eq!(wrong.code, Some(64));
}
