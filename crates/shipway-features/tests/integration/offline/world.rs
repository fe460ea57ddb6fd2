//! A lake with one source of every type, its views with every operation, and the oracle's opinion of them.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray,
        TimestampMicrosecondArray,
    },
    datatypes::{DataType as ArrowType, Field, Float64Type, Int64Type, Schema, TimestampMicrosecondType},
};
use datafusion::dataframe::DataFrame;
use futures::TryStreamExt;
use shipway_aggregate::oracle::{self, OracleEvent};
use shipway_core::{DataType, Decimal, ScalarType, Timestamp, Value};
use shipway_definitions::{DefinitionFile, DefinitionSet, ViewBody};
use shipway_features::offline::{
    AsOf, EngineSettings, OfflineError, Pins, TrainingSetRequest, training_set_with,
};
use shipway_lake::{AppendOptions, Lake, LakeOptions, array_of, decimal_of, value_at};
use tempfile::TempDir;

const DEFINITIONS: &str = r#"
kind: entity
name: place
keys: { shop: text, district: int }
---
kind: source
name: sales
event_time: sold_at
event_id: sale
columns: { sale: text, sold_at: timestamp, store: text, district: int, amount: float, units: int, label: text, seen: timestamp, flag: bool, parts: list(int), price: "decimal(12,2)" }
---
kind: view
name: totals
entity: place
source: sales
keys: [store, district]
aggregate:
  - operations: [count]
    windows: [1s, 5m, 6m, 1h, 12h, 12d, lifetime]
  - column: amount
    operations: [count, sum, avg, var, stddev, min, max, first, last]
    windows: [1s, 6m, 1h, 1d, 12d, lifetime]
  - column: units
    operations: [sum, avg, var, min, max]
    windows: [6m, 1d, lifetime]
  - column: label
    operations: [first, last, min, max, distinct_count]
    windows: [1h, 12d, lifetime]
  - column: seen
    operations: [min, last]
    windows: [1d]
  - column: flag
    operations: [last, count]
    windows: [1d]
  - column: price
    operations: [sum, avg, var, skew, max, last_k(2), distinct_count, histogram(3)]
    windows: [6m, lifetime]
  - { operations: [count], windows: [1d], by: price }
---
kind: view
name: wide
entity: place
source: sales
keys: [store, district]
aggregate:
  - column: amount
    operations: [skew, kurtosis, first_k(3), last_k(2), top_k(3), bottom_k(2), approx_distinct, approx_quantile(0.5), histogram(4)]
    windows: [6m, 12d, lifetime]
  - { operations: [count], windows: [6m, 1d, lifetime], by: label }
  - { column: units, operations: [sum, skew, histogram(3), last_k(2)], windows: [1d], by: label }
  - { column: units, operations: [count], windows: [1h], by: flag }
  - { column: parts, operations: [sum, last, first_k(2), approx_distinct], windows: [1h, lifetime], over: elements }
  - { column: parts, operations: [avg, count, max], windows: [1d, lifetime], over: positions }
  - { column: parts, operations: [last], windows: [1h], over: positions, by: label }
  - { column: parts, operations: [last, last_k(2)], windows: [12d] }
---
kind: view
name: newest
entity: place
source: sales
keys: [store, district]
latest: [amount, units, label, seen, flag, parts, price]
ttl: 1h
features: { units: { ttl: 10m }, label: { ttl: 1s, owner: labels } }
---
kind: view
name: newest_ever
entity: place
source: sales
keys: [store, district]
latest: [label, amount]
features: { label: { ttl: 1d } }
---
kind: service
name: everything
views: [totals, wide, newest, newest_ever]
request: { basket: float }
"#;

const PRICE: &str = "decimal(12,2)";

/// An event of the source.
#[derive(Debug, Clone)]
pub(crate) struct Sale {
    pub(crate) id: String,
    pub(crate) sold_at: i64,
    pub(crate) store: Option<String>,
    pub(crate) district: Option<i64>,
    pub(crate) amount: Option<f64>,
    pub(crate) units: Option<i64>,
    pub(crate) label: Option<String>,
    pub(crate) arrival: Arrival,
    /// When the server took it in, if it came live.
    pub(crate) received: i64,
}

/// How an event came.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Arrival {
    Live(u64),
    Loaded(String),
}

impl Sale {
    pub(crate) fn new(id: &str, sold_at: i64, amount: f64) -> Self {
        Self {
            id: id.to_owned(),
            sold_at,
            store: Some("a".to_owned()),
            district: Some(1),
            amount: Some(amount),
            units: Some(amount as i64),
            label: Some(format!("label {}", amount as i64 % 3)),
            arrival: Arrival::Live(0),
            received: sold_at,
        }
    }

