//! One step: every source that can go on comes to its published state, all at once.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Instant,
};

use bytes::Bytes;
use shipway_core::{Digest, Name, Timestamp};
use shipway_definitions::DefinitionSet;
use shipway_online::copy::CopyKey;
use uuid::Uuid;

use crate::{
    error::FeaturesError,
    materialise::Published,
    read_copy::{
        buckets::Trouble,
        head::CopiedMoment,
        ledger::{Ledger, LiveState},
        metadata::{Metadata, States, document, states_of},
        piece::{KEYS_AT_ONCE, Piece},
        publisher::{Current, HEARTBEAT, Look, Phase, Publisher},
        status::FullCopy,
    },
    source::SourceRuntime,
};

/// A source that goes on.
struct Planned {
    name: Name,
    published: Arc<Published>,
    /// The states that readers get then.
    next: BTreeMap<Digest, LiveState>,
    moment: CopiedMoment,
}

impl Publisher {
    /// Brings every source that can go on to its published state, at once; says whether there was anything to write.
    pub(super) async fn step(&mut self, looks: &[Look]) -> Result<bool, Trouble> {
        let Some(planned) = self.plan(looks) else { return Ok(false) };
        let mut states =
            if self.phase == Phase::Anew { States::new() } else { states_of(self.ledgers.iter()) };
        states.extend(planned.iter().map(|planned| (planned.name.clone(), planned.next.clone())));
        let definitions = self.inner.definitions();
        let content = self.content(&definitions, &states)?;
        let is_other = self.current.as_ref().is_none_or(|current| current.content != content);
        let version = match &self.current {
            Some(current) if !is_other => current.version,
            _ => Uuid::new_v4(),
        };
        let current = Current { version, content, definitions, states };
        let has_changed = planned.iter().any(|planned| {
            let ledger = &self.ledgers[&planned.name];
            ledger.moment() != Some(planned.moment) || !ledger.changed_live(&planned.next).is_empty()
        });
        let is_due = self.written.is_none_or(|at| at.elapsed() >= HEARTBEAT);
        if !(is_other || has_changed || is_due || self.buckets.is_in_doubt()) {
            return Ok(false);
        }
        let mut piece = self.pieces(&planned).await?;
        if is_other {
            piece.first().puts.push((CopyKey::Document(document(version)), current.content.clone()));
        }
        let old = std::mem::take(&mut self.old_documents);
        piece.first().deletes.extend(old.iter().map(|version| CopyKey::Document(document(*version))));
        let moments: Vec<CopiedMoment> =
            current.states.keys().filter_map(|name| self.moment_of(name, &planned)).collect();
        let now = self.inner.clock.now();
        let stepped = self.buckets.step(piece.into_rows(), |head| {
            (head.is_whole, head.version, head.written_us) = (true, version, now.micros());
            head.moments.clone_from(&moments);
        });
        if let Err(trouble) = stepped.await {
            self.old_documents = old;
            return Err(trouble);
        }
        metrics::counter!("shipway_read_copy_steps_total").increment(1);
        self.stepped(planned, current, is_other, now);
        Ok(true)
    }

    /// The sources that go on; `None` while a copy that must be whole is not.
    fn plan(&self, looks: &[Look]) -> Option<Vec<Planned>> {
        let must_be_whole = self.phase == Phase::Anew;
        // A source whose first state is still on its way was maybe there before.
        let is_missing = |runtime: &Arc<SourceRuntime>| looks.iter().all(|look| look.name != runtime.name);
        if must_be_whole && self.runtimes().iter().any(is_missing) {
            return None;
        }
        let mut planned = Vec::with_capacity(looks.len());
        for Look { name, published } in looks {
            let next = self.ledgers.get(name).and_then(|ledger| ledger.next(&published.views, must_be_whole));
            let (applied, watermark_us) = (published.applied, published.watermark.micros());
            let moment = CopiedMoment { applied, watermark_us };
            match next {
                Some(next) => planned.push(Planned {
                    name: name.clone(),
                    published: Arc::clone(published),
                    next,
                    moment,
                }),
                None if must_be_whole => return None,
                None => {}
            }
        }
        Some(planned)
    }

    fn moment_of(&self, name: &Name, planned: &[Planned]) -> Option<CopiedMoment> {
        let planned = planned.iter().find(|planned| planned.name == *name).map(|planned| planned.moment);
        planned.or_else(|| self.ledgers.get(name)?.moment())
    }

    /// The metadata as bytes; the same bytes while nothing of them changed.
    fn content(&self, definitions: &Arc<DefinitionSet>, states: &States) -> Result<Bytes, FeaturesError> {
        if let Some(current) = &self.current
            && Arc::ptr_eq(&current.definitions, definitions)
            && current.states == *states
        {
            return Ok(current.content.clone());
        }
        let versions = |kind, name: &Name| self.inner.versions(kind, name);
        let buckets = self.buckets.store().buckets();
        let written = Metadata::of(definitions, states, versions, buckets)
            .and_then(|metadata| serde_json::to_vec(&metadata));
        Ok(written.map_err(|error| FeaturesError::File(error.into()))?.into())
    }

    /// The rows of the step. What is more than one piece is written before: readers of those keys wait for the step.
    async fn pieces(&mut self, planned: &[Planned]) -> Result<Piece, Trouble> {
        let mut piece = Piece::default();
        for Planned { name, published, next, moment } in planned {
            for (state, number, keys) in self.ledgers[name].changed_live(next) {
                for keys in keys.chunks(KEYS_AT_ONCE) {
                    if piece.is_full() {
                        self.buckets.put(std::mem::take(&mut piece).into_rows()).await?;
                    }
                    let rows = self.read(published, state, keys.to_vec()).await?;
                    piece.add(&self.buckets, number, moment.applied, rows);
                }
            }
        }
        Ok(piece)
    }

    /// Notes that a step was made.
    fn stepped(&mut self, planned: Vec<Planned>, current: Current, is_other: bool, now: Timestamp) {
        let numbers = |ledgers: &BTreeMap<Name, Ledger>| -> HashSet<u64> {
            ledgers.values().flat_map(Ledger::numbers).collect()
        };
        if self.phase == Phase::Anew {
            let rows = self.ledgers.values().flat_map(|ledger| ledger.copies().values());
            let full_copy = FullCopy {
                ended: now,
                rows: rows.map(|copying| copying.rows).sum(),
                seconds: self.anew_since.elapsed().as_secs_f64(),
            };
            metrics::counter!("shipway_read_copy_full_copies_total").increment(1);
            tracing::info!(rows = full_copy.rows, seconds = full_copy.seconds, "the read copy is whole");
            self.owner.shown().full_copy = Some(full_copy);
            (self.phase, self.must_sweep) = (Phase::Following, true);
        }
        let before = numbers(&self.ledgers);
        for Planned { name, next, moment, .. } in planned {
            self.ledger(&name).stepped(next, moment);
        }
        self.must_sweep |= !before.is_subset(&numbers(&self.ledgers));
        let old = self.current.replace(current);
        self.old_documents.extend(old.filter(|_| is_other).map(|old| old.version));
        self.written = Some(Instant::now());
        self.owner.shown().written = Some(now);
    }
}
