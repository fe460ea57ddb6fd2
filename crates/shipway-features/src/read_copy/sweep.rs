//! Removes what no head leads to any more: the rows of states that were replaced or retired, what a copy that broke off has
//! left, and old metadata. Little by little, and under the claim, so that whoever lost it removes nothing of the next owner's.

use std::collections::{BTreeMap, HashSet};

use shipway_online::copy::CopyKey;

use crate::read_copy::{
    buckets::{Rows, Trouble},
    ledger::Ledger,
    metadata::document,
    publisher::{Phase, Publisher},
};

impl Publisher {
    /// Removes some rows that no head leads to; says whether there may be more.
    pub(super) async fn sweep(&mut self) -> Result<bool, Trouble> {
        if self.phase != Phase::Following {
            return Ok(false);
        }
        let Some(current) = self.current.as_ref().map(|current| current.version) else { return Ok(false) };
        if self.survey.is_none() && std::mem::take(&mut self.must_sweep) {
            self.survey = Some(self.buckets.store().survey().await?);
        }
        let Some(survey) = &mut self.survey else { return Ok(false) };
        let Some(found) = self.buckets.store().go_on(survey).await? else {
            self.survey = None;
            return Ok(false);
        };
        let numbers: HashSet<u64> = self.ledgers.values().flat_map(Ledger::numbers).collect();
        let current = document(current);
        let mut garbage: BTreeMap<u32, Rows> = BTreeMap::new();
        for found in found {
            let is_garbage = match &found.key {
                CopyKey::Row { space, .. } => !numbers.contains(space),
                CopyKey::Document(name) => name.starts_with("metadata:") && *name != current,
            };
            if is_garbage && found.bucket < self.buckets.store().buckets() {
                garbage.entry(found.bucket).or_default().deletes.push(found.key);
            }
        }
        if !garbage.is_empty() {
            self.buckets.put(garbage.into_iter().collect()).await?;
        }
        Ok(true)
    }
}
