//! Several servers on one metadata database: limits, keys, what each spent, kills.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use futures::future::join_all;
use http::Method;
use serde_json::{Value, json};
use shipway_gateway::{
    Budget, CallFact, CallTable, CarryError, CreateKey, GatewayError, Limits, OnOutage, Server, Servers,
    Window,
};
use shipway_store::Store;

use crate::world::{COST, Provider, Reply, World, completion, deployment, model, question};

fn one_of(id: &str, is_owner: bool) -> Servers {
    Servers::Several(Server { id: id.to_owned(), is_owner })
}

async fn server(store: Store, provider: Provider, servers: Servers) -> World {
    let world = World::over(store, provider, servers).await.unwrap();
    world.install(vec![model("chat", vec![deployment("one", "openai")])]);
    world
}

/// An owner and a replica, and what the provider answers to them.
async fn two() -> (World, World) {
    let (store, provider) = (super::empty_store().await, Provider::default());
    provider.answers("up-one", Reply::json(200, &completion()));
    let owner = server(store.clone(), provider.clone(), one_of("owner", true)).await;
    let replica = server(store, provider, one_of("replica", false)).await;
    (owner, replica)
}

async fn until(what: &str, mut found: impl AsyncFnMut() -> bool) {
    let looks = async {
        while !found().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), looks).await.unwrap_or_else(|_| panic!("{what}"));
}

async fn key(world: &World, limits: Limits) -> String {
    world.key(CreateKey { limits, ..CreateKey::default() }).await
}

fn dollars(dollars: &str) -> Limits {
    let budgets = vec![Budget { dollars: dollars.parse().unwrap(), window: Window::Total }];
    Limits { budgets, ..Limits::default() }
}

/// Waits until the replica knows the key, without a call of a model.
async fn is_known(replica: &World, key: &str) {
    until("a new key is known at the other server", async || {
        replica.follow_up(Method::GET, "/v1/models", key).await.status == 200
    })
    .await;
}

/// So many calls at once, half at each server; the statuses of their answers.
async fn calls(servers: [&World; 2], key: &str, count: usize) -> Vec<u16> {
    let question = question("chat");
    let ask = |index: usize| {
        let (world, question) = (servers[index % 2], &question);
        async move { world.chat(key, question).await.status }
    };
    join_all((0..count).map(ask)).await
}

fn answered(statuses: &[u16]) -> i64 {
    i64::try_from(statuses.iter().filter(|status| **status == 200).count()).unwrap()
}

async fn used(world: &World, id: &str) -> Value {
    world.native(Method::GET, &format!("/api/v1/llm/keys/{id}"), None).await.json()["used"].clone()
}

