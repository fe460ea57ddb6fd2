//! What is charged, also after a crash.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde_json::json;
use shipway_gateway::{CallFact, CallTable, CarryError, CreateKey, Outcome, Scope, Window};

use crate::world::{COST, End, Reply, World, completion, question};

fn scope(key: &str) -> Scope {
    format!("key/{}", key.split('_').nth(2).unwrap()).parse().unwrap()
}

#[tokio::test]
async fn what_was_spent_is_known_after_a_kill_and_what_ran_is_charged_what_it_had_reserved() {
    let world = World::new().await;
    world.provider.answers("up-one", Reply::json(200, &completion()));
    let key = world.key(CreateKey::default()).await;
    assert_eq!(world.chat(&key, &question("chat")).await.status, 200);
    world.settled(1).await;
    // A call that runs when the process dies.
    world.provider.answers(
        "up-one",
        Reply::events(&["data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n"], End::Hang),
    );
    world.provider.answers(
        "up-one",
        Reply::events(&["data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n"], End::Hang),
    );
    let _first = world.chat(&key, &question("chat")).await;
    let mut streamed = question("chat");
    streamed["stream"] = json!(true);
    let bearer = format!("Bearer {key}");
    let running = world.send("/v1/chat/completions", &[("authorization", &bearer)], &streamed).await;
    assert_eq!(running.status(), 200);
    let reserved = world.gateway.usage(&scope(&key)).reserved_nanos;
    assert!(reserved > 0);
    // Its destructor does not run in a process that is killed.
    std::mem::forget(running);
    let before = world.settled(2).await.len();

    let world = world.killed().await;

    let calls = world.settled(before + 1).await;
    let lost = calls.last().unwrap();
    assert_eq!((lost.outcome, lost.cost_nanos, lost.is_estimated), (Outcome::Lost, reserved, true));
    let usage = world.gateway.usage(&scope(&key));
    let sum: i64 = calls.iter().map(|call| call.cost_nanos).sum();
    assert_eq!((usage.spent.last(), usage.running), (Some(&(Window::Total, sum)), 0));
    assert_eq!(usage.calls as usize, calls.len());
    assert!(sum > COST);

    // A second start finds nothing that is open.
    world.gateway.shutdown().await.unwrap();
    let world = world.killed().await;
    assert_eq!(world.settled(calls.len()).await.len(), calls.len());
    assert_eq!(world.gateway.usage(&scope(&key)).spent.last(), Some(&(Window::Total, sum)));
}

/// A table in memory that refuses now and then.
#[derive(Default)]
struct Table {
    rows: Mutex<Vec<CallFact>>,
    next: Mutex<u64>,
    refusals: Mutex<u32>,
}

#[async_trait]
impl CallTable for Table {
    async fn carried(&self) -> Result<u64, CarryError> {
        Ok(*self.next.lock().unwrap())
    }

    async fn append(&self, calls: Vec<CallFact>, next: u64) -> Result<(), CarryError> {
        let mut refusals = self.refusals.lock().unwrap();
        if *refusals > 0 {
            *refusals -= 1;
            return Err(Box::new(shipway_gateway::GatewayError::LedgerBehind));
        }
        assert!(next > *self.next.lock().unwrap());
        self.rows.lock().unwrap().extend(calls);
        *self.next.lock().unwrap() = next;
        Ok(())
    }
}

#[tokio::test]
async fn settled_calls_are_carried_into_a_table_each_once_although_it_refuses_at_first() {
    let world = World::new().await;
    let table = Arc::new(Table { refusals: Mutex::new(1), ..Table::default() });
    world.gateway.carry_calls_to(Arc::clone(&table) as Arc<dyn CallTable>);
    world.provider.answers("up-one", Reply::json(200, &completion()));
    for _ in 0..5 {
        assert_eq!(world.ask("/v1/chat/completions", &[], &question("chat")).await.status, 200);
    }
    let settled = world.settled(5).await;
    let carried = async {
        while table.rows.lock().unwrap().len() < 5 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), carried).await.unwrap();
    assert_eq!(*table.rows.lock().unwrap(), settled);
}

/// A table that takes its time, and counts how often it is appended to in each round.
#[derive(Default)]
struct SlowTable {
    next: Mutex<u64>,
    rounds: Mutex<Vec<u32>>,
}

#[async_trait]
impl CallTable for SlowTable {
    async fn carried(&self) -> Result<u64, CarryError> {
        self.rounds.lock().unwrap().push(0);
        Ok(*self.next.lock().unwrap())
    }

    async fn append(&self, _: Vec<CallFact>, next: u64) -> Result<(), CarryError> {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        *self.rounds.lock().unwrap().last_mut().unwrap() += 1;
        *self.next.lock().unwrap() = next;
        Ok(())
    }
}

#[tokio::test]
async fn a_round_of_carrying_ends_while_calls_go_on() {
    let world = World::new().await;
    let table = Arc::new(SlowTable::default());
    world.gateway.carry_calls_to(Arc::clone(&table) as Arc<dyn CallTable>);
    let two_rounds = async {
        while table.rounds.lock().unwrap().iter().filter(|appends| **appends > 0).count() < 2 {
            world.provider.answers("up-one", Reply::json(200, &completion()));
            assert_eq!(world.ask("/v1/chat/completions", &[], &question("chat")).await.status, 200);
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), two_rounds).await.unwrap();
    assert_eq!(table.rounds.lock().unwrap().iter().max(), Some(&1));
}

#[tokio::test]
async fn what_was_spent_goes_on_from_the_books_where_the_event_log_was_lost() {
    let world = World::new().await;
    world.provider.answers("up-one", Reply::json(200, &completion()));
    let key = world.key(CreateKey::default()).await;
    assert_eq!(world.chat(&key, &question("chat")).await.status, 200);
    world.gateway.shutdown().await.unwrap();
    let world = world.without_its_log().await;
    assert_eq!(world.gateway.usage(&scope(&key)).spent.last(), Some(&(Window::Total, COST)));
    assert_eq!(world.chat(&key, &question("chat")).await.status, 200);
    world.settled(1).await;
    let world = world.killed().await;
    assert_eq!(world.gateway.usage(&scope(&key)).spent.last(), Some(&(Window::Total, 2 * COST)));
}
