//! Partial states: what a tile keeps of its events, enough to combine with other tiles in any order.

use std::{collections::BTreeSet, sync::Arc};

use shipway_core::{Timestamp, Value};

use crate::{
    exact_sum::ExactSum,
    moments::{FloatMoments, IntMoments},
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
    /// Moments of integers.
    IntMoments(IntMoments),
    /// Moments of floats.
    FloatMoments(FloatMoments),
    /// The least or greatest value so far.
    Extreme(Option<Value>),
    /// The first or last value so far, with its place in the order of events.
    Edge(Option<Edge>),
    /// The distinct values, or the fact that there are more than the bound.
    Distinct(Distinct),
}

/// A value with its place in the total order of events: by time, then by event id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    pub(crate) time: Timestamp,
    pub(crate) event_id: Arc<str>,
    pub(crate) value: Value,
}

/// Distinct values up to a bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Distinct {
    /// All of them.
    Exact(BTreeSet<Value>),
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
