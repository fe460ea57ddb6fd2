//! Tables as they were: scans and queries at versions that a caller names, so that an answer can be given again.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use datafusion::{
    common::{
        TableReference,
        tree_node::{TreeNode as _, TreeNodeRecursion},
    },
    dataframe::DataFrame,
    datasource::TableProvider,
    logical_expr::{Expr, LogicalPlan, Volatility},
};

use crate::{Lake, LakeError, query::plan_query};

impl Lake {
    /// The newest version of a table; `None` when it does not exist.
    pub async fn version(&self, name: &str) -> Result<Option<u64>, LakeError> {
        Ok(self.handle(name)?.newest().await?.and_then(|table| table.version()))
    }

    /// The properties of a table at its newest version, as any Delta reader sees them.
    pub async fn properties(&self, name: &str) -> Result<BTreeMap<String, String>, LakeError> {
        let (_, table) = self.existing(name).await?;
        let state = table.snapshot().map_err(LakeError::storage(name, "read its properties"))?;
        let properties = state.metadata().configuration().iter();
        Ok(properties.map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    /// A table as it was at `version`. An error once that version's files are gone.
    pub async fn scan_at(&self, name: &str, version: u64) -> Result<DataFrame, LakeError> {
        Ok(self.session().read_table(self.provider_at(name, version).await?)?)
    }

    /// Plans one query as [`Lake::query`] does, over the tables as they were at `versions`; others at their newest version.
    pub async fn query_at(
        &self,
        query: &str,
        versions: &BTreeMap<String, u64>,
    ) -> Result<DataFrame, LakeError> {
        let session = self.session();
        for (name, version) in versions {
            session.register_table(
                TableReference::bare(name.as_str()),
                self.provider_at(name, *version).await?,
            )?;
        }
        plan_query(&session, query).await
    }

    async fn provider_at(&self, name: &str, version: u64) -> Result<Arc<dyn TableProvider>, LakeError> {
        let (handle, _) = self.existing(name).await?;
        let mut table = handle.unloaded()?;
        Box::pin(table.load_version(version))
            .await
            .map_err(LakeError::storage(name, "be read at an earlier version"))?;
        let settings = Arc::new(self.inner.engine.template().clone());
        let provider = table.table_provider().with_session(settings).await;
        Ok(provider?)
    }
}

/// The tables that a planned query reads, by name.
pub fn tables_of(planned: &DataFrame) -> BTreeSet<String> {
    let mut tables = BTreeSet::new();
    let _ = planned.logical_plan().apply_with_subqueries(|plan| {
        if let LogicalPlan::TableScan(scan) = plan {
            tables.insert(scan.table_name.table().to_owned());
        }
        Ok(TreeNodeRecursion::Continue)
    });
    tables
}

/// Whether a planned query answers the same whenever it is asked of the same versions: nothing in it depends on the moment or
/// on chance.
pub fn is_repeatable(planned: &DataFrame) -> bool {
    let mut is_repeatable = true;
    let _ = planned.logical_plan().apply_with_subqueries(|plan| {
        plan.apply_expressions(|expression| {
            expression.apply(|part| {
                let volatility = match part {
                    Expr::ScalarFunction(call) => call.func.signature().volatility,
                    Expr::AggregateFunction(call) => call.func.signature().volatility,
                    _ => Volatility::Immutable,
                };
                is_repeatable &= volatility == Volatility::Immutable;
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    is_repeatable
}
