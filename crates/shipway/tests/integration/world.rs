//! A small world of orders: its definitions, its random events, and what the oracle says of them.

use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Map, Value as Json, json};
use shipway_aggregate::{
    Aggregation, Operation, Window,
    oracle::{self, OracleEvent},
};
use shipway_core::{DataType, Timestamp, Value};
use shipway_testkit::{Client, Server};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_shipway");

/// A Monday noon; events lie in the hours after it.
const START_US: i64 = 1_750_075_200_000_000;
const SECOND_US: i64 = 1_000_000;
pub(crate) const SHOPS: [&str; 4] = ["north", "south", "east", "west"];

pub(crate) const DEFINITIONS: &str = "\
kind: entity
name: shop
keys: { shop: text }
---
kind: source
name: orders
event_time: ordered_at
event_id: order_id
columns: { order_id: text, ordered_at: timestamp, shop: text, amount: float, items: int, customer: text }
---
kind: view
name: shop_orders
entity: shop
source: orders
aggregate:
  - operations: [count]
    windows: [5m, 1h, 1d, lifetime]
  - column: amount
    operations: [sum, avg, min, max, stddev]
    windows: [1h, 1d]
  - column: items
    operations: [sum, var]
    windows: [1d]
  - column: customer
    operations: [first, last, distinct_count]
    windows: [1h, 1d]
---
kind: view
name: shop_latest
entity: shop
source: orders
latest: [amount, customer]
---
kind: service
name: shops
views: [shop_orders, shop_latest]
";

/// An order, as it is sent and as the oracle sees it.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) id: String,
    pub(crate) at: Timestamp,
    pub(crate) shop: &'static str,
    pub(crate) amount: Option<f64>,
    pub(crate) items: Option<i64>,
    pub(crate) customer: Option<String>,
}

impl Order {
    pub(crate) fn line(&self) -> String {
        json!({
            "order_id": self.id, "ordered_at": self.at.to_string(), "shop": self.shop, "amount": self.amount,
            "items": self.items, "customer": self.customer,
        })
        .to_string()
    }

    fn column(&self, name: &str) -> Value {
        match name {
            "amount" => self.amount.map_or(Value::Null, Value::float),
            "items" => self.items.map_or(Value::Null, Value::Int),
            "customer" => self.customer.as_deref().map_or(Value::Null, Value::text),
            _ => Value::Null,
        }
    }
}

/// Random orders: mostly forward in time, some late, many on the same second, ids against the order of arrival.
pub(crate) fn orders(count: usize, seed: u64) -> Vec<Order> {
    let mut random = StdRng::seed_from_u64(seed);
    (0..count)
        .map(|number| {
            let forward = number as i64 * 7 * SECOND_US;
            let late = if random.random_bool(0.1) { random.random_range(0..3_600) * SECOND_US } else { 0 };
            Order {
                id: format!("o{:06}", 999_999 - number),
                at: Timestamp(
                    START_US + forward
                        - late
                        - forward % (60 * SECOND_US) * i64::from(random.random_bool(0.3)),
                ),
                shop: SHOPS[random.random_range(0..SHOPS.len())],
                amount: random
                    .random_bool(0.9)
                    .then(|| f64::from(random.random_range(-9_000..90_000)) / 100.0 + 0.1),
                items: Some(random.random_range(-3..40)),
                customer: Some(format!("c{}", random.random_range(0..30))),
            }
        })
        .collect()
}

/// Applies the definitions of this world.
pub(crate) async fn apply(server: &Server) {
    let body = json!({ "files": [{ "path": "world.yaml", "text": DEFINITIONS }] });
    server.client().post("/api/v1/definitions/apply", &body).await.ok();
}

/// The moment after every order.
pub(crate) fn after(orders: &[Order]) -> Timestamp {
    Timestamp(orders.iter().map(|order| order.at.0).max().unwrap_or(START_US) + 1)
}

/// Asks for every shop's features at `at` and compares each with the oracle over `orders`; returns how many were compared.
pub(crate) async fn equals_the_oracle(
    client: &Client,
    orders: &[Order],
    at: Timestamp,
    token: Option<&str>,
) -> usize {
    let rows: Vec<Json> = SHOPS.iter().map(|shop| json!({ "shop": shop })).collect();
    let mut body = json!({ "service": "shops", "rows": rows, "at": at.to_string() });
    if let Some(token) = token {
        body["token"] = token.into();
    }
    let answer = client.post("/api/v1/features/read", &body).await.ok();
    let columns: Vec<&str> =
        answer["columns"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    let mut compared = 0;
    for (shop, row) in SHOPS.iter().zip(answer["rows"].as_array().unwrap()) {
        let expected = expected(orders, shop, at);
        for (column, value) in columns.iter().zip(row["values"].as_array().unwrap()) {
            assert_eq!(value, &expected[*column], "{shop} {column} at {at}");
            compared += 1;
        }
    }
    compared
}

fn expected(orders: &[Order], shop: &str, at: Timestamp) -> Map<String, Json> {
    let own: Vec<&Order> = orders.iter().filter(|order| order.shop == shop).collect();
    let mut row = Map::new();
    let mut add = |operation: Operation, column: Option<(&str, DataType)>, windows: &[&str]| {
        let aggregation = Aggregation::new(operation, column.map(|(_, data_type)| data_type)).unwrap();
        let events: Vec<OracleEvent> = own
            .iter()
            .map(|order| OracleEvent {
                time: order.at,
                event_id: order.id.clone(),
                value: column.map_or(Value::Null, |(name, _)| order.column(name)),
                bucket: Value::Null,
            })
            .collect();
        for text in windows {
            let window: Window = text.parse().unwrap();
            let value = oracle::value(&events, aggregation, window, at).unwrap();
            let name = match column {
                None => format!("shop_orders__count_{text}"),
                Some((column, _)) => format!("shop_orders__{column}_{operation}_{text}"),
            };
            row.insert(name, value.to_json());
        }
    };
    add(Operation::Count, None, &["5m", "1h", "1d", "lifetime"]);
    for operation in [Operation::Sum, Operation::Avg, Operation::Min, Operation::Max, Operation::Stddev] {
        add(operation, Some(("amount", DataType::Float)), &["1h", "1d"]);
    }
    for operation in [Operation::Sum, Operation::Var] {
        add(operation, Some(("items", DataType::Int)), &["1d"]);
    }
    for operation in [Operation::First, Operation::Last, Operation::DistinctCount { bound: 10_000 }] {
        add(operation, Some(("customer", DataType::Text)), &["1h", "1d"]);
    }
    let latest: Vec<(Timestamp, String)> = own.iter().map(|order| (order.at, order.id.clone())).collect();
    let found = oracle::latest(&latest, None, at).map(|index| own[index]);
    for column in ["amount", "customer"] {
        let value = found.map_or(Value::Null, |order| order.column(column));
        row.insert(format!("shop_latest__{column}"), value.to_json());
    }
    row
}
