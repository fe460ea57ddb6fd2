//! The merge of spine rows and events, both sorted by (key hash, time): each row is answered from the events before it.
//!
//! One pass, no look-back: what is held is the present batch of either side and the states of the keys that share the
//! present hash. Events that no window can reach any more, and those of keys without rows, are skipped by binary search.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, BinaryArray, RecordBatch, StringArray, UInt64Array},
    buffer::ScalarBuffer,
    datatypes::{Decimal128Type, Int64Type, UInt64Type},
};
use datafusion::error::DataFusionError;
use shipway_aggregate::AggregationError;
use shipway_core::Value;

use super::{
    OfflineError,
    aggregates::{AggregateState, FeatureError, SweptEvent, Tails},
    column::{Column, ColumnBuilder},
    events::{EventColumns, STILL_COUNTS},
    keys::{hash_of, order_of, time_of},
    labels::LabelState,
    latest::LatestState,
    spine_rows::row_column,
    view_plan::{PlannedBody, ViewPlan},
};

/// A batch of spine rows and the place in it.
struct Rows {
    order: ScalarBuffer<i128>,
    position: ScalarBuffer<u64>,
    key: BinaryArray,
    watermark: Option<ScalarBuffer<i64>>,
    next: usize,
}

/// A batch of events and the place in it.
struct Events {
    order: ScalarBuffer<i128>,
    key: BinaryArray,
    event_id: Option<StringArray>,
    arrival: Option<ScalarBuffer<u64>>,
    until: Option<ScalarBuffer<u64>>,
    inputs: Vec<Column>,
    next: usize,
}

/// What the sweep needs to go on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The next batch of spine rows.
    NeedsRows,
    /// The next batch of events.
    NeedsEvents,
    /// A batch of answers is full; take it.
    Full,
    /// Every row is answered; take the last batch.
    Done,
}

/// The sweep over one partition of one view.
pub(crate) struct Sweep {
    view: Arc<ViewPlan>,
    columns: EventColumns,
    /// Where rows have watermarks, the lowest of them.
    always_arrived: Option<u64>,
    batch_rows: usize,
    rows: Option<Rows>,
    events: Option<Events>,
    rows_ended: bool,
    events_ended: bool,
    /// The keys of the present hash that had events. One, unless keys share a hash.
    group: Vec<(Box<[u8]>, KeyState)>,
    group_hash: u64,
    /// The tails at the order of the row that they were computed for.
    tails: Tails,
    tails_of: Option<i128>,
    scratch: Vec<Value>,
    positions: Vec<u64>,
    outputs: Vec<ColumnBuilder>,
    /// The values of a key without events.
    without_events: Vec<Value>,
}

enum KeyState {
    Aggregates(AggregateState),
    Latest(LatestState),
    Label(LabelState),
}

impl Sweep {
    pub(crate) fn new(
        view: Arc<ViewPlan>,
        columns: EventColumns,
        always_arrived: Option<u64>,
        batch_rows: usize,
    ) -> Result<Self, OfflineError> {
        let outputs = view.outputs.iter().map(|(_, data_type)| ColumnBuilder::new(*data_type, batch_rows));
        let outputs = outputs.collect();
        let without_events = match &view.body {
            PlannedBody::Latest { columns, .. } => vec![Value::Null; columns.len()],
            PlannedBody::Label(label) => {
                let empty = label.aggregation.finalise(&label.aggregation.empty());
                vec![empty.map_err(|error| failed(&view, (0, error)))?]
            }
            PlannedBody::Aggregates(features) => {
                let empty =
                    features.iter().map(|feature| feature.aggregation.finalise(&feature.aggregation.empty()));
                let empty = empty.enumerate().map(|(index, value)| value.map_err(|error| (index, error)));
                empty.collect::<Result<_, _>>().map_err(|error| failed(&view, error))?
            }
        };
        Ok(Self {
            view,
            columns,
            always_arrived,
            batch_rows,
            rows: None,
            events: None,
            rows_ended: false,
            events_ended: false,
            group: Vec::new(),
            group_hash: 0,
            tails: Tails::default(),
            tails_of: None,
            scratch: Vec::new(),
            positions: Vec::with_capacity(batch_rows),
            outputs,
            without_events,
        })
    }

