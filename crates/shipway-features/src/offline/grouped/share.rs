//! One share of a view: its events sorted by key and time, and every feature answered for its rows.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array};
use shipway_aggregate::{
    AggregationError, RangeAnswers, RangeColumn, Ranges, Window, answer_ranges, newest_of_ranges,
};
use shipway_core::{DataType, Timestamp};

use super::{
    super::{
        aggregates::FeatureError,
        view_plan::{PlannedBody, PlannedFeature, ViewPlan},
    },
    cells::{Cells, nulls},
    directory::ShareRows,
    general,
    intake::Chunk,
};

/// The events of a share, sorted by key, time and event id.
pub(super) struct Events {
    /// For each key where its events begin; one more for the end of the last.
    pub(super) starts: Vec<u32>,
    pub(super) times: Vec<i64>,
    /// As the view's inputs.
    pub(super) inputs: Vec<Cells>,
    /// Where they decide something.
    pub(super) event_ids: Option<Cells>,
}

/// The answers of the view's outputs for the rows of the share, in their order.
pub(super) fn answer(
    view: &ViewPlan,
    rows: &ShareRows,
    chunks: Vec<Chunk>,
) -> Result<Vec<ArrayRef>, FeatureError> {
    let events = Events::sorted(view, rows.starts.len().saturating_sub(1), chunks);
    let to = ends(rows, &events);
    match &view.body {
        PlannedBody::Latest { ttl_us, columns } => {
            // Columns of one ttl show one row.
            let mut known = Vec::new();
            let shown = columns.iter().map(|column| {
                let ttl_us = column.ttl_us.or(*ttl_us);
                let at = known.iter().position(|(held, _)| *held == ttl_us).unwrap_or_else(|| {
                    let earliest = |q: i64| ttl_us.map_or(i64::MIN, |ttl_us| q.saturating_sub(ttl_us));
                    let from = begins(rows, &events, &to, earliest);
                    known.push((ttl_us, newest_of_ranges(Ranges { from: &from, to: &to })));
                    known.len() - 1
                });
                events.inputs[column.input].picked(&known[at].1)
            });
            Ok(shown.collect())
        }
        PlannedBody::Aggregates(features) => aggregates(features, rows, &events, &to),
        PlannedBody::Label(_) => Err((0, AggregationError::Foreign)),
    }
}

fn aggregates(
    features: &[PlannedFeature],
    rows: &ShareRows,
    events: &Events,
    to: &[u32],
) -> Result<Vec<ArrayRef>, FeatureError> {
    let columns: Vec<RangeColumn<'_>> = events.inputs.iter().map(Cells::as_ranges).collect();
    let mut begun: Vec<(Window, Vec<u32>)> = Vec::new();
    let mut answers = Vec::with_capacity(features.len());
    for (index, feature) in features.iter().enumerate() {
        let known = begun.iter().position(|(window, _)| *window == feature.window);
        let known = known.unwrap_or_else(|| {
            let tail = |q: i64| feature.window.tail(Timestamp(q)).map_or(i64::MIN, Timestamp::micros);
            begun.push((feature.window, begins(rows, events, to, tail)));
            begun.len() - 1
        });
        let ranges = Ranges { from: &begun[known].1, to };
        let column = feature.input.map(|input| &columns[input]);
        let answered = answer_ranges(&feature.aggregation, column, ranges).map_err(|error| (index, error))?;
        answers.push(match answered {
            Some(answered) => array_of(feature, answered, events),
            None => general::answer(feature, rows, events, ranges).map_err(|error| (index, error))?,
        });
    }
    Ok(answers)
}

