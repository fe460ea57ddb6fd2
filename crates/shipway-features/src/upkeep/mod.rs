//! History keeps itself healthy: every table gets its upkeep in the background, one at a time.
//!
//! - `layout`: how the rows of a table lie best: by the keys of its views, and by time
//! - `task`: looks at the tables on a schedule, and backs off from one that fails
//! - `book`: what was done to which table, for people and for metrics

mod book;
mod layout;
mod task;

use shipway_lake::{Effort, Maintained};

pub use book::TableUpkeep;
pub(crate) use book::UpkeepBook;
pub(crate) use task::run;

use crate::{Features, FeaturesError};

impl Features {
    /// Joins and sorts the files of a table now, as far as it goes, and removes what is older than the retention.
    pub async fn maintain(&self, table: &str) -> Result<Maintained, FeaturesError> {
        self.inner.maintain(table, Effort::Everything).await
    }

    /// What the upkeep did to each table since the server started, by name.
    pub fn upkeep(&self) -> Vec<TableUpkeep> {
        self.inner.upkeep.all()
    }
}
