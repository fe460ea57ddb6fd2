//! Partial states: what a tile keeps of its events, enough to combine with other tiles in any order.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use shipway_core::{Timestamp, Value};

use crate::{
    bins::Bins,
    decimals::{DecimalPowers, WideSum},
    distinct_sketch::DistinctSketch,
    exact_sum::ExactSum,
    moments::{FloatMoments, IntMoments},
    powers::Powers,
};

/// A partial state. Belongs to one [`crate::Aggregation`]; mixing them is an error, never a wrong value.
#[derive(Debug, Clone, PartialEq)]
pub enum Partial {
    /// Number of events or of non-null values.
    Count(u64),
    /// Number and sum of integers.
    IntSum {
        /// Number of non-null values.
        count: u64,
        /// Their sum; 128 bits hold any number of 64-bit values that fits in memory.
        sum: i128,
    },
    /// Number and exact sum of floats.
    FloatSum {
        /// Number of non-null values.
        count: u64,
        /// Their exact sum.
        sum: ExactSum,
    },
    /// Number and sum of decimals.
    DecimalSum {
        /// Number of non-null values.
        count: u64,
        /// The sum of the values without their point.
        sum: WideSum,
    },
    /// Sums of powers of decimals.
    DecimalPowers(Box<DecimalPowers>),
    /// Moments of integers.
    IntMoments(IntMoments),
    /// Moments of floats.
    FloatMoments(FloatMoments),
    /// Sums of powers of numbers.
    Powers(Box<Powers>),
    /// The least or greatest value so far.
    Extreme(Option<Value>),
    /// The least or greatest values so far, the most extreme one first.
    Extremes(Vec<Value>),
    /// The first or last value so far, with its place in the order of events.
    Edge(Option<Edge>),
    /// The first or last values so far, the outermost one first.
    Edges(Vec<Placed>),
    /// The distinct values, or the fact that there are more than the bound.
    Distinct(Distinct),
    /// The distinct values, roughly.
    Sketch(DistinctSketch),
    /// Counts of numbers in bins.
    Bins(Bins),
    /// Counts of each value, or the fact that there are more distinct ones than the bound.
    Tally(Tally),
    /// A state for each value of the bucket column.
    Buckets(Buckets),
    /// A state for each position of a list.
    Positions(Positions),
}

/// A value with its place in the total order of events: by time, then by event id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    pub(crate) time: Timestamp,
    pub(crate) event_id: Arc<str>,
    pub(crate) value: Value,
}

/// An [`Edge`] with its position in the list that it came in; 0 for a column of single values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    pub(crate) edge: Edge,
    pub(crate) position: u32,
}

/// Distinct values up to a bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Distinct {
    /// All of them.
    Exact(BTreeSet<Value>),
    /// More than the bound; absorbs everything.
    TooMany,
}

/// Counts per value up to a number of distinct values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tally {
    /// All of them.
    Exact(BTreeMap<Value, u64>),
    /// More than the bound; absorbs everything.
    TooMany,
}

/// A state per bucket, up to [`crate::Aggregation::MOST_BUCKETS`]. A bucket is there when its state holds something.
#[derive(Debug, Clone, PartialEq)]
pub enum Buckets {
    /// All of them.
    Exact(BTreeMap<Value, Partial>),
    /// More than the bound; absorbs everything.
    TooMany,
}

/// A state per position, up to [`crate::Aggregation::MOST_POSITIONS`]. The last one holds something.
#[derive(Debug, Clone, PartialEq)]
pub enum Positions {
    /// All of them.
    Exact(Vec<Partial>),
    /// More than the bound; absorbs everything.
    TooMany,
}

impl Distinct {
    pub(crate) fn insert(&mut self, value: &Value, bound: u32) {
        if let Self::Exact(values) = self {
            if !values.contains(value) {
                values.insert(value.clone());
            }
            if values.len() > bound as usize {
                *self = Self::TooMany;
            }
        }
    }
}

impl Tally {
    pub(crate) fn add(&mut self, value: &Value, times: u64, bound: u32) {
        let Self::Exact(counts) = self else { return };
        match counts.get_mut(value) {
            Some(count) => *count = count.saturating_add(times),
            None => {
                counts.insert(value.clone(), times);
                if counts.len() > bound as usize {
                    *self = Self::TooMany;
                }
            }
        }
    }
}

impl Partial {
    /// Whether it holds no value and no event.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Count(count)
            | Self::IntSum { count, .. }
            | Self::FloatSum { count, .. }
            | Self::DecimalSum { count, .. } => *count == 0,
            Self::DecimalPowers(powers) => powers.count == 0,
            Self::IntMoments(moments) => moments.count == 0,
            Self::FloatMoments(moments) => moments.count == 0,
            Self::Powers(powers) => powers.count == 0,
            Self::Extreme(extreme) => extreme.is_none(),
            Self::Extremes(values) => values.is_empty(),
            Self::Edge(edge) => edge.is_none(),
            Self::Edges(edges) => edges.is_empty(),
            Self::Distinct(Distinct::Exact(values)) => values.is_empty(),
            Self::Sketch(sketch) => sketch.is_empty(),
            Self::Bins(bins) => bins.0.is_empty(),
            Self::Tally(Tally::Exact(counts)) => counts.is_empty(),
            Self::Buckets(Buckets::Exact(buckets)) => buckets.is_empty(),
            Self::Positions(Positions::Exact(positions)) => positions.is_empty(),
            Self::Distinct(Distinct::TooMany)
            | Self::Tally(Tally::TooMany)
            | Self::Buckets(Buckets::TooMany)
            | Self::Positions(Positions::TooMany) => false,
        }
    }
}
