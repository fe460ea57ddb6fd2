//! One operation over single values: the monoid that buckets and positions are made of.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use shipway_core::{DataType, Decimal, DecimalType, Value};

use crate::{
    AggregationError, Operation, Partial,
    aggregation::{EventOrder, StateKind},
    bins::Bins,
    decimals::{DecimalPowers, MOMENTS, POWERS, WideSum},
    distinct_sketch::DistinctSketch,
    exact_sum::ExactSum,
    moments::{FloatMoments, IntMoments},
    partial::{Distinct, Edge, Placed, Tally},
};

/// An operation over values of `input`, or over whole events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Plain {
    pub(crate) operation: Operation,
    pub(crate) input: Option<DataType>,
}

impl Plain {
    pub(crate) const fn state_kind(&self) -> StateKind {
        match self.operation {
            Operation::Count => StateKind::Count,
            Operation::Sum | Operation::Avg => StateKind::Sum,
            Operation::Var | Operation::Stddev => StateKind::Moments,
            Operation::Skew | Operation::Kurtosis => StateKind::Powers,
            Operation::Min => StateKind::Least,
            Operation::Max => StateKind::Greatest,
            Operation::First => StateKind::First,
            Operation::Last => StateKind::Last,
            Operation::FirstK { k } => StateKind::FirstK(k),
            Operation::LastK { k } => StateKind::LastK(k),
            Operation::TopK { k } => StateKind::TopK(k),
            Operation::BottomK { k } => StateKind::BottomK(k),
            Operation::DistinctCount { bound } => StateKind::Distinct(bound),
            Operation::ApproxDistinct => StateKind::Sketch,
            Operation::ApproxQuantile { .. } => StateKind::Bins,
            Operation::Histogram { .. } if self.is_number() => StateKind::Bins,
            Operation::Histogram { k } => StateKind::Tally(k),
        }
    }

    pub(crate) const fn is_reversible(&self) -> bool {
        match self.state_kind() {
            StateKind::Count | StateKind::Sum | StateKind::Powers | StateKind::Bins => true,
            // Squares of integers may leave 128 bits, after which nothing can be taken away.
            StateKind::Moments => self.is_float() || self.decimal().is_some(),
            _ => false,
        }
    }

    const fn is_float(&self) -> bool {
        matches!(self.input, Some(DataType::Float))
    }

    const fn is_number(&self) -> bool {
        matches!(self.input, Some(DataType::Float | DataType::Int | DataType::Decimal(_)))
    }

    /// The type of the column where it holds decimals.
    const fn decimal(&self) -> Option<DecimalType> {
        match self.input {
            Some(DataType::Decimal(decimal)) => Some(decimal),
            _ => None,
        }
    }

    /// How many digits of a decimal stand after the point.
    const fn scale(&self) -> u8 {
        match self.decimal() {
            Some(decimal) => decimal.scale(),
            None => 0,
        }
    }

    pub(crate) fn empty(&self) -> Partial {
        let powers = |powers| Partial::DecimalPowers(Box::new(DecimalPowers::empty(powers)));
        match self.state_kind() {
            StateKind::Sum if self.decimal().is_some() => {
                Partial::DecimalSum { count: 0, sum: WideSum::default() }
            }
            StateKind::Moments if self.decimal().is_some() => powers(MOMENTS),
            StateKind::Powers if self.decimal().is_some() => powers(POWERS),
            StateKind::Count => Partial::Count(0),
            StateKind::Sum if self.is_float() => Partial::FloatSum { count: 0, sum: ExactSum::default() },
            StateKind::Sum => Partial::IntSum { count: 0, sum: 0 },
            StateKind::Moments if self.is_float() => Partial::FloatMoments(FloatMoments::default()),
            StateKind::Moments => Partial::IntMoments(IntMoments::EMPTY),
            StateKind::Powers => Partial::Powers(Box::default()),
            StateKind::Least | StateKind::Greatest => Partial::Extreme(None),
            StateKind::First | StateKind::Last => Partial::Edge(None),
            StateKind::FirstK(_) | StateKind::LastK(_) => Partial::Edges(Vec::new()),
            StateKind::TopK(_) | StateKind::BottomK(_) => Partial::Extremes(Vec::new()),
            StateKind::Distinct(_) => Partial::Distinct(Distinct::Exact(BTreeSet::new())),
            StateKind::Sketch => Partial::Sketch(DistinctSketch::default()),
            StateKind::Bins => Partial::Bins(Bins::default()),
            StateKind::Tally(_) => Partial::Tally(Tally::Exact(BTreeMap::new())),
        }
    }