fn array_of(feature: &PlannedFeature, answers: RangeAnswers, events: &Events) -> ArrayRef {
    match answers {
        RangeAnswers::Counts(counts) => Arc::new(Int64Array::from(counts)),
        RangeAnswers::Ints(values, present) => Arc::new(Int64Array::new(values.into(), nulls(present))),
        RangeAnswers::Floats(values, present) => Arc::new(Float64Array::new(values.into(), nulls(present))),
        RangeAnswers::Picks(picks) => match feature.input {
            Some(input) => events.inputs[input].picked(&picks),
            None => Cells::new(DataType::Int).picked(&picks),
        },
    }
}

impl Events {
    fn sorted(view: &ViewPlan, keys: usize, chunks: Vec<Chunk>) -> Self {
        let types = view.inputs.iter().map(|(_, data_type)| *data_type);
        let mut cells: Vec<Cells> =
            types.chain(view.needs_event_id().then_some(DataType::Text)).map(Cells::new).collect();
        let events: usize = chunks.iter().map(|chunk| chunk.keys.len()).sum();
        let (mut key_of, mut times) = (Vec::with_capacity(events), Vec::with_capacity(events));
        for chunk in chunks {
            key_of.extend(&chunk.keys);
            times.extend(&chunk.times);
            cells.iter_mut().zip(&chunk.cells).for_each(|(all, part)| all.append(part));
        }
        let (starts, mut order) = grouped(keys, &key_of);
        drop(key_of);
        let ids = view.needs_event_id().then(|| cells.last()).flatten();
        for of_key in starts.windows(2) {
            let of_key = &mut order[of_key[0] as usize..of_key[1] as usize];
            let place = |at: &u32| (times[*at as usize], ids.map(|ids| ids.text(*at as usize)));
            if !of_key.is_sorted_by_key(place) {
                of_key.sort_by(|left, right| place(left).cmp(&place(right)));
            }
        }
        let mut inputs: Vec<Cells> = cells.iter().map(|cells| cells.permuted(&order)).collect();
        let event_ids = if view.needs_event_id() { inputs.pop() } else { None };
        let times = order.iter().map(|at| times[*at as usize]).collect();
        Self { starts, times, inputs, event_ids }
    }
}

/// Where the events of each key begin, and the events key by key in the order in which they came.
fn grouped(keys: usize, key_of: &[u32]) -> (Vec<u32>, Vec<u32>) {
    let mut starts = vec![0_u32; keys + 1];
    key_of.iter().for_each(|key| starts[*key as usize + 1] += 1);
    for key in 0..keys {
        starts[key + 1] += starts[key];
    }
    let mut next = starts.clone();
    let mut order = vec![0_u32; key_of.len()];
    for (at, key) in (0..).zip(key_of) {
        let place = &mut next[*key as usize];
        order[*place as usize] = at;
        *place += 1;
    }
    (starts, order)
}

/// For each row the end of the events of its key that lie before it.
fn ends(rows: &ShareRows, events: &Events) -> Vec<u32> {
    let mut to = Vec::with_capacity(rows.times.len());
    for (of_rows, of_events) in rows.starts.windows(2).zip(events.starts.windows(2)) {
        let mut event = of_events[0];
        for q in &rows.times[of_rows[0] as usize..of_rows[1] as usize] {
            while event < of_events[1] && events.times[event as usize] < *q {
                event += 1;
            }
            to.push(event);
        }
    }
    to
}

/// For each row the first of the events before it that is not earlier than `tail` says of its moment.
fn begins(rows: &ShareRows, events: &Events, to: &[u32], tail: impl Fn(i64) -> i64) -> Vec<u32> {
    let mut from = Vec::with_capacity(to.len());
    for (of_rows, of_events) in rows.starts.windows(2).zip(events.starts.windows(2)) {
        let mut event = of_events[0];
        let of_key = of_rows[0] as usize..of_rows[1] as usize;
        for (q, end) in rows.times[of_key.clone()].iter().zip(&to[of_key]) {
            let earliest = tail(*q);
            while event < *end && events.times[event as usize] < earliest {
                event += 1;
            }
            from.push(event);
        }
    }
    from
}
