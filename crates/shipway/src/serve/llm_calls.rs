//! The table of calls of models of language: one row for each call, written out of the ledger.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, BooleanArray, Int64Array, StringArray, TimestampMicrosecondArray},
    datatypes::{DataType, Field, Schema, SchemaRef},
    record_batch::RecordBatch,
};
use async_trait::async_trait;
use shipway_gateway::{CallFact, CallTable, CarryError, GatewayError, Scope};
use shipway_lake::{AppendOptions, Lake, timestamp_type};

/// The name of the table.
pub(super) const TABLE: &str = "llm_calls";
/// Whose transactions say how far the table has come.
const TRANSACTIONS: &str = "shipway_llm_ledger";

/// The Delta table `llm_calls`.
pub(super) struct CallsInLake(pub(super) Lake);

#[async_trait]
impl CallTable for CallsInLake {
    async fn carried(&self) -> Result<u64, CarryError> {
        let failed = |error: shipway_lake::LakeError| Box::new(error) as CarryError;
        self.0.ensure_table(TABLE, schema()).await.map_err(failed)?;
        let version = self.0.transaction_version(TABLE, TRANSACTIONS).await.map_err(failed)?;
        Ok(version.and_then(|version| u64::try_from(version).ok()).unwrap_or(0))
    }

    async fn append(&self, calls: Vec<CallFact>, next: u64) -> Result<(), CarryError> {
        self.append_as(TRANSACTIONS.to_owned(), &calls, next).await
    }

    async fn append_from(&self, server: &str, calls: Vec<CallFact>, next: u64) -> Result<(), CarryError> {
        let failed = |error: shipway_lake::LakeError| Box::new(error) as CarryError;
        self.0.ensure_table(TABLE, schema()).await.map_err(failed)?;
        self.append_as(format!("{TRANSACTIONS}/{server}"), &calls, next).await
    }
}

impl CallsInLake {
    async fn append_as(&self, transactions: String, calls: &[CallFact], next: u64) -> Result<(), CarryError> {
        let failed = |error: shipway_lake::LakeError| Box::new(error) as CarryError;
        if calls.is_empty() {
            return Ok(());
        }
        let batch = RecordBatch::try_new(schema(), columns(calls))
            .map_err(|error| Box::new(GatewayError::Rows(error.into())) as CarryError)?;
        let once = AppendOptions::once(transactions, i64::try_from(next).unwrap_or(i64::MAX));
        self.0.append_batches(TABLE, vec![batch], once).await.map_err(failed).map(drop)
    }
}

/// Each column with its type; `None` is text.
pub(super) const COLUMNS: [(&str, Option<DataType>); 48] = [
    ("call", None),
    ("at", Some(DataType::Null)),
    ("caller", None),
    ("key", None),
    ("groups", None),
    ("user", None),
    ("model", None),
    ("asked", None),
    ("api", None),
    ("deployment", None),
    ("upstream_model", None),
    ("outcome", None),
    ("status", Some(DataType::Int64)),
    ("error", None),
    ("is_stream", Some(DataType::Boolean)),
    ("input_tokens", Some(DataType::Int64)),
    ("cache_read_tokens", Some(DataType::Int64)),
    ("cache_write_tokens", Some(DataType::Int64)),
    ("output_tokens", Some(DataType::Int64)),
    ("reasoning_tokens", Some(DataType::Int64)),
    ("cost_nanos", Some(DataType::Int64)),
    ("reserved_nanos", Some(DataType::Int64)),
    ("is_estimated", Some(DataType::Boolean)),
    ("is_unpriced", Some(DataType::Boolean)),
    ("took_us", Some(DataType::Int64)),
    ("first_token_us", Some(DataType::Int64)),
    ("attempts", None),
    ("request_bytes", Some(DataType::Int64)),
    ("response_bytes", Some(DataType::Int64)),
    // Added later, so at the end: what prices depend on beside the counts of tokens.
    ("price_as_of", None),
    ("service_tier", None),
    ("cache_write_long_tokens", Some(DataType::Int64)),
    ("input_audio_tokens", Some(DataType::Int64)),
    ("input_image_tokens", Some(DataType::Int64)),
    ("output_audio_tokens", Some(DataType::Int64)),
    ("output_image_tokens", Some(DataType::Int64)),
    ("images", Some(DataType::Int64)),
    ("milliseconds", Some(DataType::Int64)),
    ("searches", Some(DataType::Int64)),
    ("beside_nanos", Some(DataType::Int64)),
    ("cache", None),
    ("saved_nanos", Some(DataType::Int64)),
    ("guardrails", None),
    ("session", None),
    ("prompt", None),
    ("trace", None),
    ("tags", None),
    ("content", None),
];

