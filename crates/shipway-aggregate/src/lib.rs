//! The windowed aggregation core: what a feature's value is, and how partial states of it combine. Pure, no I/O.
//!
//! Every path that computes a feature (training set, stream, online read) is built from these pieces, and every path is
//! property-tested against [`oracle`], the naive double loop that is the executable form of the semantics.
//!
//! - `operation`: the operations, and which column types they fit; `operation_text` how they are written
//! - `window`: windows, their hops, and the tail that they give a query time
//! - `aggregation`: one operation over one column, its lists and its buckets: empty, update, merge, unmerge, finalise
//! - `plain`: the same for single values
//! - `partial`: the partial states, `codec` their stored form
//! - `exact_sum`: float sums without rounding error until the end, so that no order or split of events changes a bit
//! - `moments`: count, sum and sum of squares, for variance; `powers`: up to fourth powers, for skewness and kurtosis
//! - `decimals`: exact sums and powers of decimals
//! - `bins`: counts in bins of fixed edges, for quantiles and histograms
//! - `distinct_sketch`: HyperLogLog, for approximate distinct counts
//! - `sliding`: a window that slides along sorted events, for the offline sweep
//! - `ranges`: the usual aggregations over a whole array of events at once, for the same
//! - `oracle`: the naive loop

#![deny(missing_docs)]

mod aggregation;
mod bins;
mod codec;
mod decimals;
mod distinct_sketch;
mod error;
mod exact_sum;
mod moments;
mod operation;
mod operation_text;
pub mod oracle;
mod partial;
mod plain;
mod powers;
mod ranges;
mod sliding;
mod window;

pub use aggregation::{Aggregation, EventOrder, Over, StateKind};
pub use bins::histogram_of_numbers;
pub use error::AggregationError;
pub use exact_sum::ExactSum;
pub use operation::Operation;
pub use operation_text::NotAnOperation;
pub use partial::Partial;
pub use ranges::{NO_PICK, RangeAnswers, RangeColumn, RangeValues, Ranges, answer_ranges, newest_of_ranges};
pub use sliding::SlidingWindow;
pub use window::{HOP_TABLE_VERSION, Window, hop_us};
