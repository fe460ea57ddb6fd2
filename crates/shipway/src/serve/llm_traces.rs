//! Calls of models of language, found again: facts in the table of calls, words in a lake of their own.
//!
//! Words have one table for each day, in UTC. So they go by whole days without a row being rewritten, no query that people write reaches
//! them, and what is looked for is looked for day by day, the newest first, until there is enough of it or the time is up.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arrow::{
    array::{Array as _, ArrayRef, BooleanArray, StringArray, TimestampMicrosecondArray},
    datatypes::{DataType, Field, Schema, SchemaRef},
    record_batch::RecordBatch,
};
use async_trait::async_trait;
use serde_json::Value;
use shipway_core::Timestamp;
use shipway_gateway::{CallContent, CallRow, CarryError, Found, GatewayError, Question, TraceStore};
use shipway_lake::{AppendOptions, Effort, Lake, LakeError, SHORTEST_RETENTION, Upkeep, timestamp_type};

use super::{
    llm_calls,
    llm_conditions::{asks_for_facts, conditions, has_phrases, quoted},
};

const DAY_US: i64 = 24 * 3_600 * 1_000_000;
/// Tables of days are called so, and the date behind it: `day_20261130`.
const DAY: &str = "day_";
/// No further day is begun after this.
const PATIENCE: Duration = Duration::from_secs(10);
/// Columns of the table of calls that are JSON.
const JSON_COLUMNS: [&str; 3] = ["attempts", "guardrails", "tags"];

/// Facts of calls, and their words.
pub(super) struct TracesInLakes {
    pub(super) facts: Lake,
    pub(super) contents: Lake,
}

fn failed(error: LakeError) -> CarryError {
    Box::new(error)
}

fn unreadable(error: impl std::error::Error + Send + Sync + 'static) -> CarryError {
    Box::new(GatewayError::Rows(Box::new(error)))
}

/// A day, by the number of its first microsecond.
fn day_of(at_us: i64) -> i64 {
    at_us.div_euclid(DAY_US) * DAY_US
}

fn table_of(day: i64) -> String {
    let date: String = Timestamp(day).to_string().chars().take(10).filter(char::is_ascii_digit).collect();
    format!("{DAY}{date}")
}

fn day_of_table(name: &str) -> Option<i64> {
    let date = name.strip_prefix(DAY).filter(|date| date.len() == 8 && date.is_ascii())?;
    let text = format!("{}-{}-{}", &date[..4], &date[4..6], &date[6..]);
    Timestamp::parse(&text).ok().map(|day| day.0)
}

/// Ids begin with the moment of their call, in milliseconds.
fn moment_of(call: &str) -> Option<i64> {
    i64::from_str_radix(call.get(..12)?, 16).ok()?.checked_mul(1_000)
}

/// The least id of calls from this moment on.
fn first_id_of(at_us: i64) -> String {
    format!("{:012x}{}", at_us.max(0) / 1_000, "0".repeat(20))
}

fn schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    Schema::new(vec![
        text("call"),
        Field::new("at", timestamp_type(), true),
        text("model"),
        text("keep"),
        text("asked"),
        text("answered"),
        text("words"),
        Field::new("is_cut", DataType::Boolean, true),
    ])
    .into()
}

fn batch(contents: &[&CallContent]) -> Result<RecordBatch, CarryError> {
    let texts = |of: &dyn Fn(&CallContent) -> Option<String>| -> ArrayRef {
        Arc::new(contents.iter().copied().map(of).collect::<StringArray>())
    };
    let at = contents.iter().map(|content| Some(content.at_us)).collect::<TimestampMicrosecondArray>();
    let is_cut = contents.iter().map(|content| Some(content.is_cut)).collect::<BooleanArray>();
    let columns: Vec<ArrayRef> = vec![
        texts(&|content| Some(content.call.clone())),
        Arc::new(at.with_timezone("UTC")),
        texts(&|content| Some(content.model.clone())),
        texts(&|content| Some(content.keep.clone())),
        texts(&|content| content.asked.clone()),
        texts(&|content| content.answered.clone()),
        texts(&|content| Some(content.words.clone())),
        Arc::new(is_cut),
    ];
    RecordBatch::try_new(schema(), columns).map_err(unreadable)
}

