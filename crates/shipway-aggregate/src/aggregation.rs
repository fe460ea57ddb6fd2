//! One operation over one column: the commutative monoid that every path shares.

use std::{cmp::Ordering, collections::BTreeSet, sync::Arc};

use shipway_core::{DataType, Timestamp, Value};

use crate::{
    AggregationError, Operation, Partial,
    exact_sum::ExactSum,
    moments::{FloatMoments, IntMoments},
    partial::{Distinct, Edge},
};

/// The place of an event in the total order of events: by time, then by event id, never by arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventOrder<'a> {
    /// Event time.
    pub time: Timestamp,
    /// Event id, compared as bytes.
    pub event_id: &'a str,
}

/// What a partial state is made of. Aggregations over one column with equal kinds can share their states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StateKind {
    /// A number of events or values.
    Count,
    /// Count and sum: `sum` and `avg`.
    Sum,
    /// Count, sum and squares: `var` and `stddev`.
    Moments,
    /// `min`.
    Least,
    /// `max`.
    Greatest,
    /// `first`.
    First,
    /// `last`.
    Last,
    /// `distinct_count` with its bound.
    Distinct(u32),
}

/// One operation over one column of a declared type, or over whole events.
///
/// `update`, `merge` and `finalise` form a commutative monoid: any split of the events into states, merged in any order,
/// finalises to the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Aggregation {
    operation: Operation,
    input: Option<DataType>,
    output: DataType,
}

impl Aggregation {
    /// Checks that `operation` fits a column of type `input` (`None`: whole events, for `count`).
    pub fn new(operation: Operation, input: Option<DataType>) -> Result<Self, AggregationError> {
        Ok(Self { operation, input, output: operation.output_type(input)? })
    }

    /// The operation.
    pub const fn operation(&self) -> Operation {
        self.operation
    }

    /// The type of the column, `None` for whole events.
    pub const fn input(&self) -> Option<DataType> {
        self.input
    }

    /// The type of the finalised value.
    pub const fn output_type(&self) -> DataType {
        self.output
    }

    /// What the partial states are made of.
    pub const fn state_kind(&self) -> StateKind {
        match self.operation {
            Operation::Count => StateKind::Count,
            Operation::Sum | Operation::Avg => StateKind::Sum,
            Operation::Var | Operation::Stddev => StateKind::Moments,
            Operation::Min => StateKind::Least,
            Operation::Max => StateKind::Greatest,
            Operation::First => StateKind::First,
            Operation::Last => StateKind::Last,
            Operation::DistinctCount { bound } => StateKind::Distinct(bound),
        }
    }

    /// Whether [`Aggregation::unmerge`] works: states that are sums, not extremes or sets.
    pub const fn is_reversible(&self) -> bool {
        match self.state_kind() {
            StateKind::Count | StateKind::Sum => true,
            // Squares of integers may leave 128 bits, after which nothing can be taken away.
            StateKind::Moments => matches!(self.input, Some(DataType::Float)),
            _ => false,
        }
    }

    fn is_float(&self) -> bool {
        self.input == Some(DataType::Float)
    }

    /// The state of no events: the identity of [`Aggregation::merge`].
    pub fn empty(&self) -> Partial {
        match self.state_kind() {
            StateKind::Count => Partial::Count(0),
            StateKind::Sum if self.is_float() => Partial::FloatSum { count: 0, sum: ExactSum::default() },
            StateKind::Sum => Partial::IntSum { count: 0, sum: 0 },
            StateKind::Moments if self.is_float() => Partial::FloatMoments(FloatMoments::default()),
            StateKind::Moments => Partial::IntMoments(IntMoments::EMPTY),
            StateKind::Least | StateKind::Greatest => Partial::Extreme(None),
            StateKind::First | StateKind::Last => Partial::Edge(None),
            StateKind::Distinct(_) => Partial::Distinct(Distinct::Exact(BTreeSet::new())),
        }
    }

    /// Takes in one event's value of the column; nulls are skipped. Without a column the value is not looked at.
    pub fn update(
        &self,
        state: &mut Partial,
        value: &Value,
        at: EventOrder<'_>,
    ) -> Result<(), AggregationError> {
        if self.input.is_some() && value.is_null() {
            return Ok(());
        }
        match (state, value) {
            (Partial::Count(count), _) => *count += 1,
            (Partial::IntSum { count, sum }, Value::Int(number)) => {
                *count += 1;
                *sum += i128::from(*number);
            }
            (Partial::FloatSum { count, sum }, Value::Float(number)) => {
                *count += 1;
                sum.add(*number);
            }
            (Partial::IntMoments(moments), Value::Int(number)) => moments.add(*number),
            (Partial::FloatMoments(moments), Value::Float(number)) => moments.add(*number),
            (Partial::Extreme(extreme), value) if value.data_type() == self.input => {
                if extreme.as_ref().is_none_or(|held| value.cmp(held) == self.preferred()) {
                    *extreme = Some(value.clone());
                }
            }
            (Partial::Edge(edge), value) if value.data_type() == self.input => {
                let displaces = edge.as_ref().is_none_or(|held| at.cmp(&held.order()) == self.preferred());
                if displaces {
                    let event_id = Arc::from(at.event_id);
                    *edge = Some(Edge { time: at.time, event_id, value: value.clone() });
                }
            }
            (Partial::Distinct(distinct), value) if value.data_type() == self.input => {
                distinct.insert(value, self.bound());
            }
            _ => return Err(AggregationError::Foreign),
        }
        Ok(())
    }

