//! Rows that ask for several entities, put together again: a list where the entity decides the value, one value elsewhere.

use std::collections::BTreeMap;

use serde::Serialize;
use shipway_core::{Digest, Name, Timestamp, Value};

use crate::read::{
    plan::ReadPlan,
    rows::EntityList,
    service::{AnsweredRow, ReadAnswer, ViewFreshness},
};

/// An answer, some of whose rows hold lists.
#[derive(Debug, Serialize)]
pub(crate) struct ListedAnswer {
    service: Name,
    service_hash: Digest,
    at: Timestamp,
    columns: Vec<String>,
    rows: Vec<ListedRow>,
    watermarks: BTreeMap<String, u64>,
}

#[derive(Debug, Serialize)]
struct ListedRow {
    values: Vec<Cell>,
    views: Vec<Freshness>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Cell {
    One(Value),
    Each(Vec<Value>),
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Freshness {
    One(ViewFreshness),
    /// Each entity's, in the order of the list.
    Each {
        view: Name,
        event_time: Vec<Option<Timestamp>>,
        age_us: Vec<Option<i64>>,
        fresh: Vec<bool>,
    },
}

/// The answer to the rows as they were asked. `lists` says which rows of `answer` belong together.
pub(crate) fn together(plan: &ReadPlan, answer: ReadAnswer, lists: &[Option<EntityList>]) -> ListedAnswer {
    let ReadAnswer { service, service_hash, at, columns, rows, watermarks } = answer;
    let mut rest = rows.into_iter();
    let rows = lists.iter().map(|list| match list {
        None => ListedRow::from(rest.next()),
        Some(list) => {
            let entities: Vec<AnsweredRow> = rest.by_ref().take(list.entities.max(1)).collect();
            one_row(plan, list, entities)
        }
    });
    let rows = rows.collect();
    ListedAnswer { service, service_hash, at, columns: columns.to_vec(), rows, watermarks }
}

impl From<Option<AnsweredRow>> for ListedRow {
    fn from(row: Option<AnsweredRow>) -> Self {
        let AnsweredRow { values, views } = row.unwrap_or(AnsweredRow { values: vec![], views: vec![] });
        Self {
            values: values.into_iter().map(Cell::One).collect(),
            views: views.into_iter().map(Freshness::One).collect(),
        }
    }
}

fn one_row(plan: &ReadPlan, list: &EntityList, mut entities: Vec<AnsweredRow>) -> ListedRow {
    let is_listed: Vec<bool> =
        plan.views.iter().map(|view| view.key.iter().any(|key| list.keys.contains(key))).collect();
    // Features first, then what came with the request; what is computed from them may depend on the entity.
    let features = plan.views.iter().zip(&is_listed);
    let by_column = features
        .flat_map(|(view, is_listed)| view.features.iter().map(|_| *is_listed))
        .chain(plan.request.iter().map(|_| false))
        .chain(std::iter::repeat(true));
    let value = |(column, is_listed): (usize, bool)| {
        let take = |row: &mut AnsweredRow| {
            row.values.get_mut(column).map_or(Value::Null, |value| std::mem::replace(value, Value::Null))
        };
        if is_listed {
            Cell::Each(entities.iter_mut().take(list.entities).map(take).collect())
        } else {
            Cell::One(entities.first_mut().map_or(Value::Null, take))
        }
    };
    let values = (0..plan.columns.len()).zip(by_column).map(value).collect();
    let view = |(position, is_listed): (usize, &bool)| {
        let all = || entities.iter().take(list.entities).filter_map(|row| row.views.get(position));
        if *is_listed {
            Freshness::Each {
                view: plan.views[position].name.clone(),
                event_time: all().map(|freshness| freshness.event_time).collect(),
                age_us: all().map(|freshness| freshness.age_us).collect(),
                fresh: all().map(|freshness| freshness.fresh).collect(),
            }
        } else {
            let first = entities.first().and_then(|row| row.views.get(position)).cloned();
            Freshness::One(first.unwrap_or(ViewFreshness {
                view: plan.views[position].name.clone(),
                event_time: None,
                age_us: None,
                fresh: false,
            }))
        }
    };
    ListedRow { views: is_listed.iter().enumerate().map(view).collect(), values }
}