/// Rows as objects, by the names of their columns.
fn objects(batches: &[RecordBatch]) -> Result<Vec<CallRow>, CarryError> {
    let mut bytes = Vec::new();
    let mut writer = arrow::json::WriterBuilder::new()
        .with_explicit_nulls(true)
        .build::<_, arrow::json::writer::LineDelimited>(&mut bytes);
    for batch in batches {
        writer.write(batch).map_err(unreadable)?;
    }
    writer.finish().map_err(unreadable)?;
    drop(writer);
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).map_err(unreadable)).collect()
}

fn first_column(batches: &[RecordBatch]) -> Vec<String> {
    let mut texts = Vec::new();
    for batch in batches {
        let column = batch.column(0).as_any().downcast_ref::<StringArray>();
        texts.extend(column.into_iter().flat_map(|column| column.iter().flatten().map(str::to_owned)));
    }
    texts
}

impl TracesInLakes {
    /// The days that there are words of, the newest first.
    fn days(&self) -> Result<Vec<i64>, CarryError> {
        let folder = fs_err::read_dir(self.contents.root()).map_err(unreadable)?;
        let names = folder.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let mut days: Vec<i64> = names.filter_map(|name| day_of_table(&name)).collect();
        days.sort_unstable_by_key(|day| std::cmp::Reverse(*day));
        Ok(days)
    }

    /// Ids of calls by what is known of them.
    async fn by_facts(&self, question: &Question) -> Result<Vec<String>, CarryError> {
        let (table, limit) = (llm_calls::TABLE, question.limit);
        let query = format!(
            "SELECT calls.call FROM {table} AS calls WHERE {} ORDER BY calls.call DESC LIMIT {limit}",
            conditions(question)
        );
        let frame = self.facts.query(&query).await.map_err(failed)?;
        let batches = frame.collect().await.map_err(|error| failed(error.into()))?;
        Ok(first_column(&batches))
    }

    /// Ids of calls of one day by their words.
    async fn by_words(&self, question: &Question, day: i64, most: usize) -> Result<Vec<String>, CarryError> {
        let words = has_phrases("words.words", &question.phrases);
        let query = if asks_for_facts(question) {
            let calls = format!(
                "SELECT calls.call FROM {} AS calls WHERE {} AND calls.at >= to_timestamp_micros({day}) \
                 AND calls.at < to_timestamp_micros({})",
                llm_calls::TABLE,
                conditions(question),
                day + DAY_US
            );
            format!(
                "SELECT words.call FROM words WHERE {words} AND words.call IN ({calls}) ORDER BY words.call DESC LIMIT {most}"
            )
        } else {
            // Words have the columns that time and place are asked of.
            let calls = conditions(question).replace("calls.", "words.");
            format!(
                "SELECT words.call FROM words WHERE {words} AND {calls} ORDER BY words.call DESC LIMIT {most}"
            )
        };
        let session = self.facts.session();
        let table = self.contents.scan(&table_of(day)).await.map_err(failed)?;
        session.register_table("words", table.into_view()).map_err(|error| failed(error.into()))?;
        let frame = self.facts.query_in(&session, &query).await.map_err(failed)?;
        let batches = frame.collect().await.map_err(|error| failed(error.into()))?;
        Ok(first_column(&batches))
    }

    /// Ids of calls by their words, and how far they were looked for if not to the end.
    async fn search(&self, question: &Question) -> Result<(Vec<String>, Option<i64>), CarryError> {
        let began = Instant::now();
        let before = question.before.as_deref().and_then(moment_of);
        let (since, until) = (question.since.map(|moment| moment.0), question.until.map(|moment| moment.0));
        let is_meant = |day: &i64| {
            since.is_none_or(|since| day + DAY_US > since)
                && until.is_none_or(|until| *day < until)
                && before.is_none_or(|before| *day <= before)
        };
        let mut found = Vec::new();
        let mut looked_at = None;
        for day in self.days()?.into_iter().filter(is_meant) {
            if let Some(looked_at) = looked_at.filter(|_| began.elapsed() > PATIENCE) {
                return Ok((found, Some(looked_at)));
            }
            match self.by_words(question, day, question.limit - found.len()).await {
                Ok(ids) => found.extend(ids),
                // It went while it was looked for.
                Err(_) if !self.contents.exists(&table_of(day)).await.map_err(failed)? => {}
                Err(error) => return Err(error),
            }
            if found.len() >= question.limit {
                break;
            }
            looked_at = Some(day);
        }
        Ok((found, None))
    }