    /// Gives the next batch of spine rows; `None` after the last.
    pub(crate) fn give_rows(&mut self, batch: Option<RecordBatch>) {
        self.rows_ended = batch.is_none();
        self.rows = batch.map(|batch| Rows {
            order: batch.column(row_column::ORDER).as_primitive::<Decimal128Type>().values().clone(),
            position: batch.column(row_column::POSITION).as_primitive::<UInt64Type>().values().clone(),
            key: batch.column(row_column::KEY).as_binary().clone(),
            watermark: (batch.num_columns() > row_column::WATERMARK)
                .then(|| batch.column(row_column::WATERMARK).as_primitive::<Int64Type>().values().clone()),
            next: 0,
        });
    }

    /// Gives the next batch of events; `None` after the last.
    pub(crate) fn give_events(&mut self, batch: Option<RecordBatch>) -> Result<(), DataFusionError> {
        self.events_ended = batch.is_none();
        let Some(batch) = batch else {
            self.events = None;
            return Ok(());
        };
        let columns = self.columns;
        let numbers = |index| batch.column(index).as_primitive::<UInt64Type>().values().clone();
        let inputs = self.view.inputs.iter().zip(&batch.columns()[columns.first_input..]);
        let inputs = inputs.map(|((_, data_type), array)| Column::read(array, *data_type));
        self.events = Some(Events {
            order: batch.column(columns.order).as_primitive::<Decimal128Type>().values().clone(),
            key: batch.column(columns.key).as_binary().clone(),
            event_id: columns.event_id.map(|index| batch.column(index).as_string().clone()),
            arrival: columns.arrival.map(numbers),
            until: columns.until.map(numbers),
            inputs: inputs.collect::<Result<_, _>>()?,
            next: 0,
        });
        Ok(())
    }

    /// Goes on until something is needed.
    pub(crate) fn advance(&mut self) -> Result<Step, OfflineError> {
        let (mut rows, mut events) = (self.rows.take(), self.events.take());
        let step = self.advance_over(&mut rows, &mut events);
        self.rows = rows;
        self.events = events;
        step.map_err(|error| failed(&self.view, error))
    }

    fn advance_over(
        &mut self,
        rows: &mut Option<Rows>,
        events: &mut Option<Events>,
    ) -> Result<Step, FeatureError> {
        loop {
            if self.positions.len() >= self.batch_rows {
                return Ok(Step::Full);
            }
            let Some(present) = rows.as_mut().filter(|rows| rows.next < rows.order.len()) else {
                return Ok(if self.rows_ended { Step::Done } else { Step::NeedsRows });
            };
            let row_order = present.order[present.next];
            if let Some(events) = events.as_mut().filter(|events| events.next < events.order.len()) {
                if events.order[events.next] < row_order {
                    self.take_events_before(row_order, events)?;
                    continue;
                }
            } else if !self.events_ended {
                return Ok(Step::NeedsEvents);
            }
            self.answer(present)?;
            present.next += 1;
        }
    }

    /// Takes in the events of this batch that lie before the row.
    fn take_events_before(&mut self, row_order: i128, events: &mut Events) -> Result<(), FeatureError> {
        let (hash, q) = (hash_of(row_order), time_of(row_order));
        self.look_at(row_order);
        let earliest = match &self.view.body {
            PlannedBody::Aggregates(_) => self.tails.earliest(),
            PlannedBody::Latest { ttl_us, .. } => ttl_us.map_or(i64::MIN, |ttl_us| q.saturating_sub(ttl_us)),
            PlannedBody::Label(label) => q.saturating_sub(label.length.micros()),
        };
        let reach = order_of(hash, earliest);
        if events.order[events.next] < reach {
            let rest = &events.order[events.next..];
            events.next += rest.partition_point(|order| *order < reach);
        }
        while events.next < events.order.len() && events.order[events.next] < row_order {
            self.take_event(events, hash)?;
            events.next += 1;
        }
        Ok(())
    }

    /// Makes the tails and the group those of the row at `row_order`.
    fn look_at(&mut self, row_order: i128) {
        if self.tails_of == Some(row_order) {
            return;
        }
        let hash = hash_of(row_order);
        if self.tails_of.is_none() || hash != self.group_hash {
            self.group.clear();
            self.group_hash = hash;
        }
        if let PlannedBody::Aggregates(features) = &self.view.body {
            self.tails.set(features, time_of(row_order));
        }
        self.tails_of = Some(row_order);
    }

