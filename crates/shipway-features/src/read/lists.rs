//! Rows that ask for several entities, put together again: a list where the entity decides the value, one value elsewhere.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Serialize, Serializer};
use shipway_core::{DataType, Digest, Name, Timestamp, Value};

use crate::read::{
    columns::Columns,
    plan::ReadPlan,
    rows::EntityList,
    service::{AnswerHead, AnsweredRow, ReadAnswer, ViewFreshness, as_sequence},
};

/// An answer, some of whose rows hold lists.
#[derive(Debug, Serialize)]
pub(crate) struct ListedAnswer {
    service: Name,
    service_hash: Digest,
    at: Timestamp,
    pub(crate) columns: Columns,
    #[serde(serialize_with = "as_sequence")]
    types: Arc<[DataType]>,
    pub(crate) rows: Vec<ListedRow>,
    watermarks: BTreeMap<String, u64>,
}

/// One row of the request.
#[derive(Debug, Serialize)]
pub(crate) struct ListedRow {
    /// As the columns.
    pub(crate) values: Vec<Cell<Value>>,
    /// As the views.
    pub(crate) views: Vec<ListedFreshness>,
}

/// What one row has in one place.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Cell<T> {
    One(T),
    /// Each entity's, in the order of the list.
    Each(Vec<T>),
}

/// How fresh one view is for the entities of one row.
#[derive(Debug)]
pub(crate) struct ListedFreshness {
    view: Name,
    pub(crate) cell: Cell<ViewFreshness>,
}

impl<T> Cell<T> {
    /// What is in it: one thing where the row lists nothing.
    pub(crate) fn items(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Each(each) => each,
        }
    }
}

impl ListedAnswer {
    /// What belongs to the whole answer.
    pub(crate) fn head(&self) -> AnswerHead<'_> {
        let (service, service_hash) = (&self.service, self.service_hash);
        AnswerHead { service, service_hash, at: self.at, watermarks: &self.watermarks }
    }
}

/// One object for each view; its members are lists where the entity decides.
impl Serialize for ListedFreshness {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Each<'a> {
            view: &'a Name,
            event_time: Vec<Option<Timestamp>>,
            age_us: Vec<Option<i64>>,
            fresh: Vec<bool>,
            #[serde(skip_serializing_if = "is_empty_of_all")]
            stale_features: Vec<&'a [Name]>,
        }
        match &self.cell {
            Cell::One(one) => one.serialize(serializer),
            Cell::Each(each) => Each {
                view: &self.view,
                event_time: each.iter().map(|held| held.event_time).collect(),
                age_us: each.iter().map(|held| held.age_us).collect(),
                fresh: each.iter().map(|held| held.fresh).collect(),
                stale_features: each.iter().map(|held| held.stale_features.as_slice()).collect(),
            }
            .serialize(serializer),
        }
    }
}

fn is_empty_of_all(lists: &[&[Name]]) -> bool {
    lists.iter().all(|list| list.is_empty())
}

/// The answer to the rows as they were asked. `lists` says which rows of `answer` belong together.
pub(crate) fn together(plan: &ReadPlan, answer: ReadAnswer, lists: &[Option<EntityList>]) -> ListedAnswer {
    let ReadAnswer { service, service_hash, at, columns, types, rows, watermarks } = answer;
    let mut rest = rows.into_iter();
    let rows = lists.iter().map(|list| match list {
        None => ListedRow::from(rest.next()),
        Some(list) => {
            let entities: Vec<AnsweredRow> = rest.by_ref().take(list.entities.max(1)).collect();
            one_row(plan, list, entities)
        }
    });
    let rows = rows.collect();
    ListedAnswer { service, service_hash, at, columns, types, rows, watermarks }
}

impl From<Option<AnsweredRow>> for ListedRow {
    fn from(row: Option<AnsweredRow>) -> Self {
        let AnsweredRow { values, views } = row.unwrap_or(AnsweredRow { values: vec![], views: vec![] });
        let freshness =
            |held: ViewFreshness| ListedFreshness { view: held.view.clone(), cell: Cell::One(held) };
        Self {
            values: values.into_iter().map(Cell::One).collect(),
            views: views.into_iter().map(freshness).collect(),
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
        let view = plan.views[position].name.clone();
        let all = || entities.iter().filter_map(|row| row.views.get(position)).cloned();
        let cell = if *is_listed {
            Cell::Each(all().take(list.entities).collect())
        } else {
            let none = || ViewFreshness {
                view: view.clone(),
                event_time: None,
                age_us: None,
                fresh: false,
                stale_features: Vec::new(),
            };
            Cell::One(all().next().unwrap_or_else(none))
        };
        ListedFreshness { view, cell }
    };
    ListedRow { views: is_listed.iter().enumerate().map(view).collect(), values }
}
