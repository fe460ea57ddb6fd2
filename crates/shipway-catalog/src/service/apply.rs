//! Plans and applies a proposal.

use std::sync::Arc;

use serde_json::json;
use shipway_definitions::DefinitionSet;
use shipway_store::audit::{self, AuditEntry};

use crate::{
    Action, CatalogError, Change, Plan,
    plan::{Recorded, plan},
    service::{Applying, Catalog, Proposal, RecordedRevision, Revisions},
    store::{self, NewRevision},
};

impl Catalog {
    /// What applying `proposal` would do. Changes nothing.
    pub async fn plan(&self, proposal: &Proposal) -> Result<Plan, CatalogError> {
        let records = self.shared.records.read().await;
        Ok(judge(&records.recorded, proposal)?.1)
    }

    /// Applies `proposal` for `actor`: everything is recorded and audited in one transaction or nothing is, then the
    /// listeners install it, then it is published. Runs to its end even when the caller stops waiting.
    ///
    /// The same proposal again does nothing, except that listeners which failed are called again.
    pub async fn apply(&self, actor: &str, proposal: &Proposal) -> Result<Plan, CatalogError> {
        if self.shared.tasks.is_closed() {
            return Err(CatalogError::Closed);
        }
        let (catalog, actor, proposal) = (self.clone(), actor.to_owned(), proposal.clone());
        let task = self.shared.tasks.spawn(async move { catalog.apply_to_the_end(&actor, &proposal).await });
        task.await.map_err(CatalogError::Stopped)?
    }

    async fn apply_to_the_end(&self, actor: &str, proposal: &Proposal) -> Result<Plan, CatalogError> {
        let mut applying = self.shared.applying.lock().await;
        let mut records = self.shared.records.read().await.clone();
        let (next, plan) = judge(&records.recorded, proposal)?;
        if plan.has_changes() {
            self.record(actor, &plan, &next, &mut records.revisions).await?;
            for source in next.sources.values() {
                records.recorded.remember(&source.definition);
            }
            records.recorded.set = next;
            *self.shared.records.write().await = records;
            applying.is_installed = false;
        }
        self.install(&mut applying).await?;
        Ok(plan)
    }

    async fn install(&self, applying: &mut Applying) -> Result<(), CatalogError> {
        if applying.is_installed {
            return Ok(());
        }
        let set = Arc::new(self.shared.records.read().await.recorded.set.clone());
        for listener in &applying.listeners {
            let installed = listener.applied(set.clone()).await;
            installed.map_err(|failure| CatalogError::NotInstalled { failure })?;
        }
        applying.is_installed = true;
        self.shared.published.send_replace(set);
        Ok(())
    }

    /// Records the changes, and brings `revisions` to what is recorded then.
    async fn record(
        &self,
        actor: &str,
        plan: &Plan,
        next: &DefinitionSet,
        revisions: &mut Revisions,
    ) -> Result<(), CatalogError> {
        let now = self.now();
        let mut transaction = self.shared.store.begin().await?;
        for change in &plan.changes {
            let subject = &change.subject;
            let of_subject = revisions.entry((subject.kind, subject.name.clone())).or_default();
            for revision in of_subject.iter_mut() {
                revision.in_force = false;
            }
            match next.stored(subject.kind, subject.name.as_str()) {
                Some((content, hash)) if change.action != Action::Removed => {
                    let new = NewRevision {
                        kind: subject.kind,
                        name: subject.name.as_str(),
                        hash,
                        content: content.to_string(),
                        applied_at: now,
                        applied_by: actor,
                    };
                    let revision = store::record(&mut transaction, &new).await?;
                    of_subject.push(RecordedRevision {
                        revision,
                        hash,
                        applied_at: now,
                        applied_by: actor.to_owned(),
                        in_force: true,
                    });
                }
                _ => store::end(&mut transaction, subject.kind, subject.name.as_str()).await?,
            }
            audit::record(&mut transaction, &entry(actor, change), now).await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}

/// What would be in force, and the way there.
fn judge(recorded: &Recorded, proposal: &Proposal) -> Result<(DefinitionSet, Plan), CatalogError> {
    let nothing = DefinitionSet::default();
    let base = if proposal.prune { &nothing } else { &recorded.set };
    let proposed = DefinitionSet::parse_onto(&proposal.files, base)?;
    let plan = plan(recorded, &proposed, proposal.prune)?;
    Ok((recorded.set.overlaid(&proposed, proposal.prune), plan))
}

fn entry(actor: &str, change: &Change) -> AuditEntry {
    AuditEntry {
        actor: actor.to_owned(),
        action: "definitions.apply".to_owned(),
        subject: format!("{}/{}", change.subject.kind, change.subject.name),
        detail: json!({ "action": change.action, "before": change.before, "after": change.after }),
    }
}
