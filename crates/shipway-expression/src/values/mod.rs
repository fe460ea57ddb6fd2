//! What operators and functions do to values, none of which is null. Each is total: what has no answer is null. The compiler
//! has checked the types; a value of another type is null here and never comes.

pub(crate) mod calendar;
pub(crate) mod cast;
pub(crate) mod decimals;
pub(crate) mod nested;
pub(crate) mod numbers;
pub(crate) mod texts;
pub(crate) mod time;
