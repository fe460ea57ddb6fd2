//! What the ports know about a plan: who is bound to the services, and what builds cost.

use shipway_core::failure::chain;
use shipway_definitions::DefinitionSet;

use crate::{Binding, CatalogError, Plan, service::Catalog};

impl Catalog {
    /// Everybody who is bound to a version of a service. A part that cannot say fails it: nothing may go on a guess.
    pub(super) async fn bindings(&self) -> Result<Vec<Binding>, CatalogError> {
        let mut bindings = Vec::new();
        for port in self.shared.ports.get().into_iter().flat_map(|ports| &ports.bindings) {
            bindings.extend(port.list().await.map_err(|failure| CatalogError::BindingsUnknown { failure })?);
        }
        Ok(bindings)
    }

    /// Puts the costs into `plan`. `next` is what would be in force. A cost that cannot be told keeps nobody from applying.
    pub(super) async fn estimate(&self, next: &DefinitionSet, plan: &mut Plan) {
        let Some(costs) = self.shared.ports.get().and_then(|ports| ports.costs.as_ref()) else { return };
        for change in plan.changes.iter_mut().filter(|change| change.needs_build()) {
            let Some(view) = next.views.get(&change.subject.name) else { continue };
            match costs.of(view).await {
                Ok(rebuild) => change.rebuild = rebuild,
                Err(failure) => {
                    let error = chain(failure.as_ref());
                    tracing::warn!(view = %change.subject.name, error, "the cost of a build is not known");
                }
            }
        }
    }
}