    /// Whether `state` is made as the states of this operation are.
    pub(crate) fn owns(&self, state: &Partial) -> bool {
        match (self.empty(), state) {
            (Partial::DecimalPowers(ours), Partial::DecimalPowers(theirs)) => {
                ours.sums.len() == theirs.sums.len()
            }
            (ours, theirs) => std::mem::discriminant(&ours) == std::mem::discriminant(theirs),
        }
    }

    /// Whether a decimal is one of the column's: numbers of two scales must not be added without their points.
    fn has_scale(&self, number: Decimal) -> bool {
        self.decimal().is_some_and(|decimal| decimal.scale() == number.scale())
    }

    /// Takes in one value, which is not null where there is a column.
    #[inline]
    pub(crate) fn update(
        &self,
        state: &mut Partial,
        value: &Value,
        at: EventOrder<'_>,
        position: u32,
    ) -> Result<(), AggregationError> {
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
            (Partial::DecimalSum { count, sum }, Value::Decimal(number)) if self.has_scale(*number) => {
                *count += 1;
                sum.add(number.unscaled());
            }
            (Partial::DecimalPowers(powers), Value::Decimal(number)) if self.has_scale(*number) => {
                powers.add(number.unscaled());
            }
            (Partial::Bins(bins), Value::Decimal(number)) if self.has_scale(*number) => {
                bins.add(number.to_float());
            }
            (Partial::IntMoments(moments), Value::Int(number)) => moments.add(*number),
            (Partial::FloatMoments(moments), Value::Float(number)) => moments.add(*number),
            (Partial::Powers(powers), Value::Float(number)) => powers.add(*number),
            (Partial::Powers(powers), Value::Int(number)) => powers.add_int(*number),
            (Partial::Bins(bins), Value::Float(number)) => bins.add(*number),
            (Partial::Bins(bins), Value::Int(number)) => bins.add(*number as f64),
            (state, value) if self.input.is_some_and(|input| value.is_of(input)) => {
                return self.update_ordered(state, value, at, position);
            }
            _ => return Err(AggregationError::Foreign),
        }
        Ok(())
    }

    fn update_ordered(
        &self,
        state: &mut Partial,
        value: &Value,
        at: EventOrder<'_>,
        position: u32,
    ) -> Result<(), AggregationError> {
        match state {
            Partial::Extreme(extreme) => {
                if extreme.as_ref().is_none_or(|held| value.cmp(held) == self.preferred()) {
                    *extreme = Some(value.clone());
                }
            }
            Partial::Extremes(values) => self.insert_extreme(values, value),
            Partial::Edge(edge) => {
                let displaces = edge.as_ref().is_none_or(|held| at.cmp(&held.order()) == self.preferred());
                if displaces {
                    *edge = Some(Edge::new(at, value));
                }
            }
            Partial::Edges(edges) => {
                let order = |placed: &Placed| self.outward(placed, at, position);
                if edges.len() < self.most() || edges.last().is_some_and(|last| order(last).is_gt()) {
                    let place = edges.partition_point(|held| order(held).is_lt());
                    edges.insert(place, Placed { edge: Edge::new(at, value), position });
                    edges.truncate(self.most());
                }
            }
            Partial::Distinct(distinct) => distinct.insert(value, self.bound()),
            Partial::Sketch(sketch) => sketch.insert(value),
            Partial::Tally(tally) => tally.add(value, 1, self.bound()),
            _ => return Err(AggregationError::Foreign),
        }
        Ok(())
    }

    pub(crate) fn merge(&self, state: &mut Partial, other: &Partial) -> Result<(), AggregationError> {
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
            (
                Partial::DecimalSum { count, sum },
                Partial::DecimalSum { count: their_count, sum: their_sum },
            ) => {
                *count += their_count;
                sum.merge(*their_sum);
            }
            (Partial::DecimalPowers(ours), Partial::DecimalPowers(theirs))
                if ours.sums.len() == theirs.sums.len() =>
            {
                ours.merge(theirs);
            }
            (Partial::IntMoments(ours), Partial::IntMoments(theirs)) => ours.merge(theirs),
            (Partial::FloatMoments(ours), Partial::FloatMoments(theirs)) => ours.merge(theirs),
            (Partial::Powers(ours), Partial::Powers(theirs)) => ours.merge(theirs),
            (Partial::Bins(ours), Partial::Bins(theirs)) => ours.merge(theirs),
            (Partial::Sketch(ours), Partial::Sketch(theirs)) => ours.merge(theirs),
            (Partial::Extreme(ours), Partial::Extreme(theirs)) => {
                if let Some(value) = theirs
                    && ours.as_ref().is_none_or(|held| value.cmp(held) == self.preferred())
                {
                    *ours = Some(value.clone());
                }
            }
            (Partial::Extremes(ours), Partial::Extremes(theirs)) => {
                theirs.iter().for_each(|value| self.insert_extreme(ours, value));
            }
            (Partial::Edge(ours), Partial::Edge(theirs)) => {
                if let Some(edge) = theirs
                    && ours.as_ref().is_none_or(|held| edge.order().cmp(&held.order()) == self.preferred())
                {
                    *ours = Some(edge.clone());
                }
            }
            (Partial::Edges(ours), Partial::Edges(theirs)) => {
                for placed in theirs {
                    let order = |held: &Placed| self.outward(held, placed.edge.order(), placed.position);
                    let place = ours.partition_point(|held| order(held).is_lt());
                    if place >= self.most() {
                        break;
                    }
                    ours.insert(place, placed.clone());
                    ours.truncate(self.most());
                }
            }
            (Partial::Distinct(ours), Partial::Distinct(Distinct::TooMany)) => *ours = Distinct::TooMany,
            (Partial::Distinct(ours), Partial::Distinct(Distinct::Exact(theirs))) => {
                theirs.iter().for_each(|value| ours.insert(value, self.bound()));
            }
            (Partial::Tally(ours), Partial::Tally(Tally::TooMany)) => *ours = Tally::TooMany,
            (Partial::Tally(ours), Partial::Tally(Tally::Exact(theirs))) => {
                theirs.iter().for_each(|(value, count)| ours.add(value, *count, self.bound()));
            }
            _ => return Err(AggregationError::Foreign),
        }
        Ok(())
    }

    pub(crate) fn unmerge(&self, state: &mut Partial, other: &Partial) -> Result<(), AggregationError> {
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
            (
                Partial::DecimalSum { count, sum },
                Partial::DecimalSum { count: their_count, sum: their_sum },
            ) => {
                *count -= their_count;
                sum.unmerge(*their_sum);
            }
            (Partial::DecimalPowers(ours), Partial::DecimalPowers(theirs))
                if ours.sums.len() == theirs.sums.len() =>
            {
                ours.unmerge(theirs);
            }
            (Partial::FloatMoments(ours), Partial::FloatMoments(theirs)) => ours.unmerge(theirs),
            (Partial::Powers(ours), Partial::Powers(theirs)) => ours.unmerge(theirs),
            (Partial::Bins(ours), Partial::Bins(theirs)) => ours.unmerge(theirs),
            _ => return Err(AggregationError::Foreign),
        }
        Ok(())
    }

    pub(crate) fn finalise(&self, state: &Partial) -> Result<Value, AggregationError> {
        let number = |number: Option<f64>| number.map_or(Value::Null, Value::float);
        Ok(match (self.operation, state) {
            (Operation::Count, Partial::Count(count)) => {
                Value::Int(i64::try_from(*count).unwrap_or(i64::MAX))
            }
            (
                _,
                Partial::IntSum { count: 0, .. }
                | Partial::FloatSum { count: 0, .. }
                | Partial::DecimalSum { count: 0, .. },
            ) => Value::Null,
            (Operation::Sum, Partial::DecimalSum { sum, .. }) => {
                Value::Decimal(sum.decimal(self.scale()).ok_or(AggregationError::DecimalOverflow)?)
            }
            (Operation::Avg, Partial::DecimalSum { count, sum }) => {
                Value::float(sum.average(*count, self.scale()))
            }
            (Operation::Var | Operation::Stddev, Partial::DecimalPowers(powers)) => {
                self.spread(powers.variance(self.scale()))
            }
            (Operation::Skew, Partial::DecimalPowers(powers)) => number(powers.skew()),
            (Operation::Kurtosis, Partial::DecimalPowers(powers)) => number(powers.kurtosis()),
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
            (Operation::Skew, Partial::Powers(powers)) => number(powers.skew()),
            (Operation::Kurtosis, Partial::Powers(powers)) => number(powers.kurtosis()),
            (Operation::Min | Operation::Max, Partial::Extreme(extreme)) => {
                extreme.clone().unwrap_or(Value::Null)
            }
            (Operation::First | Operation::Last, Partial::Edge(edge)) => {
                edge.as_ref().map_or(Value::Null, |edge| edge.value.clone())
            }
            (Operation::TopK { .. } | Operation::BottomK { .. }, Partial::Extremes(values)) => {
                some_list(values.iter().cloned())
            }
            (Operation::FirstK { .. } | Operation::LastK { .. }, Partial::Edges(edges)) => {
                some_list(edges.iter().map(|placed| placed.edge.value.clone()))
            }
            (Operation::DistinctCount { .. }, Partial::Distinct(Distinct::Exact(values))) => {
                Value::Int(i64::try_from(values.len()).unwrap_or(i64::MAX))
            }
            (Operation::DistinctCount { bound }, Partial::Distinct(Distinct::TooMany)) => {
                return Err(AggregationError::TooManyDistinct { bound });
            }
            (Operation::ApproxDistinct, Partial::Sketch(sketch)) => {
                Value::Int(sketch.estimate().ok_or(AggregationError::Foreign)?)
            }
            (Operation::ApproxQuantile { millionths }, Partial::Bins(bins)) => {
                number(bins.quantile(millionths))
            }
            (Operation::Histogram { k }, Partial::Bins(bins)) => bins.histogram(k),
            (Operation::Histogram { .. }, Partial::Tally(Tally::Exact(counts))) => tally_value(counts),
            (Operation::Histogram { k }, Partial::Tally(Tally::TooMany)) => {
                return Err(AggregationError::TooManyBins { k });
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
    const fn preferred(&self) -> Ordering {
        match self.operation {
            Operation::Min | Operation::First | Operation::FirstK { .. } | Operation::BottomK { .. } => {
                Ordering::Less
            }
            _ => Ordering::Greater,
        }
    }

    fn insert_extreme(&self, values: &mut Vec<Value>, value: &Value) {
        let preferred = self.preferred();
        let full = values.len() >= self.most();
        if full && values.last().is_none_or(|last| value.cmp(last) != preferred) {
            return;
        }
        let place = values.partition_point(|held| value.cmp(held) != preferred);
        values.insert(place, value.clone());
        values.truncate(self.most());
    }

    /// How `held` stands to an event at this place, seen from the end that is kept.
    fn outward(&self, held: &Placed, at: EventOrder<'_>, position: u32) -> Ordering {
        let order = (held.edge.order(), held.position).cmp(&(at, position));
        if self.preferred() == Ordering::Less { order } else { order.reverse() }
    }

    const fn most(&self) -> usize {
        match self.operation {
            Operation::FirstK { k }
            | Operation::LastK { k }
            | Operation::TopK { k }
            | Operation::BottomK { k } => k as usize,
            _ => 1,
        }
    }

    const fn bound(&self) -> u32 {
        match self.operation {
            Operation::DistinctCount { bound } => bound,
            Operation::Histogram { k } => k,
            _ => u32::MAX,
        }
    }
}

fn some_list(values: impl ExactSizeIterator<Item = Value>) -> Value {
    if values.len() == 0 { Value::Null } else { Value::list(values) }
}

fn tally_value(counts: &BTreeMap<Value, u64>) -> Value {
    if counts.is_empty() {
        return Value::Null;
    }
    Value::map(
        counts
            .iter()
            .map(|(value, count)| (text_of(value), Value::Int(i64::try_from(*count).unwrap_or(i64::MAX)))),
    )
}

/// The text of a value as the key of a map: distinct values of one type have distinct texts.
pub(crate) fn text_of(value: &Value) -> Arc<str> {
    match value {
        Value::Text(text) => Arc::clone(text),
        Value::Int(number) => number.to_string().into(),
        Value::Bool(flag) => flag.to_string().into(),
        Value::Timestamp(moment) => moment.to_string().into(),
        Value::Decimal(decimal) => decimal.to_string().into(),
        other => other.to_json().to_string().into(),
    }
}

impl Edge {
    fn new(at: EventOrder<'_>, value: &Value) -> Self {
        Self { time: at.time, event_id: Arc::from(at.event_id), value: value.clone() }
    }

    pub(crate) fn order(&self) -> EventOrder<'_> {
        EventOrder { time: self.time, event_id: &self.event_id }
    }
}
