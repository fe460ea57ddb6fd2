//! One feature's aggregation: the commutative monoid that every path shares.
//!
//! An operation over single values (`plain`) can be wrapped twice, the same way for every operation: over the parts of a
//! list, and by the values of a bucket column. By is outside, over inside.

use std::collections::BTreeMap;

use shipway_core::{DataType, Timestamp, Value};

use crate::{
    AggregationError, Operation, Partial,
    partial::{Buckets, Positions},
    plain::{Plain, text_of},
};

/// The place of an event in the total order of events: by time, then by event id, never by arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventOrder<'a> {
    /// Event time.
    pub time: Timestamp,
    /// Event id, compared as bytes.
    pub event_id: &'a str,
}

/// What a partial state is made of. Aggregations over one column with equal kinds, equal [`Aggregation::over`] and one
/// bucket column can share their states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StateKind {
    /// A number of events or values.
    Count,
    /// Count and sum: `sum` and `avg`.
    Sum,
    /// Count, sum and squares: `var` and `stddev`.
    Moments,
    /// Count and sums of four powers: `skew` and `kurtosis`.
    Powers,
    /// `min`.
    Least,
    /// `max`.
    Greatest,
    /// `first`.
    First,
    /// `last`.
    Last,
    /// `first_k` with its k.
    FirstK(u32),
    /// `last_k` with its k.
    LastK(u32),
    /// `top_k` with its k.
    TopK(u32),
    /// `bottom_k` with its k.
    BottomK(u32),
    /// `distinct_count` with its bound.
    Distinct(u32),
    /// `approx_distinct`.
    Sketch,
    /// Counts of numbers in bins: `approx_quantile`, and `histogram` of numbers.
    Bins,
    /// Counts of values: `histogram` of other types, with its k.
    Tally(u32),
}

/// How an operation looks at a column of lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Over {
    /// Each element of each list counts as a value of its own; the elements of one event in the list's order.
    Elements,
    /// The first elements make one value, the second ones the next: a list as long as the last position that ever held a
    /// value. Nulls in a list are skipped.
    Positions,
}

impl Over {
    /// The word for it in definitions.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Elements => "elements",
            Self::Positions => "positions",
        }
    }
}

/// One operation over one column of a declared type, or over whole events; over the parts of its lists where it says so,
/// and per bucket where it has a bucket column.
///
/// `update`, `merge` and `finalise` form a commutative monoid: any split of the events into states, merged in any order,
/// finalises to the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Aggregation {
    plain: Plain,
    input: Option<DataType>,
    over: Option<Over>,
    by: Option<DataType>,
    output: DataType,
}

impl Aggregation {
    /// The most buckets that one window of one key may hold.
    pub const MOST_BUCKETS: usize = 10_000;

    /// The most positions that an aggregation over positions may hold.
    pub const MOST_POSITIONS: usize = 10_000;

    /// Checks that `operation` fits a column of type `input` (`None`: whole events, for `count`).
    pub fn new(operation: Operation, input: Option<DataType>) -> Result<Self, AggregationError> {
        Self::shaped(operation, input, None, None)
    }

    /// Checks that `operation` fits a column of type `input`, `over` the parts of its lists, in buckets of a column of
    /// type `by`.
    pub fn shaped(
        operation: Operation,
        input: Option<DataType>,
        over: Option<Over>,
        by: Option<DataType>,
    ) -> Result<Self, AggregationError> {
        let part = match (over, input) {
            (None, input) => input,
            (Some(_), Some(DataType::List(item))) => Some(item.data_type()),
            (Some(over), got) => return Err(AggregationError::NeedsList { over, got }),
        };
        let mut output = operation.output_type(part)?;
        let nested = |output: DataType| output.as_item().ok_or(AggregationError::TooDeep { operation });
        if over == Some(Over::Positions) {
            output = DataType::List(nested(output)?);
        }
        if let Some(got) = by {
            if matches!(got, DataType::Float | DataType::List(_) | DataType::Map(_)) {
                return Err(AggregationError::NotABucket { got });
            }
            output = DataType::Map(nested(output)?);
        }
        Ok(Self { plain: Plain { operation, input: part }, input, over, by, output })
    }

    /// The operation.
    pub const fn operation(&self) -> Operation {
        self.plain.operation
    }

    /// The type of the column, `None` for whole events.
    pub const fn input(&self) -> Option<DataType> {
        self.input
    }

    /// How it looks at the lists of its column, `None` where it takes values whole.
    pub const fn over(&self) -> Option<Over> {
        self.over
    }

    /// The type of the bucket column, `None` without buckets.
    pub const fn by(&self) -> Option<DataType> {
        self.by
    }

