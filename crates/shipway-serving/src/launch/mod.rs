//! Launches: a candidate comes to serve step by step, judged at each against the version that serves.
//!
//! Pure: nothing here loads, runs or stores anything.
//!
//! - `spec`: how a launch goes, and what it must keep to
//! - `stage`: where it stands
//! - `observed`: what was seen of the two versions in a stage
//! - `drift`: how far two samples of predictions are from each other
//! - `judge`: whether it goes on, waits, or is rolled back
//! - `status`: a launch, as it is kept and reported

pub(crate) mod drift;
pub(crate) mod judge;
pub(crate) mod observed;
pub(crate) mod spec;
pub(crate) mod stage;
pub(crate) mod status;
