//! What building the state of a view from history costs: told before it is done, from the statistics of the files and the speed
//! of earlier builds.

use shipway_core::Timestamp;
use shipway_definitions::{Versioned, View};

use crate::{
    Features,
    error::FeaturesError,
    state::ViewLayout,
    store::builds::{self, BuildRow},
};

/// So many of the newest builds tell the speed.
const MEASURED: u32 = 20;
/// Builds of fewer rows say more about starting than about speed.
const FEWEST_ROWS: u64 = 1_000;

/// The speed of a server that has built nothing yet: that of two slow cores.
const ASSUMED_ROWS_PER_SECOND: f64 = 100_000.0;

/// What a build reads, and how long that should take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BuildCost {
    /// Rows of history that are read, at most.
    pub rows: u64,
    /// The files that hold them.
    pub files: u64,
    /// The bytes of these files.
    pub bytes: u64,
    /// How long it should take.
    pub seconds: f64,
    /// How fast builds are.
    pub rows_per_second: f64,
    /// Over how many builds that was measured; 0: the speed is assumed.
    pub measured_builds: u64,
}

impl Features {
    /// The cost of building `view` from history now; `None` when its state is there already, or being built. Costs a look at
    /// the table's log.
    pub async fn build_cost(&self, view: &Versioned<View>) -> Result<Option<BuildCost>, FeaturesError> {
        let inner = &self.inner;
        let definition = &view.definition;
        let mut from = None;
        if let Ok(runtime) = inner.source(definition.source.as_str())
            && let Some(published) = runtime.published()
        {
            if published.views.contains_key(&view.hash) {
                return Ok(None);
            }
            // A column that is added together with the view is in no event yet.
            let layout = ViewLayout::new(definition, view.hash, &runtime.shape().schema).ok();
            let earliest = layout.map(|layout| layout.reach(published.watermark).earliest);
            from = earliest.filter(|earliest| *earliest != i64::MIN).map(Timestamp);
        }
        let (source, time) = (definition.source.as_str(), definition.event_time.as_str());
        let extent = inner.lake.extent(source, time, from).await?;
        let measured = measured(&builds::newest(&inner.store, MEASURED).await?);
        let rows_per_second = measured.rows_per_second();
        Ok(Some(BuildCost {
            rows: extent.rows,
            files: extent.files,
            bytes: extent.bytes,
            seconds: extent.rows as f64 / rows_per_second,
            rows_per_second,
            measured_builds: measured.builds,
        }))
    }
}

/// Builds together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Measured {
    builds: u64,
    rows: u64,
    spent_us: u64,
}

fn measured(builds: &[BuildRow]) -> Measured {
    builds.iter().filter(|build| build.rows >= FEWEST_ROWS).fold(Measured::default(), |sum, build| Measured {
        builds: sum.builds + 1,
        rows: sum.rows + build.rows,
        spent_us: sum.spent_us + build.spent_us,
    })
}

impl Measured {
    /// All rows over all the time.
    fn rows_per_second(self) -> f64 {
        match self.spent_us {
            0 => ASSUMED_ROWS_PER_SECOND,
            spent_us => self.rows as f64 * 1e6 / spent_us as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use shipway_core::Digest;

    use super::*;

    fn build(rows: u64, spent_us: u64) -> BuildRow {
        BuildRow {
            view: "v".to_owned(),
            view_hash: Digest::of("v"),
            generation: 0,
            source: "s".to_owned(),
            rows,
            spent_us,
            keys: None,
            differing: None,
            ended: Timestamp(0),
        }
    }

    #[test]
    fn the_speed_is_that_of_all_rows_over_all_the_time_and_small_builds_say_nothing() {
        let builds = [build(1_000_000, 500_000), build(2_000_000, 1_000_000), build(10, 1_000_000)];
        let measured = measured(&builds);
        assert_eq!((measured.builds, measured.rows_per_second()), (2, 2_000_000.0));
        assert_eq!(Measured::default().rows_per_second(), ASSUMED_ROWS_PER_SECOND);
    }
}