    /// The facts of these calls, the newest first.
    async fn facts_of(&self, ids: &[String]) -> Result<Vec<CallRow>, CarryError> {
        let (Some(least), Some(greatest)) = (ids.iter().min(), ids.iter().max()) else {
            return Ok(Vec::new());
        };
        let columns: Vec<String> =
            llm_calls::COLUMNS.iter().map(|(name, _)| format!("calls.\"{name}\"")).collect();
        let list: Vec<String> = ids.iter().map(|id| quoted(id)).collect();
        let query = format!(
            "SELECT {} FROM {} AS calls WHERE calls.call BETWEEN {} AND {} AND calls.call IN ({}) ORDER BY calls.call DESC",
            columns.join(", "),
            llm_calls::TABLE,
            quoted(least),
            quoted(greatest),
            list.join(", ")
        );
        let frame = self.facts.query(&query).await.map_err(failed)?;
        let batches = frame.collect().await.map_err(|error| failed(error.into()))?;
        let mut rows = objects(&batches)?;
        for row in &mut rows {
            for name in JSON_COLUMNS {
                if let Some(value) = row.get_mut(name)
                    && let Some(text) = value.as_str()
                {
                    *value = serde_json::from_str(text).unwrap_or(Value::Null);
                }
            }
        }
        Ok(rows)
    }