    pub(crate) fn of(self, store: Option<&str>, district: Option<i64>) -> Self {
        Self { store: store.map(str::to_owned), district, ..self }
    }

    pub(crate) fn arrived(self, arrival: Arrival) -> Self {
        Self { arrival, ..self }
    }

    pub(crate) fn received(self, received: i64) -> Self {
        Self { received, ..self }
    }

    pub(crate) fn value(&self, column: &str) -> Value {
        let text = |text: &Option<String>| text.as_deref().map_or(Value::Null, Value::text);
        match column {
            "amount" => self.amount.map_or(Value::Null, Value::float),
            "units" => self.units.map_or(Value::Null, Value::Int),
            "label" => text(&self.label),
            "seen" => {
                self.units.map_or(Value::Null, |units| Value::Timestamp(Timestamp(units.wrapping_mul(1_000))))
            }
            "flag" => self.units.map_or(Value::Null, |units| Value::Bool(units % 2 == 0)),
            "parts" => self.units.map_or(Value::Null, parts),
            "price" => self.units.map_or(Value::Null, price),
            other => panic!("no column {other}"),
        }
    }
}

/// Cents, of both signs and with zeros at their end.
fn price(units: i64) -> Value {
    Decimal::new(i128::from(units.rem_euclid(10_000)) * 10 - 30, 2).map_or(Value::Null, Value::Decimal)
}

/// Up to three small numbers, some of them null.
fn parts(units: i64) -> Value {
    let part = |at: i64| match (units.rem_euclid(60) + at) % 3 {
        0 => Value::Null,
        _ => Value::Int(units.rem_euclid(100) + at),
    };
    Value::list((0..units.rem_euclid(4)).map(part))
}

/// A row of the spine.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) q: i64,
    pub(crate) shop: Option<String>,
    pub(crate) district: Option<i64>,
    pub(crate) watermark: u64,
}

impl Ask {
    pub(crate) fn at(q: i64) -> Self {
        Self { q, shop: Some("a".to_owned()), district: Some(1), watermark: u64::from(u32::MAX) }
    }

    pub(crate) fn of(self, shop: Option<&str>, district: Option<i64>) -> Self {
        Self { shop: shop.map(str::to_owned), district, ..self }
    }

    pub(crate) fn seeing(self, watermark: u64) -> Self {
        Self { watermark, ..self }
    }
}

/// The lake, its definitions and its loads.
pub(crate) struct World {
    pub(crate) lake: Lake,
    pub(crate) definitions: Arc<DefinitionSet>,
    pub(crate) loads: BTreeMap<String, u64>,
    _folder: TempDir,
}

/// Rows of named values.
pub(crate) type Answers = Vec<BTreeMap<String, Value>>;

impl World {
    pub(crate) fn new() -> Self {
        Self::with_memory(1 << 30)
    }

    pub(crate) fn with_memory(memory_limit_bytes: usize) -> Self {
        let folder = TempDir::new().unwrap();
        let options = LakeOptions { memory_limit_bytes, ..LakeOptions::new(folder.path().join("lake")) };
        let files = [DefinitionFile::new("definitions.yaml", DEFINITIONS)];
        Self {
            lake: Lake::open(options).unwrap(),
            definitions: Arc::new(DefinitionSet::parse(&files).unwrap()),
            loads: BTreeMap::new(),
            _folder: folder,
        }
    }

    pub(crate) async fn holds(&self, sales: &[Sale]) {
        let batch = batch_of(sales);
        self.lake.ensure_table("sales", batch.schema()).await.unwrap();
        self.lake.append_batches("sales", vec![batch], AppendOptions::default()).await.unwrap();
    }

    pub(crate) fn spine(&self, asks: &[Ask]) -> DataFrame {
        self.lake.session().read_batch(spine_of(asks)).unwrap()
    }

    pub(crate) fn request(&self, spine: DataFrame, as_of: AsOf) -> TrainingSetRequest {
        TrainingSetRequest {
            service: Arc::clone(self.definitions.service("everything").unwrap()),
            definitions: Arc::clone(&self.definitions),
            spine,
            time_column: "q".to_owned(),
            as_of,
            load_arrivals: BTreeMap::from([("sales".to_owned(), self.loads.clone())]),
            labels: Vec::new(),
            pins: Pins::default(),
        }
    }

    pub(crate) async fn batches(
        &self,
        request: TrainingSetRequest,
        settings: &EngineSettings,
    ) -> Result<Vec<RecordBatch>, OfflineError> {
        let stream = training_set_with(&self.lake, request, settings).await?;
        Ok(stream.try_collect().await?)
    }

