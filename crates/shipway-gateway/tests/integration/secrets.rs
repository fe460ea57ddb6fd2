//! Secrets of providers that are kept here: encrypted, never shown, in force at once.

use http::Method;
use serde_json::json;
use shipway_core::Name;
use shipway_gateway::{CreateKey, GatewayError};
use shipway_store::audit;

use crate::world::{FIRST_KEY, Reply, World, completion, deployment, model, question};

const SECOND_KEY: &str = "0202020202020202020202020202020202020202020202020202020202020202";
const PATH: &str = "/api/v1/llm/secrets/main";

/// A gateway whose model is at a provider that refers to a secret, and a key.
async fn asking() -> (World, String) {
    let world = World::new().await;
    world.provider.answers("up-one", Reply::json(200, &completion()));
    world.install(vec![model("chat", vec![deployment("one", "kept")])]);
    let key = world.key(CreateKey::default()).await;
    (world, key)
}

fn shown(world: &World) -> String {
    world.provider.seen().last().unwrap().headers["authorization"].to_str().unwrap().to_owned()
}

async fn put(world: &World, value: &str) -> u16 {
    world.native(Method::PUT, PATH, Some(json!({ "value": value }))).await.status
}

#[tokio::test]
async fn a_secret_is_shown_to_its_provider_from_the_next_call_on() {
    let (world, key) = asking().await;
    let refused = world.chat(&key, &question("chat")).await;
    assert!(refused.status >= 500 && world.provider.seen().is_empty(), "{}", refused.text());
    for value in ["sk-first-hush", "sk-second-hush"] {
        assert_eq!(put(&world, value).await, 204);
        assert_eq!(world.chat(&key, &question("chat")).await.status, 200);
        assert_eq!(shown(&world), format!("Bearer {value}"));
    }
    assert_eq!(world.native(Method::DELETE, PATH, None).await.status, 204);
    assert_eq!(world.native(Method::DELETE, PATH, None).await.status, 404);
    let asked = world.provider.seen().len();
    assert!(world.chat(&key, &question("chat")).await.status >= 500);
    assert_eq!(world.provider.seen().len(), asked);
}

#[tokio::test]
async fn no_value_is_in_the_database_in_an_answer_or_in_the_audit_log() {
    let (world, _) = asking().await;
    assert_eq!(put(&world, "sk-hush").await, 204);
    let listed = world.native(Method::GET, "/api/v1/llm/secrets", None).await;
    assert_eq!(listed.json()["secrets"][0]["name"], "main");
    assert!(!listed.text().contains("hush"));
    let rows = world.store.fetch_all("SELECT sealed FROM llm_secrets", vec![]).await.unwrap();
    let sealed = rows[0].blob("sealed").unwrap();
    assert!(!sealed.windows(4).any(|part| part == b"hush"));
    assert_eq!(world.native(Method::POST, "/api/v1/llm/rekey", None).await.status, 200);
    assert_eq!(world.native(Method::DELETE, PATH, None).await.status, 204);
    let entries = audit::list(&world.store, 10).await.unwrap();
    let told: Vec<_> = entries.iter().map(|recorded| recorded.entry.action.as_str()).collect();
    for action in ["gateway.put_secret", "gateway.rekey_secrets", "gateway.delete_secret"] {
        assert!(told.contains(&action), "{told:?}");
    }
    assert!(!format!("{entries:?}").contains("hush"));
}

#[tokio::test]
async fn a_secret_survives_a_restart_and_is_encrypted_anew_with_another_key() {
    let (mut world, key) = asking().await;
    assert_eq!(put(&world, "sk-hush").await, 204);
    world.keys = format!("{SECOND_KEY},{FIRST_KEY}");
    let mut world = world.killed().await;
    let ask = async |world: &World| {
        world.install(vec![model("chat", vec![deployment("one", "kept")])]);
        world.chat(&key, &question("chat")).await.status
    };
    assert_eq!(ask(&world).await, 200);
    let anew = world.native(Method::POST, "/api/v1/llm/rekey", None).await;
    assert_eq!(anew.json()["encrypted_anew"], 1);
    world.keys = SECOND_KEY.to_owned();
    let mut world = world.killed().await;
    assert_eq!((ask(&world).await, shown(&world).as_str()), (200, "Bearer sk-hush"));
    // With the wrong key the server starts, says why, and asks nobody with what it does not have.
    world.keys = FIRST_KEY.to_owned();
    let world = world.killed().await;
    assert!(ask(&world).await >= 500);
    let listed = world.native(Method::GET, "/api/v1/llm/secrets", None).await.text().to_owned();
    assert!(listed.contains("which is not configured"), "{listed}");
    let refused = world.native(Method::POST, "/api/v1/llm/rekey", None).await;
    assert_eq!((refused.status, refused.json()["code"].as_str()), (409, Some("gateway.secret_shut")));
}

#[tokio::test]
async fn without_a_key_nothing_is_kept() {
    let (mut world, _) = asking().await;
    world.keys = String::new();
    let world = world.killed().await;
    let name: Name = "main".parse().unwrap();
    let refused = world.gateway.put_secret("tester", &name, "sk-hush").await.unwrap_err();
    assert!(matches!(refused, GatewayError::NoSecretsKey));
    for value in ["", "two\nlines"] {
        let wrong = world.gateway.put_secret("tester", &name, value).await.unwrap_err();
        assert!(matches!(wrong, GatewayError::Invalid { .. }));
    }
}