    /// Joins what a day was written in.
    async fn compact(&self, table: &str, now: Timestamp) -> Result<(), LakeError> {
        let upkeep = Upkeep {
            cluster_by: Vec::new(),
            time: Some("at".to_owned()),
            retention: SHORTEST_RETENTION,
            now,
            effort: Effort::WhatPays,
        };
        if self.contents.needs_compaction(table, &upkeep).await? {
            Box::pin(self.contents.maintain(table, &upkeep)).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl TraceStore for TracesInLakes {
    async fn put(&self, contents: &[CallContent]) -> Result<(), CarryError> {
        let mut days: Vec<i64> = contents.iter().map(|content| day_of(content.at_us)).collect();
        days.sort_unstable();
        days.dedup();
        for day in days {
            let of_day: Vec<&CallContent> =
                contents.iter().filter(|content| day_of(content.at_us) == day).collect();
            let table = table_of(day);
            self.contents.ensure_table(&table, schema()).await.map_err(failed)?;
            let batch = batch(&of_day)?;
            self.contents
                .append_batches(&table, vec![batch], AppendOptions::default())
                .await
                .map_err(failed)?;
        }
        Ok(())
    }

    async fn tidy(&self, before: Option<Timestamp>, now: Timestamp) -> Result<u64, CarryError> {
        let mut gone = 0;
        for (place, day) in self.days()?.into_iter().enumerate() {
            let table = table_of(day);
            if before.is_some_and(|before| day + DAY_US <= before.0) {
                self.contents.drop_table(&table).await.map_err(failed)?;
                gone += 1;
            } else if place < 2 {
                self.compact(&table, now).await.map_err(failed)?;
            }
        }
        Ok(gone)
    }

    async fn find(&self, question: &Question) -> Result<Found, CarryError> {
        if !self.facts.exists(llm_calls::TABLE).await.map_err(failed)? {
            return Ok(Found::default());
        }
        let (ids, looked_to) = match question.phrases.is_empty() {
            true => (self.by_facts(question).await?, None),
            false => self.search(question).await?,
        };
        let next = match looked_to {
            Some(day) => Some(first_id_of(day)),
            None => ids.last().filter(|_| ids.len() >= question.limit).cloned(),
        };
        let calls = self.facts_of(&ids).await?;
        Ok(Found { calls, next, searched_since: looked_to.map(Timestamp) })
    }

    async fn call(&self, call: &str) -> Result<Option<CallRow>, CarryError> {
        if !self.facts.exists(llm_calls::TABLE).await.map_err(failed)? {
            return Ok(None);
        }
        Ok(self.facts_of(&[call.to_owned()]).await?.into_iter().next())
    }

    async fn content(&self, call: &str) -> Result<Option<CallContent>, CarryError> {
        let Some(at_us) = moment_of(call) else { return Ok(None) };
        // The id is made a moment after the call began.
        for day in [day_of(at_us), day_of(at_us - 1_000_000)] {
            let table = table_of(day);
            if !self.contents.exists(&table).await.map_err(failed)? {
                continue;
            }
            let query = format!("SELECT * FROM {table} WHERE call = {} LIMIT 1", quoted(call));
            let frame = self.contents.query(&query).await.map_err(failed)?;
            let batches = frame.collect().await.map_err(|error| failed(error.into()))?;
            if let Some(row) = objects(&batches)?.into_iter().next() {
                return Ok(Some(content_of(&row)));
            }
        }
        Ok(None)
    }
}

fn content_of(row: &CallRow) -> CallContent {
    let text = |name: &str| row.get(name).and_then(Value::as_str).map(str::to_owned);
    let at = text("at").and_then(|text| Timestamp::parse(&text).ok());
    CallContent {
        call: text("call").unwrap_or_default(),
        at_us: at.map_or(0, |at| at.0),
        model: text("model").unwrap_or_default(),
        keep: text("keep").unwrap_or_default(),
        asked: text("asked"),
        answered: text("answered"),
        words: text("words").unwrap_or_default(),
        is_cut: row.get("is_cut").and_then(Value::as_bool).unwrap_or(false),
    }
}

#[cfg(test)]
mod tests {
    use shipway_lake::LakeOptions;

    use super::*;

    #[test]
    fn a_day_has_a_table_and_a_call_says_its_day() {
        let noon = 1_796_040_000_000_000;
        let day = day_of(noon);
        assert_eq!(table_of(day), "day_20261130");
        assert_eq!(day_of_table("day_20261130"), Some(day));
        for other in ["day_2026113", "day_20261399", "day_", "words", ".dropped-1", "day_2026\u{e4}30"] {
            assert_eq!(day_of_table(other), None, "{other}");
        }
        let id = first_id_of(noon);
        assert_eq!((id.len(), moment_of(&id)), (32, Some(noon)));
        assert!(first_id_of(noon - 1_000) < id && moment_of("zz").is_none());
    }

    fn content(call: &str, at_us: i64, words: &str) -> CallContent {
        CallContent {
            call: call.to_owned(),
            at_us,
            model: "chat".to_owned(),
            keep: "full".to_owned(),
            asked: Some("[]".to_owned()),
            answered: None,
            words: words.to_owned(),
            is_cut: true,
        }
    }

    #[tokio::test]
    async fn words_are_kept_by_days_found_and_taken_out() {
        let folder = tempfile::TempDir::new().unwrap();
        let open = |name: &str| Lake::open(LakeOptions::new(folder.path().join(name))).unwrap();
        let store = TracesInLakes { facts: open("facts"), contents: open("contents") };
        let noon = 1_796_040_000_000_000;
        let (old, new) = (
            content(&first_id_of(noon - DAY_US), noon - DAY_US, " late arrival "),
            content(&first_id_of(noon), noon, " late "),
        );
        store.put(&[old.clone(), new.clone()]).await.unwrap();
        assert_eq!(store.content(&old.call).await.unwrap(), Some(old.clone()));
        assert_eq!(store.content(&first_id_of(0)).await.unwrap(), None);
        let asked = |phrase: &str, limit: usize| Question {
            phrases: vec![phrase.to_owned()],
            limit,
            ..Question::default()
        };
        assert_eq!(
            store.search(&asked(" late ", 5)).await.unwrap(),
            (vec![new.call.clone(), old.call.clone()], None)
        );
        assert_eq!(store.search(&asked(" late ", 1)).await.unwrap(), (vec![new.call.clone()], None));
        let behind = Question { before: Some(new.call.clone()), ..asked(" late ", 5) };
        assert_eq!(store.search(&behind).await.unwrap().0, std::slice::from_ref(&old.call));
        let today = Question { since: Some(Timestamp(noon - 1)), ..asked(" late ", 5) };
        assert_eq!(store.search(&today).await.unwrap().0, std::slice::from_ref(&new.call));
        assert_eq!(store.search(&asked(" arrival ", 5)).await.unwrap().0, std::slice::from_ref(&old.call));
        assert_eq!(store.tidy(Some(Timestamp(noon)), Timestamp(noon)).await.unwrap(), 1);
        assert_eq!(store.content(&old.call).await.unwrap(), None);
        assert_eq!(store.search(&asked(" late ", 5)).await.unwrap().0, [new.call]);
    }
}