    /// The type of the finalised value.
    pub const fn output_type(&self) -> DataType {
        self.output
    }

    /// What the partial states are made of, in each bucket and position.
    pub const fn state_kind(&self) -> StateKind {
        self.plain.state_kind()
    }

    /// Whether [`Aggregation::unmerge`] works: states that are sums, not extremes or sets, nor maps and lists of states,
    /// which have a bound that absorbs.
    pub const fn is_reversible(&self) -> bool {
        self.by.is_none() && !matches!(self.over, Some(Over::Positions)) && self.plain.is_reversible()
    }

    /// The state of no events: the identity of [`Aggregation::merge`].
    pub fn empty(&self) -> Partial {
        if self.by.is_some() {
            Partial::Buckets(Buckets::Exact(BTreeMap::new()))
        } else {
            self.empty_inside()
        }
    }

    fn empty_inside(&self) -> Partial {
        if self.over == Some(Over::Positions) {
            Partial::Positions(Positions::Exact(Vec::new()))
        } else {
            self.plain.empty()
        }
    }

    /// Takes in one event's value of the column; nulls are skipped. Without a column the value is not looked at. For an
    /// aggregation with buckets see [`Aggregation::update_in`].
    #[inline]
    pub fn update(
        &self,
        state: &mut Partial,
        value: &Value,
        at: EventOrder<'_>,
    ) -> Result<(), AggregationError> {
        self.update_in(state, value, &Value::Null, at)
    }

    /// As [`Aggregation::update`], with the event's value of the bucket column. An event without one is in no bucket.
    #[inline]
    pub fn update_in(
        &self,
        state: &mut Partial,
        value: &Value,
        bucket: &Value,
        at: EventOrder<'_>,
    ) -> Result<(), AggregationError> {
        if self.input.is_some() && value.is_null() {
            return Ok(());
        }
        match self.by {
            None => self.update_inside(state, value, at),
            Some(by) => self.update_bucket(by, state, value, bucket, at),
        }
    }

    fn update_bucket(
        &self,
        by: DataType,
        state: &mut Partial,
        value: &Value,
        bucket: &Value,
        at: EventOrder<'_>,
    ) -> Result<(), AggregationError> {
        let Partial::Buckets(buckets) = state else { return Err(AggregationError::Foreign) };
        if bucket.is_null() {
            return Ok(());
        }
        if !bucket.is_of(by) {
            return Err(AggregationError::Foreign);
        }
        let Buckets::Exact(held) = &mut *buckets else { return Ok(()) };
        if let Some(inside) = held.get_mut(bucket) {
            return self.update_inside(inside, value, at);
        }
        let mut inside = self.empty_inside();
        self.update_inside(&mut inside, value, at)?;
        if !inside.is_empty() {
            held.insert(bucket.clone(), inside);
            if held.len() > Self::MOST_BUCKETS {
                *buckets = Buckets::TooMany;
            }
        }
        Ok(())
    }

    #[inline]
    fn update_inside(
        &self,
        state: &mut Partial,
        value: &Value,
        at: EventOrder<'_>,
    ) -> Result<(), AggregationError> {
        match self.over {
            None => self.plain.update(state, value, at, 0),
            Some(over) => self.update_parts(over, state, value, at),
        }
    }

    fn update_parts(
        &self,
        over: Over,
        state: &mut Partial,
        value: &Value,
        at: EventOrder<'_>,
    ) -> Result<(), AggregationError> {
        let Value::List(items) = value else { return Err(AggregationError::Foreign) };
        let parts = items.iter().enumerate().filter(|(_, item)| !item.is_null());
        let place = |position: usize| u32::try_from(position).unwrap_or(u32::MAX);
        match over {
            // A single last value has no room for its position: within one event the last element must come first.
            Over::Elements if self.plain.operation == Operation::Last => {
                let mut parts = parts.rev();
                parts.try_for_each(|(position, item)| self.plain.update(state, item, at, place(position)))
            }
            Over::Elements => {
                let mut parts = parts;
                parts.try_for_each(|(position, item)| self.plain.update(state, item, at, place(position)))
            }
            Over::Positions => {
                let Partial::Positions(positions) = state else { return Err(AggregationError::Foreign) };
                for (position, item) in parts {
                    let Positions::Exact(held) = &mut *positions else { return Ok(()) };
                    if position >= Self::MOST_POSITIONS {
                        *positions = Positions::TooMany;
                        return Ok(());
                    }
                    if held.len() <= position {
                        held.resize_with(position + 1, || self.plain.empty());
                    }
                    self.plain.update(&mut held[position], item, at, 0)?;
                }
                Ok(())
            }
        }
    }