    pub(crate) async fn answers(&self, asks: &[Ask], as_of: AsOf, settings: &EngineSettings) -> Answers {
        let request = self.request(self.spine(asks), as_of);
        rows_of(&self.batches(request, settings).await.unwrap())
    }

    /// What the oracle says, for the same asks.
    pub(crate) fn oracle(&self, sales: &[Sale], asks: &[Ask], as_of: &AsOf) -> Answers {
        asks.iter().map(|ask| self.oracle_row(sales, ask, as_of)).collect()
    }

    fn oracle_row(&self, sales: &[Sale], ask: &Ask, as_of: &AsOf) -> BTreeMap<String, Value> {
        let has_key = ask.shop.is_some() && ask.district.is_some();
        let seen: Vec<&Sale> = sales
            .iter()
            .filter(|sale| has_key && sale.store == ask.shop && sale.district == ask.district)
            .filter(|sale| {
                let arrival = match &sale.arrival {
                    Arrival::Live(offset) => *offset,
                    Arrival::Loaded(load) => self.loads.get(load).copied().unwrap_or(u64::MAX),
                };
                match as_of {
                    AsOf::EventTime => true,
                    AsOf::Arrival(watermarks) => arrival < watermarks["sales"],
                    AsOf::ArrivalColumns(_) => arrival < ask.watermark,
                    AsOf::Received(moments) => match &sale.arrival {
                        Arrival::Live(_) => sale.received <= ask.q,
                        Arrival::Loaded(load) => {
                            moments["sales"].get(load).is_some_and(|moment| moment.micros() <= ask.q)
                        }
                    },
                }
            })
            .collect();
        let q = Timestamp(ask.q);
        let mut answers = BTreeMap::new();
        for (name, view) in &self.definitions.views {
            match &view.definition.body {
                ViewBody::Aggregates(features) => {
                    for feature in features {
                        let events: Vec<_> = seen
                            .iter()
                            .map(|sale| {
                                oracle_event(sale, feature.column.as_deref_name(), feature.by.as_deref_name())
                            })
                            .collect();
                        let value = oracle::value(&events, feature.aggregation, feature.window, q).unwrap();
                        let value = if has_key { value } else { Value::Null };
                        answers.insert(format!("{name}__{}", feature.name), value);
                    }
                }
                ViewBody::Latest { columns, .. } => {
                    let rows: Vec<_> =
                        seen.iter().map(|sale| (Timestamp(sale.sold_at), sale.id.clone())).collect();
                    for column in columns {
                        let latest = oracle::latest(&rows, view.definition.ttl(column), q);
                        let value = latest.map_or(Value::Null, |index| seen[index].value(column.as_str()));
                        answers.insert(format!("{name}__{column}"), value);
                    }
                }
            }
        }
        answers
    }

    /// Asserts that the training set says what the oracle says.
    pub(crate) async fn agrees(&self, sales: &[Sale], asks: &[Ask], as_of: AsOf, settings: &EngineSettings) {
        let expected = self.oracle(sales, asks, &as_of);
        let answers = self.answers(asks, as_of, settings).await;
        assert_eq!(answers.len(), asks.len(), "one row for each row of the spine");
        for (index, (answer, expected)) in answers.iter().zip(&expected).enumerate() {
            assert_eq!(answer["q"], Value::Timestamp(Timestamp(asks[index].q)), "rows keep their order");
            for (name, value) in expected {
                assert_eq!(&answer[name], value, "row {index}, {name}: {:?}", asks[index]);
            }
        }
    }
}

trait NameOrNot {
    fn as_deref_name(&self) -> Option<&str>;
}

impl NameOrNot for Option<shipway_core::Name> {
    fn as_deref_name(&self) -> Option<&str> {
        self.as_ref().map(shipway_core::Name::as_str)
    }
}

fn oracle_event(sale: &Sale, column: Option<&str>, by: Option<&str>) -> OracleEvent {
    let value = |column: Option<&str>| column.map_or(Value::Null, |column| sale.value(column));
    OracleEvent {
        time: Timestamp(sale.sold_at),
        event_id: sale.id.clone(),
        value: value(column),
        bucket: value(by),
    }
}

pub(crate) fn timestamps(micros: impl IntoIterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from_iter(micros).with_timezone("UTC"))
}

