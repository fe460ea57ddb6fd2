//! The sliding windows of one key, for views of windowed aggregates.
//!
//! Where every event counts, this is one [`SlidingWindow`] for each feature. Where each spine row has its own watermark,
//! a row must not see the events that arrived later, although they may lie before its query time. Such events are few
//! and near the head: usually watermarks rise with query times. So the windows take in the events, in the order of time,
//! only up to the first that has not arrived for the present row; what follows waits. A row reads the windows, or a copy
//! with the waiting events that have arrived for it. Should a row's watermark be lower than that of an event already
//! taken in, the row is answered from windows that hold only the events that had arrived for every row of the spine,
//! and the rest is added from the events themselves. An event that is taken away for some rows (`until`) is never in the
//! windows: it is added to a copy for the rows that it counts for. Every way is exact.

use std::{collections::VecDeque, sync::Arc};

use shipway_aggregate::{AggregationError, EventOrder, SlidingWindow};
use shipway_core::{Timestamp, Value};

use super::{
    events::STILL_COUNTS,
    view_plan::{Failure, PlannedFeature},
};

/// An event as the sweep meets it. `values` are those of the view's inputs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SweptEvent<'a> {
    pub(crate) time: i64,
    pub(crate) event_id: &'a str,
    pub(crate) arrival: u64,
    /// The arrival of what takes it away.
    pub(crate) until: u64,
    pub(crate) values: &'a [Value],
}

impl SweptEvent<'_> {
    /// Whether it is taken away for some row that asks at or above `lowest`, and counts for another.
    fn is_passing(&self, lowest: u64) -> bool {
        self.until >= lowest && self.until != STILL_COUNTS
    }
}

/// A value could not be given: which feature, and why.
pub(crate) type FeatureError = (usize, AggregationError);

/// For each feature, the earliest event time inside its window at some query time.
#[derive(Debug, Default)]
pub(crate) struct Tails(Vec<i64>);

impl Tails {
    pub(crate) fn set(&mut self, features: &[PlannedFeature], q: i64) {
        self.0.clear();
        let tail =
            |feature: &PlannedFeature| feature.window.tail(Timestamp(q)).map_or(i64::MIN, Timestamp::micros);
        self.0.extend(features.iter().map(tail));
    }

    /// The earliest time that matters to any feature.
    pub(crate) fn earliest(&self) -> i64 {
        self.0.iter().copied().min().unwrap_or(i64::MAX)
    }
}

/// One window for each feature of a view.
#[derive(Debug, Clone)]
struct Windows(Vec<SlidingWindow>, Failure);

impl Windows {
    fn new(features: &[PlannedFeature], failure: Failure) -> Self {
        let windows = features.iter().map(|feature| SlidingWindow::new(feature.aggregation, feature.window));
        Self(windows.collect(), failure)
    }

    /// Adds an event to the windows that still hold its time at the query time of `tails`; query times never go back,
    /// so no later row misses it elsewhere.
    fn push(
        &mut self,
        features: &[PlannedFeature],
        tails: &Tails,
        event: SweptEvent<'_>,
    ) -> Result<(), FeatureError> {
        let at = EventOrder { time: Timestamp(event.time), event_id: event.event_id };
        for (index, (window, feature)) in self.0.iter_mut().zip(features).enumerate() {
            if tails.0[index] <= event.time {
                let value = feature.input.map_or(&Value::Null, |input| &event.values[input]);
                let bucket = feature.bucket.map_or(&Value::Null, |bucket| &event.values[bucket]);
                window.push_in(value, bucket, at).map_err(|error| (index, error))?;
            }
        }
        Ok(())
    }

    fn answer(&mut self, q: i64, mut put: impl FnMut(usize, Value)) -> Result<(), FeatureError> {
        for (index, window) in self.0.iter_mut().enumerate() {
            match (window.value_at(Timestamp(q)), self.1) {
                (Ok(value), _) => put(index, value),
                (Err(_), Failure::Null) => put(index, Value::Null),
                (Err(error), Failure::Refused) => return Err((index, error)),
            }
        }
        Ok(())
    }
}

/// The state of one key.
#[derive(Debug)]
pub(crate) struct AggregateState {
    /// Without watermarks: every event so far. With: the events up to the first that waits.
    windows: Windows,
    by_arrival: Option<Box<ByArrival>>,
}

/// What rows with their own watermarks need beside the windows.
#[derive(Debug)]
struct ByArrival {
    /// Below the watermark of every row of the spine: such an event counts for all of them.
    always_arrived: u64,
    /// The events that had arrived for every row, and no others.
    certain: Windows,
    certain_since_forgetting: u32,
    /// The other events, in the order of time, as far back as any window reaches.
    uncertain: VecDeque<Arc<OwnedEvent>>,
    /// The events that are not yet in `windows`, in the order of time.
    waiting: VecDeque<Arc<OwnedEvent>>,
    /// Above the arrivals of all events in `windows`.
    arrived_bound: u64,
    /// Events that are taken away for some rows, in the order of time, as far back as any window reaches. They are never in the
    /// windows.
    passing: VecDeque<Arc<OwnedEvent>>,
}

#[derive(Debug)]
struct OwnedEvent {
    time: i64,
    event_id: Box<str>,
    arrival: u64,
    until: u64,
    values: Box<[Value]>,
}

