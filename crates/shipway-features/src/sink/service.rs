//! What others ask of sinks: that their places are kept, their rows, how far they are.

use std::{sync::Arc, time::Duration};

use shipway_core::Name;

use super::{
    book::{Place, Resend, SinkStanding},
    of_table::TableRows,
    of_view::ViewRows,
    rows::{Filled, Noted, Origin, SinkRows},
};
use crate::{Features, error::FeaturesError};

/// How often a table is filled where nothing is said: each time makes a file.
const FILL_EVERY: Duration = Duration::from_secs(10);
/// How often a table is looked at where nothing is said.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A sink, as far as its rows are concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkSpec {
    /// Its name.
    pub name: Name,
    /// What its rows are of.
    pub origin: SinkOrigin,
    /// The table that they go into; none: they go elsewhere.
    pub into: Option<Name>,
    /// How often there are rows, at most; none: as soon as there are some, every ten seconds for a table.
    pub every: Option<Duration>,
}

/// What the rows of a sink are of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SinkOrigin {
    /// The keys of a view whose events come.
    View(Name),
    /// What a table gains.
    Table {
        /// The table. It may not exist yet.
        table: String,
        /// The columns that a row is known by.
        key: Vec<String>,
    },
}

impl Features {
    /// From now on keeps the places of these sinks and of no others. A sink that is new, or of something else than before, begins with
    /// what comes from now on. To be called when the definitions are installed.
    pub async fn keep_sinks(&self, sinks: &[SinkSpec]) -> Result<(), FeaturesError> {
        let book = &self.inner.sinks;
        for gone in book.names().into_iter().filter(|held| sinks.iter().all(|sink| sink.name != *held)) {
            crate::store::sinks::forget(&self.inner.store, gone.as_str()).await?;
            book.forget(&gone);
        }
        for sink in sinks {
            let begin = match &sink.origin {
                SinkOrigin::View(view) => self.begin_of_view(sink, view)?,
                SinkOrigin::Table { table, .. } => self.begin_of_table(sink, table).await?,
            };
            if let Some(place) = begin {
                book.begin(&sink.name, place);
                book.note(&self.inner.store, &sink.name, self.inner.clock.now()).await?;
            }
        }
        Ok(())
    }

    /// Where a sink of a view has to begin; none: it goes on where it stands.
    fn begin_of_view(&self, sink: &SinkSpec, view: &Name) -> Result<Option<Place>, FeaturesError> {
        let source = self.source_of(view)?;
        match self.inner.sinks.place(&sink.name) {
            Some(Place::Log { source: held, .. }) if held == source => Ok(None),
            _ => {
                let offset = self.inner.source(source.as_str())?.topic.end();
                Ok(Some(Place::Log { source, offset, resend: None }))
            }
        }
    }

    async fn begin_of_table(&self, sink: &SinkSpec, table: &str) -> Result<Option<Place>, FeaturesError> {
        if let Some(Place::Table { table: held, .. }) = self.inner.sinks.place(&sink.name)
            && held == table
        {
            return Ok(None);
        }
        let identity = self.inner.lake.identity(table).await?;
        let (id, version) = identity.map_or((None, 0), |table| (Some(table.id), table.version + 1));
        Ok(Some(Place::Table { table: table.to_owned(), id, version, parts: 0 }))
    }

    fn source_of(&self, view: &Name) -> Result<Name, FeaturesError> {
        let definitions = self.inner.definitions();
        let found = definitions.view(view.as_str()).map(|view| view.definition.source.clone());
        found.map_err(|_| FeaturesError::UnknownView { name: view.to_string(), nearest: None })
    }

    /// The rows of a sink, from where it stands. Its place must be kept ([`Features::keep_sinks`]), and whoever opened it before must be
    /// done with it.
    pub async fn open_sink(&self, sink: &SinkSpec) -> Result<SinkRows, FeaturesError> {
        let inner = &self.inner;
        let default = if sink.into.is_some() { FILL_EVERY } else { Duration::ZERO };
        let mut filled = None;
        let origin = match &sink.origin {
            SinkOrigin::View(view) => {
                let source = self.source_of(view)?;
                if let Some(table) = &sink.into {
                    filled = Some(self.filled(sink, table, &source).await?);
                }
                let every = sink.every.unwrap_or(default);
                let of_view = (view.clone(), &source);
                let rows = ViewRows::open(Arc::clone(inner), sink.name.clone(), of_view, every)?;
                Origin::View(Box::new(rows))
            }
            SinkOrigin::Table { table, key } => {
                let every = sink.every.unwrap_or(LOOK_EVERY);
                let of_table = (table.clone(), key.clone());
                Origin::Table(Box::new(TableRows::open(
                    Arc::clone(inner),
                    sink.name.clone(),
                    of_table,
                    every,
                )))
            }
        };
        Ok(SinkRows {
            inner: Arc::clone(inner),
            sink: sink.name.clone(),
            origin,
            filled,
            noted: Noted::default(),
        })
    }

    /// The table of a sink. What it says of how far the sink has come counts, where it says more than what was written down.
    async fn filled(&self, sink: &SinkSpec, table: &Name, source: &Name) -> Result<Filled, FeaturesError> {
        let lake = &self.inner.lake;
        // Offsets of two logs are nothing to each other.
        let application = format!("sink-{}-{source}", sink.name);
        if lake.exists(table.as_str()).await?
            && let Some(seen) = lake.transaction_version(table.as_str(), &application).await?
        {
            self.inner.sinks.moved(&sink.name, |place| {
                if let Place::Log { offset, .. } = place {
                    *offset = (*offset).max(seen.unsigned_abs());
                }
            });
        }
        Ok(Filled { table: table.to_string(), application, columns: None })
    }

    /// How far a sink is; none where its place is not kept.
    pub fn sink_standing(&self, sink: &Name) -> Option<SinkStanding> {
        let log_end = |source: &Name| Some(self.inner.source(source.as_str()).ok()?.topic.end());
        self.inner.sinks.standing(sink, log_end)
    }

    /// Has the row of every key of the sink's view sent once more, beside those whose events come. What was skipped before is made good
    /// by that. Asked for again while it is under way, it begins anew.
    pub async fn resend_sink(&self, sink: &SinkSpec) -> Result<(), FeaturesError> {
        if sink.into.is_some() || matches!(sink.origin, SinkOrigin::Table { .. }) {
            return Err(FeaturesError::NotResent { sink: sink.name.to_string() });
        }
        self.inner.sinks.moved(&sink.name, |place| {
            if let Place::Log { resend, .. } = place {
                *resend = Some(Resend::default());
            }
        });
        self.inner.sinks.note(&self.inner.store, &sink.name, self.inner.clock.now()).await?;
        self.inner.sinks.wake(&sink.name).notify_one();
        Ok(())
    }

    /// Somebody has seen that the sink skipped something: it is told no more.
    pub async fn acknowledge_sink(&self, sink: &Name) -> Result<(), FeaturesError> {
        self.inner.sinks.acknowledged(sink);
        self.inner.sinks.note(&self.inner.store, sink, self.inner.clock.now()).await
    }
}
