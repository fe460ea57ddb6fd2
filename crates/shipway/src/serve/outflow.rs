//! The feature platform, as sinks need it.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use shipway_core::{Failure, Name};
use shipway_definitions::{Sink, SinkFrom, SinkTo};
use shipway_features::{Features, FeaturesError, SinkOrigin, SinkRows, SinkRun, SinkSpec};
use shipway_streams::{LeftOut, Outflow, Outlet, Rows, Standing};

type Refused = Box<dyn Failure + Send + Sync>;

/// Gives out what sinks send.
pub(super) struct OutflowForSinks(pub(super) Features);

#[async_trait]
impl Outflow for OutflowForSinks {
    async fn keep(&self, sinks: &[Arc<Sink>]) -> Result<(), Refused> {
        let specs: Vec<SinkSpec> = sinks.iter().map(|sink| spec(sink)).collect();
        self.0.keep_sinks(&specs).await.map_err(refused)
    }

    async fn open(&self, sink: &Sink) -> Result<Box<dyn Outlet>, Refused> {
        let rows = self.0.open_sink(&spec(sink)).await.map_err(refused)?;
        Ok(Box::new(RowsOfSink(rows)))
    }

    fn standing(&self, sink: &Name) -> Option<Standing> {
        let standing = self.0.sink_standing(sink)?;
        Some(Standing {
            position: standing.position,
            lag: standing.lag,
            unit: standing.unit.word(),
            waits_for: standing.waits_for,
            is_resending: standing.is_resending,
            skipped: standing.skipped,
            skipped_at: standing.skipped_at,
        })
    }

    async fn resend(&self, sink: &Sink) -> Result<(), Refused> {
        self.0.resend_sink(&spec(sink)).await.map_err(refused)
    }

    async fn acknowledge(&self, sink: &Name) -> Result<(), Refused> {
        self.0.acknowledge_sink(sink).await.map_err(refused)
    }
}

struct RowsOfSink(SinkRows);

#[async_trait]
impl Outlet for RowsOfSink {
    async fn next(&mut self) -> Result<Rows, Refused> {
        let SinkRun { columns, key, rows, left_out, oldest } = self.0.next().await.map_err(refused)?;
        let left_out = left_out.map(|left_out| LeftOut {
            rows: left_out.rows,
            code: left_out.code,
            reason: left_out.reason,
        });
        Ok(Rows { columns, key, rows, left_out, oldest })
    }

    fn sent(&mut self) {
        self.0.sent();
    }

    async fn append(&mut self, rows: Rows) -> Result<(), Refused> {
        let Rows { columns, key, rows, oldest, left_out: _ } = rows;
        let run = SinkRun { columns, key, rows, left_out: None, oldest };
        self.0.append(&run).await.map_err(refused)
    }

    async fn close(self: Box<Self>) -> Result<(), Refused> {
        self.0.close().await.map_err(refused)
    }
}

/// A sink in the words of the feature platform, which knows tables and no deployments.
fn spec(sink: &Sink) -> SinkSpec {
    let (into, key) = match &sink.to {
        SinkTo::Topic { key, .. } => (None, key.clone()),
        SinkTo::Table(table) => (Some(table.clone()), Vec::new()),
    };
    let origin = match &sink.from {
        SinkFrom::View(view) => SinkOrigin::View(view.clone()),
        SinkFrom::Deployment(deployment) => {
            SinkOrigin::Table { table: shipway_serving::table_of(deployment), key }
        }
        SinkFrom::Table(table) => SinkOrigin::Table { table: table.clone(), key },
    };
    let every = sink.every.map(|every| Duration::from_micros(every.micros().unsigned_abs()));
    SinkSpec { name: sink.name.clone(), origin, into, every }
}

fn refused(error: FeaturesError) -> Refused {
    Box::new(error)
}