fn id_of(key: &str) -> String {
    key.trim_start_matches("shipway_llm_").split('_').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_calls_at_once_over_two_servers_do_not_pass_a_budget() {
    let (owner, replica) = two().await;
    let key = key(&owner, dollars("0.02")).await;
    is_known(&replica, &key).await;

    let statuses = calls([&owner, &replica], &key, 200).await;

    assert!(statuses.iter().all(|status| [200, 402].contains(status)), "{statuses:?}");
    let answered = answered(&statuses);
    assert!(answered > 0 && answered * COST <= 20_000_000, "{answered}");
    until("what both have spent is seen at both", async || {
        let sums = [used(&owner, &id_of(&key)).await, used(&replica, &id_of(&key)).await];
        sums.iter().all(|used| {
            used["calls"] == answered
                && used["dollars"]["total"] == shipway_dialects::Nanos(answered * COST).to_string()
        })
    })
    .await;
    // What is left can be used to its end: leases are given back.
    let mut more = 0;
    for _ in 0..1_000 {
        if owner.chat(&key, &question("chat")).await.status != 200 {
            break;
        }
        more += 1;
    }
    let spent = (answered + more) * COST;
    assert!(spent <= 20_000_000 && spent > 20_000_000 - 1_100_000, "{spent}");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_for_a_minute_are_exact_over_two_servers() {
    let (owner, replica) = two().await;
    let limits = Limits { requests_per_minute: Some(50), ..Limits::default() };
    let key = key(&owner, limits).await;
    is_known(&replica, &key).await;
    let first = calls([&owner, &replica], &key, 200).await;
    let second = calls([&replica, &owner], &key, 20).await;
    assert_eq!(answered(&first) + answered(&second), 50, "{first:?} {second:?}");
    assert!(first.iter().all(|status| [200, 429].contains(status)), "{first:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_server_uses_what_the_other_had_leased_and_does_not_need() {
    let (owner, replica) = two().await;
    let limits = Limits { requests_per_minute: Some(40), ..Limits::default() };
    let key = key(&owner, limits).await;
    is_known(&replica, &key).await;
    // It leases more than the one call that it makes.
    assert_eq!(replica.chat(&key, &question("chat")).await.status, 200);
    let mut answered = 1;
    while owner.chat(&key, &question("chat")).await.status == 200 {
        answered += 1;
    }
    assert_eq!(answered, 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_server_changes_of_keys_and_groups_holds_at_the_other() {
    let (owner, replica) = two().await;
    let key = key(&owner, Limits::default()).await;
    is_known(&replica, &key).await;
    assert_eq!(replica.chat(&key, &question("chat")).await.status, 200);
    let path = format!("/api/v1/llm/keys/{}", id_of(&key));
    let nothing = json!({ "budgets": [{ "dollars": "0", "window": "total" }] });
    let limited = owner.native(Method::PUT, &format!("{path}/limits"), Some(nothing)).await;
    assert_eq!(limited.status, 200);
    until("a lower limit holds", async || replica.chat(&key, &question("chat")).await.status == 402).await;
    assert_eq!(replica.native(Method::DELETE, &path, None).await.status, 204);
    until("a revoked key is refused", async || owner.chat(&key, &question("chat")).await.status == 401).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_server_has_spent_is_counted_once() {
    let (owner, replica) = two().await;
    let key = key(&owner, dollars("0.01")).await;
    is_known(&replica, &key).await;
    for _ in 0..5 {
        assert_eq!(replica.chat(&key, &question("chat")).await.status, 200);
    }
    // What has not reached the log is charged what it had reserved.
    replica.settled(5).await;
    let replica = replica.killed().await;
    let id = id_of(&key);
    until("the sum of both is what calls cost", async || {
        used(&owner, &id).await["dollars"]["total"] == shipway_dialects::Nanos(5 * COST).to_string()
    })
    .await;
    let mut answered = 5;
    for world in [&replica, &owner] {
        while world.chat(&key, &question("chat")).await.status == 200 {
            answered += 1;
        }
    }
    let spent = answered * COST;
    assert!(spent <= 10_000_000 && spent > 10_000_000 - 1_100_000, "{spent}");
    let owner = owner.killed().await;
    assert_eq!(owner.chat(&key, &question("chat")).await.status, 402);
}

#[derive(Default)]
struct Table(Mutex<Vec<CallFact>>, Mutex<Vec<(String, u64)>>);

#[async_trait]
impl CallTable for Table {
    async fn carried(&self) -> Result<u64, CarryError> {
        Ok(0)
    }

    async fn append(&self, _: Vec<CallFact>, _: u64) -> Result<(), CarryError> {
        Ok(())
    }

    async fn append_from(&self, server: &str, calls: Vec<CallFact>, next: u64) -> Result<(), CarryError> {
        let mut batches = self.1.lock().unwrap();
        let batch = (server.to_owned(), next);
        if !batches.contains(&batch) {
            batches.push(batch);
            self.0.lock().unwrap().extend(calls);
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_a_replica_come_into_the_table_of_the_owner_each_once() {
    let (owner, replica) = two().await;
    let table = Arc::new(Table::default());
    owner.gateway.carry_calls_to(Arc::clone(&table) as Arc<dyn CallTable>);
    replica.gateway.carry_calls_to_owner();
    let key = key(&owner, Limits::default()).await;
    is_known(&replica, &key).await;
    for _ in 0..7 {
        assert_eq!(replica.chat(&key, &question("chat")).await.status, 200);
    }
    let there = || table.0.lock().unwrap().iter().map(|fact| fact.call.clone()).collect::<Vec<_>>();
    until("calls are in the table", async || there().len() >= 7).await;
    let settled: Vec<String> = replica.settled(7).await.into_iter().map(|fact| fact.call).collect();
    assert_eq!(there(), settled);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_refuses_to_start_where_it_would_not_share_what_others_share() {
    let store = super::empty_store().await;
    let alone = World::over(store.clone(), Provider::default(), one_of("replica", false)).await;
    assert!(matches!(alone.err().unwrap(), GatewayError::NoOwner));
    let (owner, _replica) = two().await;
    let beside = World::over(owner.store.clone(), Provider::default(), Servers::One).await;
    assert!(matches!(beside.err().unwrap(), GatewayError::NotAlone { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_is_away_a_key_is_refused_unless_it_is_let_through() {
    let (owner, _replica) = two().await;
    let strict = key(&owner, dollars("0.1")).await;
    let open = key(&owner, Limits { on_outage: OnOutage::Allow, ..dollars("0.1") }).await;
    assert_eq!(owner.chat(&strict, &question("chat")).await.status, 200);
    owner.store.close().await;
    let mut refused = owner.chat(&strict, &question("chat")).await;
    while refused.status == 200 {
        refused = owner.chat(&strict, &question("chat")).await;
    }
    assert_eq!((refused.status, refused.header("x-shipway-error")), (503, Some("gateway.limits_away")));
    for _ in 0..20 {
        assert_eq!(owner.chat(&open, &question("chat")).await.status, 200);
    }
}
