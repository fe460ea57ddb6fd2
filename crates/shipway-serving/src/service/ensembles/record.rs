//! What an ensemble answered, in its prediction log: what came in, what went out, and who answered in the steps.

use std::{sync::Arc, time::Instant};

use serde_json::json;
use shipway_core::{EntityKey, Sampling, Value};
use uuid::Uuid;

use super::{Ensemble, Ready, features::Gathered};
use crate::{
    ensemble::{run::Ran, values},
    error::ServingError,
    launch::stage::Variant,
    prediction_log::{Entry, Room},
    service::Serving,
};

impl Serving {
    /// Queues the rows of an answer for the log.
    pub(super) fn record(
        &self,
        (ensemble, ready): (&Ensemble, &Ready),
        gathered: &Gathered,
        ran: &Ran,
        (request_id, started): (Uuid, Instant),
        room: Room,
    ) -> Result<(), ServingError> {
        let rows = ran.outputs.first().map_or(0, |column| column.len());
        let numbers: Vec<usize> = (0..rows).filter(|row| is_kept(gathered, *row)).collect();
        if numbers.is_empty() {
            return Ok(());
        }
        let schema = Arc::clone(&gathered.bound.schema);
        let steps = Value::text(json!(ran.steps).to_string());
        let row = |number: &usize| {
            let mut row = gathered.keys.get(*number).cloned().unwrap_or_default();
            let value = |place: &usize| match gathered.read.get(*number) {
                Some(read) => read.get(*place).cloned().unwrap_or(Value::Null),
                None => cell(&gathered.inputs, *place, *number),
            };
            row.extend(schema.values.iter().map(value));
            row.extend((0..ran.outputs.len()).map(|place| cell(&ran.outputs, place, *number)));
            row.push(steps.clone());
            row
        };
        let overridden = gathered.overrides.logged();
        let given = |number: &usize| overridden.get(*number).cloned().flatten();
        let entry = Entry {
            request_id: request_id.to_string(),
            at: gathered.at,
            served_at: self.inner.clock.now(),
            deployment: ensemble.name.clone(),
            model: ensemble.name.to_string(),
            version: ensemble.version,
            variant: Variant::Stable,
            artifact: ensemble.digest,
            service: gathered.service.clone(),
            watermarks: gathered.watermarks.clone(),
            overridden: if overridden.is_empty() { overridden } else { numbers.iter().map(given).collect() },
            rows: numbers.iter().map(row).collect(),
            predictions: numbers
                .iter()
                .map(|number| values::numbers(&ran.outputs, &ready.outputs, *number))
                .collect(),
            numbers,
            latency_us: u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
            schema,
        };
        self.inner.log.write(entry, room)
    }
}

fn cell(columns: &[Arc<Vec<Value>>], place: usize, row: usize) -> Value {
    columns.get(place).and_then(|column| column.get(row)).cloned().unwrap_or(Value::Null)
}

/// Whether a row is logged, as its service says.
fn is_kept(gathered: &Gathered, row: usize) -> bool {
    match gathered.log {
        Sampling::All => true,
        sampling => {
            let key = gathered.keys.get(row).and_then(EntityKey::encode);
            sampling.keeps(key.as_ref().map_or(&[], EntityKey::as_bytes))
        }
    }
}