fn schema() -> SchemaRef {
    let fields = COLUMNS.into_iter().map(|(name, data_type)| {
        let data_type = match data_type {
            None => DataType::Utf8,
            Some(DataType::Null) => timestamp_type(),
            Some(other) => other,
        };
        Field::new(name, data_type, true)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn texts<'a>(calls: &'a [CallFact], of: impl Fn(&'a CallFact) -> Option<&'a str>) -> ArrayRef {
    Arc::new(calls.iter().map(of).collect::<StringArray>())
}

fn owned(calls: &[CallFact], of: impl Fn(&CallFact) -> Option<String>) -> ArrayRef {
    Arc::new(calls.iter().map(of).collect::<StringArray>())
}

fn numbers(calls: &[CallFact], of: impl Fn(&CallFact) -> Option<i64>) -> ArrayRef {
    Arc::new(calls.iter().map(of).collect::<Int64Array>())
}

fn counts(calls: &[CallFact], of: impl Fn(&CallFact) -> u64) -> ArrayRef {
    numbers(calls, |call| Some(i64::try_from(of(call)).unwrap_or(i64::MAX)))
}

fn flags(calls: &[CallFact], of: impl Fn(&CallFact) -> bool) -> ArrayRef {
    Arc::new(calls.iter().map(|call| Some(of(call))).collect::<BooleanArray>())
}

/// In the order of [`COLUMNS`].
fn columns(calls: &[CallFact]) -> Vec<ArrayRef> {
    let at = calls.iter().map(|call| Some(call.at_us)).collect::<TimestampMicrosecondArray>();
    vec![
        texts(calls, |call| Some(&call.call)),
        Arc::new(at.with_timezone("UTC")),
        texts(calls, |call| Some(&call.caller)),
        texts(calls, |call| call.chain.iter().find_map(key)),
        owned(calls, groups),
        texts(calls, |call| call.user.as_deref()),
        texts(calls, |call| Some(&call.model)),
        texts(calls, |call| Some(&call.asked)),
        texts(calls, |call| Some(&call.api)),
        texts(calls, |call| call.deployment.as_deref()),
        texts(calls, |call| call.upstream_model.as_deref()),
        texts(calls, |call| Some(call.outcome.word())),
        numbers(calls, |call| call.status.map(i64::from)),
        texts(calls, |call| call.error.as_deref()),
        flags(calls, |call| call.is_stream),
        counts(calls, |call| call.tokens.input),
        counts(calls, |call| call.tokens.cache_read),
        counts(calls, |call| call.tokens.cache_write),
        counts(calls, |call| call.tokens.output),
        counts(calls, |call| call.tokens.reasoning),
        numbers(calls, |call| Some(call.cost_nanos)),
        numbers(calls, |call| Some(call.reserved_nanos)),
        flags(calls, |call| call.is_estimated),
        flags(calls, |call| call.is_unpriced),
        numbers(calls, |call| Some(call.took_us)),
        numbers(calls, |call| call.first_token_us),
        owned(calls, |call| serde_json::to_string(&call.attempts).ok()),
        counts(calls, |call| call.request_bytes),
        counts(calls, |call| call.response_bytes),
        texts(calls, |call| call.priced.as_of.as_deref()),
        texts(calls, |call| call.priced.service_tier.as_deref()),
        counts(calls, |call| call.priced.cache_write_long),
        counts(calls, |call| call.priced.input_audio),
        counts(calls, |call| call.priced.input_image),
        counts(calls, |call| call.priced.output_audio),
        counts(calls, |call| call.priced.output_image),
        counts(calls, |call| call.priced.images),
        counts(calls, |call| call.priced.milliseconds),
        counts(calls, |call| call.priced.searches),
        numbers(calls, |call| Some(call.priced.beside_nanos)),
        texts(calls, |call| call.cache.as_deref()),
        numbers(calls, |call| Some(call.saved_nanos)),
        owned(calls, |call| {
            let has = !call.guardrails.is_empty();
            has.then(|| serde_json::to_string(&call.guardrails).ok()).flatten()
        }),
        texts(calls, |call| call.labels.session.as_deref()),
        texts(calls, |call| call.labels.prompt.as_deref()),
        texts(calls, |call| call.labels.trace.as_deref()),
        owned(calls, |call| {
            let has = !call.labels.tags.is_empty();
            has.then(|| serde_json::to_string(&call.labels.tags).ok()).flatten()
        }),
        texts(calls, |call| call.content.as_deref()),
    ]
}

fn key(scope: &Scope) -> Option<&str> {
    match scope {
        Scope::Key(id) => Some(id),
        Scope::Group(_) | Scope::User(_) | Scope::Tag(_) => None,
    }
}

/// The groups, from the nearest to the greatest, between slashes: `/search/retail/`.
fn groups(call: &CallFact) -> Option<String> {
    let names: Vec<&str> = call
        .chain
        .iter()
        .filter_map(|scope| match scope {
            Scope::Group(name) => Some(name.as_str()),
            Scope::Key(_) | Scope::User(_) | Scope::Tag(_) => None,
        })
        .collect();
    (!names.is_empty()).then(|| format!("/{}/", names.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_has_the_type_that_the_table_has() {
        let batch = RecordBatch::try_new(schema(), columns(&[])).unwrap();
        assert_eq!(batch.num_columns(), COLUMNS.len());
    }
}