fn batch_of(sales: &[Sale]) -> RecordBatch {
    let text = |read: &dyn Fn(&Sale) -> Option<String>| -> ArrayRef {
        Arc::new(StringArray::from_iter(sales.iter().map(read)))
    };
    let int = |read: &dyn Fn(&Sale) -> Option<i64>| -> ArrayRef {
        Arc::new(Int64Array::from_iter(sales.iter().map(read)))
    };
    let seen = sales.iter().map(|sale| sale.units.map(|units| units.wrapping_mul(1_000)));
    let columns = [
        ("sale", text(&|sale| Some(sale.id.clone()))),
        ("sold_at", timestamps(sales.iter().map(|sale| Some(sale.sold_at)))),
        ("store", text(&|sale| sale.store.clone())),
        ("district", int(&|sale| sale.district)),
        ("amount", Arc::new(Float64Array::from_iter(sales.iter().map(|sale| sale.amount)))),
        ("units", int(&|sale| sale.units)),
        ("label", text(&|sale| sale.label.clone())),
        ("seen", timestamps(seen)),
        (
            "flag",
            Arc::new(BooleanArray::from_iter(
                sales.iter().map(|sale| sale.units.map(|units| units % 2 == 0)),
            )),
        ),
        ("price", {
            let prices: Vec<Value> = sales.iter().map(|sale| sale.value("price")).collect();
            array_of(PRICE.parse().unwrap(), &prices.iter().collect::<Vec<_>>())
        }),
        ("parts", {
            let parts: Vec<Value> = sales.iter().map(|sale| sale.value("parts")).collect();
            array_of(DataType::list(ScalarType::Int), &parts.iter().collect::<Vec<_>>())
        }),
        ("_event_id", text(&|sale| Some(sale.id.clone()))),
        (
            "_arrival",
            int(&|sale| match sale.arrival {
                Arrival::Live(offset) => Some(offset as i64),
                Arrival::Loaded(_) => None,
            }),
        ),
        (
            "_received",
            timestamps(sales.iter().map(|sale| match sale.arrival {
                Arrival::Live(_) => Some(sale.received),
                Arrival::Loaded(_) => None,
            })),
        ),
        (
            "_load",
            text(&|sale| match &sale.arrival {
                Arrival::Live(_) => None,
                Arrival::Loaded(load) => Some(load.clone()),
            }),
        ),
    ];
    batch(columns)
}

pub(crate) fn spine_of(asks: &[Ask]) -> RecordBatch {
    batch([
        ("number", Arc::new(Int64Array::from_iter_values(0..asks.len() as i64)) as ArrayRef),
        ("q", timestamps(asks.iter().map(|ask| Some(ask.q)))),
        ("shop", Arc::new(StringArray::from_iter(asks.iter().map(|ask| ask.shop.clone())))),
        ("district", Arc::new(Int64Array::from_iter(asks.iter().map(|ask| ask.district)))),
        ("basket", Arc::new(Float64Array::from_iter_values(asks.iter().map(|ask| ask.q as f64)))),
        ("seen_up_to", Arc::new(Int64Array::from_iter_values(asks.iter().map(|ask| ask.watermark as i64)))),
    ])
}

pub(crate) fn batch<const N: usize>(columns: [(&str, ArrayRef); N]) -> RecordBatch {
    let fields: Vec<Field> =
        columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

pub(crate) fn rows_of(batches: &[RecordBatch]) -> Answers {
    let mut rows = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let schema = batch.schema();
            let cells = schema.fields().iter().zip(batch.columns());
            rows.push(cells.map(|(field, array)| (field.name().clone(), cell(array, row))).collect());
        }
    }
    rows
}

pub(crate) fn cell(array: &ArrayRef, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    match array.data_type() {
        ArrowType::Boolean => Value::Bool(array.as_boolean().value(row)),
        ArrowType::Int64 => Value::Int(array.as_primitive::<Int64Type>().value(row)),
        ArrowType::Float64 => Value::Float(array.as_primitive::<Float64Type>().value(row)),
        ArrowType::Utf8 => Value::text(array.as_string::<i32>().value(row)),
        ArrowType::Timestamp(..) => {
            Value::Timestamp(Timestamp(array.as_primitive::<TimestampMicrosecondType>().value(row)))
        }
        nested => value_at(array, type_of(nested), row),
    }
}

fn type_of(arrow: &ArrowType) -> DataType {
    let item = |arrow: &ArrowType| type_of(arrow).as_item().unwrap();
    match arrow {
        ArrowType::Boolean => DataType::Bool,
        ArrowType::Int64 => DataType::Int,
        ArrowType::Float64 => DataType::Float,
        ArrowType::Utf8 => DataType::Text,
        ArrowType::Timestamp(..) => DataType::Timestamp,
        ArrowType::List(field) => DataType::List(item(field.data_type())),
        ArrowType::Map(entries, _) => match entries.data_type() {
            ArrowType::Struct(fields) => DataType::Map(item(fields[1].data_type())),
            other => panic!("a map of {other}"),
        },
        other => DataType::Decimal(decimal_of(other).unwrap()),
    }
}
