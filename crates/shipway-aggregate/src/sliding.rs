//! A window that slides along the sorted events of one key: the offline sweep's view of a feature.

use std::collections::VecDeque;

use shipway_core::{Length, Timestamp, Value};

use crate::{Aggregation, AggregationError, EventOrder, Partial, Window};

/// The events of one key inside one window, as the query time moves forward.
///
/// Events are kept as one partial state per hop. States that are sums are added to and taken from a running total;
/// extremes, edges and sets use two stacks. Either way an event costs a constant number of updates and merges,
/// amortised. Memory is one state per hop that holds an event.
#[derive(Debug, Clone)]
pub struct SlidingWindow {
    aggregation: Aggregation,
    span: Span,
    /// Hop starts and their states that `total` holds (reversible) or that came after the last turn (two stacks).
    recent: VecDeque<(i64, Partial)>,
    /// Two stacks only: hop starts with the merge of that hop and all later ones up to the turn; the earliest is last.
    turned: Vec<(i64, Partial)>,
    total: Partial,
}

/// Where a window begins.
#[derive(Debug, Clone, Copy)]
enum Span {
    /// At the hop that the window's length reaches back to.
    Hops(Window),
    /// Exactly this long before the query time.
    Exact(Length),
}

impl Span {
    const fn hop_us(self) -> Option<i64> {
        match self {
            Self::Hops(window) => window.hop_us(),
            Self::Exact(_) => Some(1),
        }
    }

    const fn tail(self, q: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Hops(window) => window.tail(q),
            Self::Exact(length) => Some(Timestamp(q.micros().saturating_sub(length.micros()))),
        }
    }
}

impl SlidingWindow {
    /// An empty window of a feature.
    pub fn new(aggregation: Aggregation, window: Window) -> Self {
        Self::over(aggregation, Span::Hops(window))
    }

    /// An empty window whose tail is as exact as its head: at `q` it holds the events with `q - length <= time < q`. Memory is
    /// one state for each event time inside.
    pub fn exact(aggregation: Aggregation, length: Length) -> Self {
        Self::over(aggregation, Span::Exact(length))
    }

    fn over(aggregation: Aggregation, span: Span) -> Self {
        let total = aggregation.empty();
        Self { aggregation, span, recent: VecDeque::new(), turned: Vec::new(), total }
    }

    /// Takes in an event. Events come in the order of their time, and before any query at a later time.
    pub fn push(&mut self, value: &Value, at: EventOrder<'_>) -> Result<(), AggregationError> {
        self.push_in(value, &Value::Null, at)
    }

    /// As [`SlidingWindow::push`], with the event's value of the bucket column.
    pub fn push_in(
        &mut self,
        value: &Value,
        bucket: &Value,
        at: EventOrder<'_>,
    ) -> Result<(), AggregationError> {
        if let Some(hop_us) = self.span.hop_us() {
            let start = at.time.floor_to(hop_us).micros();
            match self.recent.back_mut() {
                Some((held, state)) if *held == start => {
                    self.aggregation.update_in(state, value, bucket, at)?;
                }
                _ => {
                    let mut state = self.aggregation.empty();
                    self.aggregation.update_in(&mut state, value, bucket, at)?;
                    self.recent.push_back((start, state));
                }
            }
        }
        self.aggregation.update_in(&mut self.total, value, bucket, at)
    }

    /// The value at `q` over all events pushed so far, which must be those before `q`. Query times never go back.
    pub fn value_at(&mut self, q: Timestamp) -> Result<Value, AggregationError> {
        let Some(tail) = self.span.tail(q) else { return self.aggregation.finalise(&self.total) };
        if self.aggregation.is_reversible() {
            self.forget_by_subtraction(tail)?;
            return self.aggregation.finalise(&self.total);
        }
        self.forget_by_stacks(tail)?;
        match self.turned.last() {
            None => self.aggregation.finalise(&self.total),
            Some((_, turned)) if self.recent.is_empty() => self.aggregation.finalise(turned),
            Some((_, turned)) => {
                let mut both = turned.clone();
                self.aggregation.merge(&mut both, &self.total)?;
                self.aggregation.finalise(&both)
            }
        }
    }

    fn forget_by_subtraction(&mut self, tail: Timestamp) -> Result<(), AggregationError> {
        while let Some((start, state)) = self.recent.front() {
            if *start >= tail.micros() {
                break;
            }
            self.aggregation.unmerge(&mut self.total, state)?;
            self.recent.pop_front();
        }
        Ok(())
    }

    fn forget_by_stacks(&mut self, tail: Timestamp) -> Result<(), AggregationError> {
        let is_gone = |start: i64| start < tail.micros();
        while self.turned.last().is_some_and(|(start, _)| is_gone(*start)) {
            self.turned.pop();
        }
        if !self.turned.is_empty() || !self.recent.front().is_some_and(|(start, _)| is_gone(*start)) {
            return Ok(());
        }
        // The turn: everything recent becomes a stack of suffix merges, the earliest hop on top.
        let mut suffix = self.aggregation.empty();
        while let Some((start, state)) = self.recent.pop_back() {
            if is_gone(start) {
                continue;
            }
            self.aggregation.merge(&mut suffix, &state)?;
            self.turned.push((start, suffix.clone()));
        }
        self.total = self.aggregation.empty();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Operation;

    #[test]
    fn the_tail_of_an_exact_window_is_exact_and_inclusive() {
        for operation in [Operation::Count, Operation::Max] {
            let input = (operation == Operation::Max).then_some(shipway_core::DataType::Int);
            let aggregation = Aggregation::new(operation, input).unwrap();
            let mut window = SlidingWindow::exact(aggregation, Length::from_micros(10).unwrap());
            for (time, event_id) in [(5, "a"), (5, "b"), (7, "c")] {
                window.push(&Value::Int(time), EventOrder { time: Timestamp(time), event_id }).unwrap();
            }
            let expected = if operation == Operation::Count { [3, 3, 1] } else { [7, 7, 7] };
            for (q, expected) in [8, 15, 16].into_iter().zip(expected) {
                assert_eq!(
                    window.value_at(Timestamp(q)).unwrap(),
                    Value::Int(expected),
                    "{operation:?} at {q}"
                );
            }
        }
    }

    #[test]
    fn an_event_leaves_when_its_whole_hop_has_left() {
        let count = Aggregation::new(Operation::Count, None).unwrap();
        let mut window = SlidingWindow::new(count, "1h".parse().unwrap());
        let at = |text| Timestamp::parse(text).unwrap();
        for (moment, event_id) in
            [("2013-01-01T00:01:00Z", "a"), ("2013-01-01T00:04:59Z", "b"), ("2013-01-01T00:05:00Z", "c")]
        {
            window.push(&Value::Null, EventOrder { time: at(moment), event_id }).unwrap();
        }
        assert_eq!(window.value_at(at("2013-01-01T01:04:59Z")).unwrap(), Value::Int(3));
        assert_eq!(window.value_at(at("2013-01-01T01:05:00Z")).unwrap(), Value::Int(1));
        assert_eq!(window.value_at(at("2013-01-01T01:10:00Z")).unwrap(), Value::Int(0));
    }
}