    /// Adds what `other` holds to `state`.
    pub fn merge(&self, state: &mut Partial, other: &Partial) -> Result<(), AggregationError> {
        if self.by.is_none() {
            return self.merge_inside(state, other);
        }
        let (Partial::Buckets(ours), Partial::Buckets(theirs)) = (state, other) else {
            return Err(AggregationError::Foreign);
        };
        match (&mut *ours, theirs) {
            (Buckets::TooMany, _) => {}
            (_, Buckets::TooMany) => *ours = Buckets::TooMany,
            (Buckets::Exact(held), Buckets::Exact(theirs)) => {
                for (bucket, inside) in theirs {
                    match held.get_mut(bucket) {
                        Some(held) => self.merge_inside(held, inside)?,
                        None => {
                            held.insert(bucket.clone(), inside.clone());
                        }
                    }
                }
                if held.len() > Self::MOST_BUCKETS {
                    *ours = Buckets::TooMany;
                }
            }
        }
        Ok(())
    }

    fn merge_inside(&self, state: &mut Partial, other: &Partial) -> Result<(), AggregationError> {
        if self.over != Some(Over::Positions) {
            return self.plain.merge(state, other);
        }
        let (Partial::Positions(ours), Partial::Positions(theirs)) = (state, other) else {
            return Err(AggregationError::Foreign);
        };
        match (&mut *ours, theirs) {
            (Positions::TooMany, _) => {}
            (_, Positions::TooMany) => *ours = Positions::TooMany,
            (Positions::Exact(held), Positions::Exact(theirs)) => {
                if held.len() < theirs.len() {
                    held.resize_with(theirs.len(), || self.plain.empty());
                }
                for (ours, theirs) in held.iter_mut().zip(theirs) {
                    self.plain.merge(ours, theirs)?;
                }
            }
        }
        Ok(())
    }

    /// Takes away what `other` holds and what was merged or updated into `state` before. Exact.
    ///
    /// An error where [`Aggregation::is_reversible`] is false: rebuild the state from its events instead.
    pub fn unmerge(&self, state: &mut Partial, other: &Partial) -> Result<(), AggregationError> {
        self.plain.unmerge(state, other)
    }

    /// The value of the events in `state`. Empty: 0 for counts, null for all else, lists and maps included.
    pub fn finalise(&self, state: &Partial) -> Result<Value, AggregationError> {
        if self.by.is_none() {
            return self.finalise_inside(state);
        }
        match state {
            Partial::Buckets(Buckets::Exact(buckets)) if buckets.is_empty() => Ok(Value::Null),
            Partial::Buckets(Buckets::Exact(buckets)) => buckets
                .iter()
                .map(|(bucket, inside)| Ok((text_of(bucket), self.finalise_inside(inside)?)))
                .collect::<Result<Vec<_>, AggregationError>>()
                .map(Value::map),
            Partial::Buckets(Buckets::TooMany) => Err(AggregationError::TooManyBuckets),
            _ => Err(AggregationError::Foreign),
        }
    }

    fn finalise_inside(&self, state: &Partial) -> Result<Value, AggregationError> {
        if self.over != Some(Over::Positions) {
            return self.plain.finalise(state);
        }
        match state {
            Partial::Positions(Positions::Exact(positions)) if positions.is_empty() => Ok(Value::Null),
            Partial::Positions(Positions::Exact(positions)) => positions
                .iter()
                .map(|inside| self.plain.finalise(inside))
                .collect::<Result<Vec<_>, AggregationError>>()
                .map(Value::list),
            Partial::Positions(Positions::TooMany) => Err(AggregationError::TooManyPositions),
            _ => Err(AggregationError::Foreign),
        }
    }

    /// Whether `state` is made as the states of this aggregation are.
    pub(crate) fn owns(&self, state: &Partial) -> bool {
        match (self.by, state) {
            (None, state) => self.owns_inside(state),
            (Some(by), Partial::Buckets(Buckets::Exact(buckets))) => buckets
                .iter()
                .all(|(bucket, inside)| !bucket.is_null() && bucket.is_of(by) && self.owns_inside(inside)),
            (Some(_), state) => matches!(state, Partial::Buckets(Buckets::TooMany)),
        }
    }

    fn owns_inside(&self, state: &Partial) -> bool {
        let is_plain = |state: &Partial| self.plain.owns(state);
        match (self.over, state) {
            (Some(Over::Positions), Partial::Positions(Positions::Exact(positions))) => {
                positions.iter().all(is_plain)
            }
            (Some(Over::Positions), state) => matches!(state, Partial::Positions(Positions::TooMany)),
            (_, state) => is_plain(state),
        }
    }
}