impl OwnedEvent {
    fn of(event: SweptEvent<'_>) -> Arc<Self> {
        let SweptEvent { time, event_id, arrival, until, values } = event;
        Arc::new(Self { time, event_id: event_id.into(), arrival, until, values: values.into() })
    }

    /// Whether it counts for a row with this watermark.
    fn counts_at(&self, watermark: u64) -> bool {
        self.arrival < watermark && self.until >= watermark
    }

    fn as_swept(&self) -> SweptEvent<'_> {
        let (arrival, until) = (self.arrival, self.until);
        SweptEvent { time: self.time, event_id: &self.event_id, arrival, until, values: &self.values }
    }
}

/// After so many certain events, `certain` is made to forget what has left its windows: nothing else asks it to.
const FORGET_EVERY: u32 = 256;

impl AggregateState {
    /// `always_arrived`: where rows have watermarks, the lowest of them.
    pub(crate) fn new(features: &[PlannedFeature], always_arrived: Option<u64>, failure: Failure) -> Self {
        let windows = Windows::new(features, failure);
        let by_arrival = always_arrived.map(|always_arrived| {
            Box::new(ByArrival {
                always_arrived,
                certain: windows.clone(),
                certain_since_forgetting: 0,
                uncertain: VecDeque::new(),
                waiting: VecDeque::new(),
                arrived_bound: 0,
                passing: VecDeque::new(),
            })
        });
        Self { windows, by_arrival }
    }

    /// Takes in an event before the next row, whose tails are `tails`.
    pub(crate) fn push(
        &mut self,
        features: &[PlannedFeature],
        tails: &Tails,
        event: SweptEvent<'_>,
    ) -> Result<(), FeatureError> {
        let Some(by_arrival) = &mut self.by_arrival else {
            return self.windows.push(features, tails, event);
        };
        if event.until != STILL_COUNTS {
            // One that was gone for the lowest row counts for nobody.
            if event.is_passing(by_arrival.always_arrived) {
                by_arrival.passing.push_back(OwnedEvent::of(event));
            }
            return Ok(());
        }
        let is_certain = event.arrival < by_arrival.always_arrived;
        if is_certain {
            by_arrival.certain.push(features, tails, event)?;
            by_arrival.certain_since_forgetting += 1;
            if by_arrival.certain_since_forgetting >= FORGET_EVERY {
                by_arrival.certain_since_forgetting = 0;
                // Only for its forgetting; a value that cannot be given may have become one by the time of a row.
                let _ = by_arrival.certain.answer(event.time, |_, _| ());
            }
            if by_arrival.waiting.is_empty() {
                by_arrival.arrived_bound = by_arrival.arrived_bound.max(event.arrival + 1);
                return self.windows.push(features, tails, event);
            }
        }
        let owned = OwnedEvent::of(event);
        if !is_certain {
            by_arrival.uncertain.push_back(Arc::clone(&owned));
        }
        by_arrival.waiting.push_back(owned);
        Ok(())
    }

    /// The values at `q`, whose tails are `tails`, of the events with `arrival < watermark`; without watermarks of all.
    pub(crate) fn answer(
        &mut self,
        features: &[PlannedFeature],
        tails: &Tails,
        (q, watermark): (i64, u64),
        put: impl FnMut(usize, Value),
    ) -> Result<(), FeatureError> {
        let Some(by_arrival) = &mut self.by_arrival else { return self.windows.answer(q, put) };
        let earliest = tails.earliest();
        while by_arrival.uncertain.front().is_some_and(|event| event.time < earliest) {
            by_arrival.uncertain.pop_front();
        }
        while by_arrival.passing.front().is_some_and(|event| event.time < earliest) {
            by_arrival.passing.pop_front();
        }
        if by_arrival.arrived_bound > watermark {
            return by_arrival.answer_from_events(features, tails, (q, watermark), put);
        }
        while let Some(event) = by_arrival.waiting.pop_front_if(|event| event.arrival < watermark) {
            by_arrival.arrived_bound = by_arrival.arrived_bound.max(event.arrival + 1);
            self.windows.push(features, tails, event.as_swept())?;
        }
        let arrived = by_arrival.waiting.iter().filter(|event| event.arrival < watermark);
        let mut arrived = arrived.chain(by_arrival.counting_passers(watermark)).peekable();
        if arrived.peek().is_none() {
            return self.windows.answer(q, put);
        }
        let mut copy = self.windows.clone();
        for event in arrived {
            copy.push(features, tails, event.as_swept())?;
        }
        copy.answer(q, put)
    }
}

impl ByArrival {
    /// Those of the passing events that count for a row with this watermark.
    fn counting_passers(&self, watermark: u64) -> impl Iterator<Item = &Arc<OwnedEvent>> {
        self.passing.iter().filter(move |event| event.counts_at(watermark))
    }

    /// For a row that must not see some event in the windows. The events are added out of the order of time, which is
    /// sound here because all of them lie inside the windows at `q` and the copy answers nothing but `q`.
    fn answer_from_events(
        &self,
        features: &[PlannedFeature],
        tails: &Tails,
        (q, watermark): (i64, u64),
        put: impl FnMut(usize, Value),
    ) -> Result<(), FeatureError> {
        let mut copy = self.certain.clone();
        let arrived = self.uncertain.iter().filter(|event| event.arrival < watermark);
        for event in arrived.chain(self.counting_passers(watermark)) {
            copy.push(features, tails, event.as_swept())?;
        }
        copy.answer(q, put)
    }
}