    /// Adds what `other` holds to `state`.
    pub fn merge(&self, state: &mut Partial, other: &Partial) -> Result<(), AggregationError> {
        match (state, other) {
            (Partial::Count(ours), Partial::Count(theirs)) => *ours += theirs,
            (Partial::IntSum { count, sum }, Partial::IntSum { count: their_count, sum: their_sum }) => {
                *count += their_count;
                *sum += their_sum;
            }
            (Partial::FloatSum { count, sum }, Partial::FloatSum { count: their_count, sum: their_sum }) => {
                *count += their_count;
                sum.merge(their_sum);
            }
            (Partial::IntMoments(ours), Partial::IntMoments(theirs)) => ours.merge(theirs),
            (Partial::FloatMoments(ours), Partial::FloatMoments(theirs)) => ours.merge(theirs),
            (Partial::Extreme(ours), Partial::Extreme(theirs)) => {
                if let Some(value) = theirs
                    && ours.as_ref().is_none_or(|held| value.cmp(held) == self.preferred())
                {
                    *ours = Some(value.clone());
                }
            }
            (Partial::Edge(ours), Partial::Edge(theirs)) => {
                if let Some(edge) = theirs
                    && ours.as_ref().is_none_or(|held| edge.order().cmp(&held.order()) == self.preferred())
                {
                    *ours = Some(edge.clone());
                }
            }
            (Partial::Distinct(ours), Partial::Distinct(Distinct::TooMany)) => *ours = Distinct::TooMany,
            (Partial::Distinct(ours), Partial::Distinct(Distinct::Exact(theirs))) => {
                for value in theirs {
                    ours.insert(value, self.bound());
                }
            }
            _ => return Err(AggregationError::Foreign),
        }
        Ok(())
    }

    /// Takes away what `other` holds and what was merged or updated into `state` before. Exact.
    ///
    /// An error where [`Aggregation::is_reversible`] is false: rebuild the state from its events instead.
    pub fn unmerge(&self, state: &mut Partial, other: &Partial) -> Result<(), AggregationError> {
        match (state, other) {
            (Partial::Count(ours), Partial::Count(theirs)) => *ours -= theirs,
            (Partial::IntSum { count, sum }, Partial::IntSum { count: their_count, sum: their_sum }) => {
                *count -= their_count;
                *sum -= their_sum;
            }
            (Partial::FloatSum { count, sum }, Partial::FloatSum { count: their_count, sum: their_sum }) => {
                *count -= their_count;
                sum.unmerge(their_sum);
            }
            (Partial::FloatMoments(ours), Partial::FloatMoments(theirs)) => ours.unmerge(theirs),
            _ => return Err(AggregationError::Foreign),
        }
        Ok(())
    }

    /// The value of the events in `state`. Empty: 0 for counts, null for all else.
    pub fn finalise(&self, state: &Partial) -> Result<Value, AggregationError> {
        Ok(match (self.operation, state) {
            (Operation::Count, Partial::Count(count)) => {
                Value::Int(i64::try_from(*count).unwrap_or(i64::MAX))
            }
            (_, Partial::IntSum { count: 0, .. } | Partial::FloatSum { count: 0, .. }) => Value::Null,
            (Operation::Sum, Partial::IntSum { sum, .. }) => {
                Value::Int(i64::try_from(*sum).map_err(|_| AggregationError::Overflow)?)
            }
            (Operation::Avg, Partial::IntSum { count, sum }) => Value::float(*sum as f64 / *count as f64),
            (Operation::Sum, Partial::FloatSum { sum, .. }) => Value::float(sum.round()),
            (Operation::Avg, Partial::FloatSum { count, sum }) => Value::float(sum.round() / *count as f64),
            (Operation::Var | Operation::Stddev, Partial::IntMoments(moments)) => {
                self.spread(moments.variance().map_err(|()| AggregationError::Overflow)?)
            }
            (Operation::Var | Operation::Stddev, Partial::FloatMoments(moments)) => {
                self.spread(moments.variance())
            }
            (Operation::Min | Operation::Max, Partial::Extreme(extreme)) => {
                extreme.clone().unwrap_or(Value::Null)
            }
            (Operation::First | Operation::Last, Partial::Edge(edge)) => {
                edge.as_ref().map_or(Value::Null, |edge| edge.value.clone())
            }
            (Operation::DistinctCount { .. }, Partial::Distinct(Distinct::Exact(values))) => {
                Value::Int(i64::try_from(values.len()).unwrap_or(i64::MAX))
            }
            (Operation::DistinctCount { bound }, Partial::Distinct(Distinct::TooMany)) => {
                return Err(AggregationError::TooManyDistinct { bound });
            }
            _ => return Err(AggregationError::Foreign),
        })
    }

    fn spread(&self, variance: Option<f64>) -> Value {
        match variance {
            None => Value::Null,
            Some(variance) if self.operation == Operation::Stddev => Value::float(variance.sqrt()),
            Some(variance) => Value::float(variance),
        }
    }

    /// How a newcomer must compare with what is held to take its place.
    fn preferred(&self) -> Ordering {
        match self.operation {
            Operation::Min | Operation::First => Ordering::Less,
            _ => Ordering::Greater,
        }
    }

    fn bound(&self) -> u32 {
        match self.operation {
            Operation::DistinctCount { bound } => bound,
            _ => u32::MAX,
        }
    }
}

impl Edge {
    fn order(&self) -> EventOrder<'_> {
        EventOrder { time: self.time, event_id: &self.event_id }
    }
}
