//! An answer on the wire: columns of values, and how fresh each view is.

use shipway_core::{DataType, Timestamp, Value};

use super::{
    v1::{self, value::Kind},
    value,
};
use crate::read::{
    ReadPlan,
    lists::{self, Cell, ListedFreshness},
    rows::EntityList,
    service::{ReadAnswer, ViewFreshness},
};

/// The answer to the rows as they were asked; `lists` says which rows of `answer` belong together, if any do.
pub(super) fn response(
    plan: &ReadPlan,
    answer: ReadAnswer,
    lists: Option<&[Option<EntityList>]>,
) -> v1::ReadResponse {
    let mut response = v1::ReadResponse {
        service: answer.service.to_string(),
        service_hash: answer.service_hash.to_string(),
        at_us: answer.at.micros(),
        columns: Vec::new(),
        views: Vec::new(),
        watermarks: answer.watermarks.iter().map(|(source, offset)| (source.clone(), *offset)).collect(),
    };
    let Some(lists) = lists else {
        response.columns = columns(plan, |position| {
            answer.rows.iter().filter_map(|row| row.values.get(position)).map(value::write).collect()
        });
        response.views = views(plan, |position| {
            answer.rows.iter().filter_map(|row| row.views.get(position)).map(freshness).collect()
        });
        return response;
    };
    let listed = lists::together(plan, answer, lists);
    response.columns = columns(plan, |position| {
        listed.rows.iter().filter_map(|row| row.values.get(position)).map(cell).collect()
    });
    response.views = views(plan, |position| {
        listed.rows.iter().filter_map(|row| row.views.get(position)).map(listed_freshness).collect()
    });
    response
}

fn cell(cell: &Cell<Value>) -> v1::Value {
    match cell {
        Cell::One(one) => value::write(one),
        Cell::Each(each) => {
            let values = each.iter().map(value::write).collect();
            v1::Value { kind: Some(Kind::List(v1::List { values })) }
        }
    }
}

fn listed_freshness(held: &ListedFreshness) -> v1::Freshness {
    match &held.cell {
        Cell::One(one) => freshness(one),
        Cell::Each(each) => {
            v1::Freshness { entities: each.iter().map(freshness).collect(), ..Default::default() }
        }
    }
}

fn columns(plan: &ReadPlan, values: impl Fn(usize) -> Vec<v1::Value>) -> Vec<v1::Column> {
    let named = plan.columns.iter().zip(plan.types.iter()).enumerate();
    named
        .map(|(position, (name, data_type))| v1::Column {
            name: name.clone(),
            values: values(position),
            r#type: DataType::to_string(data_type),
        })
        .collect()
}

fn views(plan: &ReadPlan, rows: impl Fn(usize) -> Vec<v1::Freshness>) -> Vec<v1::ViewFreshness> {
    let named = plan.views.iter().enumerate();
    named
        .map(|(position, view)| v1::ViewFreshness { view: view.name.to_string(), rows: rows(position) })
        .collect()
}

fn freshness(held: &ViewFreshness) -> v1::Freshness {
    v1::Freshness {
        event_time_us: held.event_time.map(Timestamp::micros),
        age_us: held.age_us,
        fresh: held.fresh,
        stale_features: held.stale_features.iter().map(ToString::to_string).collect(),
        entities: Vec::new(),
    }
}
