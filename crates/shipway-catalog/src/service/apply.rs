//! Plans and carries out a proposal, or the drop of one definition.

use std::sync::Arc;

use serde_json::json;
use shipway_definitions::DefinitionSet;
use shipway_store::audit::{self, AuditEntry};

use crate::{
    Action, Binding, CatalogError, Change, Plan, Subject,
    plan::{self, Recorded},
    service::{Applying, Catalog, Proposal, RecordedRevision, Revisions},
    store::{self, NewRevision},
};

/// What is to be carried out.
enum Order {
    Apply(Proposal),
    Drop(Subject),
}

impl Order {
    /// The word for it in the audit.
    fn action(&self) -> &'static str {
        match self {
            Self::Apply(_) => "definitions.apply",
            Self::Drop(_) => "definitions.drop",
        }
    }
}

impl Catalog {
    /// What applying `proposal` would do. Changes nothing.
    pub async fn plan(&self, proposal: &Proposal) -> Result<Plan, CatalogError> {
        let recorded = self.shared.records.read().await.recorded.clone();
        let bindings = self.bindings().await?;
        let (next, mut plan) = judge(&recorded, proposal, &bindings)?;
        self.estimate(&next, &mut plan).await;
        Ok(plan)
    }

    /// What dropping a definition would do. Changes nothing.
    pub async fn plan_drop(&self, kind: &str, name: &str) -> Result<Plan, CatalogError> {
        let subject = self.in_force(kind, name).await?;
        let current = self.shared.records.read().await.recorded.set.clone();
        Ok(plan::drop(&current, subject, &self.bindings().await?)?.1)
    }

    /// Takes one definition out of force for `actor`, as [`Catalog::apply`] does: recorded, audited, installed, published. It
    /// is refused while something that is in force, or that answers somebody, uses it.
    pub async fn drop(&self, actor: &str, kind: &str, name: &str) -> Result<Plan, CatalogError> {
        let subject = self.in_force(kind, name).await?;
        self.carry_out(actor, Order::Drop(subject)).await
    }

    /// Applies `proposal` for `actor`: everything is recorded and audited in one transaction or nothing is, then the
    /// listeners install it, then it is published. Runs to its end even when the caller stops waiting.
    ///
    /// The same proposal again does nothing, except that listeners which failed are called again.
    pub async fn apply(&self, actor: &str, proposal: &Proposal) -> Result<Plan, CatalogError> {
        self.carry_out(actor, Order::Apply(proposal.clone())).await
    }

    async fn carry_out(&self, actor: &str, order: Order) -> Result<Plan, CatalogError> {
        if self.shared.tasks.is_closed() {
            return Err(CatalogError::Closed);
        }
        let (catalog, actor) = (self.clone(), actor.to_owned());
        let task = self.shared.tasks.spawn(async move { catalog.carry_out_to_the_end(&actor, order).await });
        task.await.map_err(CatalogError::Stopped)?
    }

    async fn carry_out_to_the_end(&self, actor: &str, order: Order) -> Result<Plan, CatalogError> {
        let mut applying = self.shared.applying.lock().await;
        let mut records = self.shared.records.read().await.clone();
        let bindings = self.bindings().await?;
        let action = order.action();
        let (next, mut plan) = match order {
            Order::Apply(proposal) => judge(&records.recorded, &proposal, &bindings)?,
            Order::Drop(subject) => plan::drop(&records.recorded.set, subject, &bindings)?,
        };
        // Before anything is built: what is there already costs nothing.
        self.estimate(&next, &mut plan).await;
        if plan.has_changes() {
            self.record((actor, action), &plan, &next, &mut records.revisions).await?;
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
        (actor, action): (&str, &str),
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
            audit::record(&mut transaction, &entry(actor, action, change), now).await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}

/// What would be in force, and the way there.
fn judge(
    recorded: &Recorded,
    proposal: &Proposal,
    bindings: &[Binding],
) -> Result<(DefinitionSet, Plan), CatalogError> {
    let nothing = DefinitionSet::default();
    let base = if proposal.prune { &nothing } else { &recorded.set };
    let proposed = DefinitionSet::parse_onto(&proposal.files, base)?;
    let plan = plan::plan(recorded, &proposed, proposal.prune, bindings)?;
    Ok((recorded.set.overlaid(&proposed, proposal.prune), plan))
}

fn entry(actor: &str, action: &str, change: &Change) -> AuditEntry {
    AuditEntry {
        actor: actor.to_owned(),
        action: action.to_owned(),
        subject: format!("{}/{}", change.subject.kind, change.subject.name),
        detail: json!({ "action": change.action, "before": change.before, "after": change.after }),
    }
}