    fn take_event(&mut self, events: &Events, hash: u64) -> Result<(), FeatureError> {
        let row = events.next;
        let key = events.key.value(row);
        let order = events.order[row];
        debug_assert_eq!(hash_of(order), hash, "events of another hash are skipped");
        self.scratch.clear();
        self.scratch.extend(events.inputs.iter().map(|column| column.value(row)));
        let event = SweptEvent {
            time: time_of(order),
            event_id: events
                .event_id
                .as_ref()
                .map_or("", |ids| if ids.is_null(row) { "" } else { ids.value(row) }),
            arrival: events.arrival.as_ref().map_or(0, |arrivals| arrivals[row]),
            until: events.until.as_ref().map_or(STILL_COUNTS, |ends| ends[row]),
            values: &self.scratch,
        };
        let place = match self.group.iter().position(|(held, _)| held.as_ref() == key) {
            Some(place) => place,
            None => {
                let state = match &self.view.body {
                    PlannedBody::Aggregates(features) => {
                        let failure = self.view.failure;
                        KeyState::Aggregates(AggregateState::new(features, self.always_arrived, failure))
                    }
                    PlannedBody::Latest { .. } => KeyState::Latest(LatestState::default()),
                    PlannedBody::Label(label) => KeyState::Label(LabelState::new(label)),
                };
                self.group.push((key.into(), state));
                self.group.len() - 1
            }
        };
        match (&mut self.group[place].1, &self.view.body) {
            (KeyState::Aggregates(state), PlannedBody::Aggregates(features)) => {
                state.push(features, &self.tails, event)
            }
            (KeyState::Latest(state), _) => {
                state.push(event, self.always_arrived.unwrap_or(u64::MAX));
                Ok(())
            }
            (KeyState::Label(state), PlannedBody::Label(label)) => state.push(label, event),
            (KeyState::Aggregates(_) | KeyState::Label(_), _) => Err((0, AggregationError::Foreign)),
        }
    }

    fn answer(&mut self, rows: &Rows) -> Result<(), FeatureError> {
        let row = rows.next;
        let row_order = rows.order[row];
        self.look_at(row_order);
        self.positions.push(rows.position[row]);
        if rows.key.is_null(row) {
            self.outputs.iter_mut().for_each(ColumnBuilder::append_null);
            return Ok(());
        }
        let key = rows.key.value(row);
        let watermark =
            rows.watermark.as_ref().map_or(u64::MAX, |watermarks| watermarks[row].max(0).cast_unsigned());
        let q = time_of(row_order);
        let Self { group, outputs, tails, view, without_events, .. } = self;
        let state = group.iter_mut().find(|(held, _)| held.as_ref() == key).map(|(_, state)| state);
        let mut fits = true;
        match (state, &view.body) {
            (Some(KeyState::Aggregates(state)), PlannedBody::Aggregates(features)) => {
                state.answer(features, tails, (q, watermark), |output, value| {
                    fits &= outputs[output].append(&value)
                })?;
            }
            (Some(KeyState::Label(state)), PlannedBody::Label(_)) => {
                fits &= outputs[0].append(&state.at(q)?);
            }
            (Some(KeyState::Latest(state)), PlannedBody::Latest { ttl_us, columns }) => {
                match state.at(q, watermark, *ttl_us) {
                    Some((time, values)) => {
                        let age_us = q.saturating_sub(time);
                        for (output, column) in outputs.iter_mut().zip(columns) {
                            let counts = column.ttl_us.is_none_or(|ttl_us| age_us <= ttl_us);
                            fits &= output.append(if counts { &values[column.input] } else { &Value::Null });
                        }
                    }
                    None => outputs.iter_mut().for_each(ColumnBuilder::append_null),
                }
            }
            _ => {
                for (output, value) in outputs.iter_mut().zip(without_events) {
                    fits &= output.append(value);
                }
            }
        }
        if fits { Ok(()) } else { Err((0, AggregationError::Foreign)) }
    }

    /// The answers so far: position, then the view's columns.
    pub(crate) fn take_answers(&mut self) -> Vec<ArrayRef> {
        let positions = std::mem::replace(&mut self.positions, Vec::with_capacity(self.batch_rows));
        let positions: ArrayRef = Arc::new(UInt64Array::from(positions));
        std::iter::once(positions).chain(self.outputs.iter_mut().map(ColumnBuilder::finish)).collect()
    }

    /// Whether no answers wait to be taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }
}

fn failed(view: &ViewPlan, (output, source): FeatureError) -> OfflineError {
    OfflineError::Feature { feature: view.reference(output), source }
}
