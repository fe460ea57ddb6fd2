//! Resolves a table's name to its newest version while a query is planned.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use async_trait::async_trait;
use datafusion::{
    catalog::{CatalogProvider, SchemaProvider, TableProvider},
    error::{DataFusionError, Result},
};

use crate::{Lake, name::is_table_name};

/// A catalog with a single schema.
#[derive(Debug)]
pub(crate) struct LakeCatalog {
    name: &'static str,
    schema: Arc<dyn SchemaProvider>,
}

impl LakeCatalog {
    pub(crate) fn new(name: &'static str, schema: Arc<dyn SchemaProvider>) -> Self {
        Self { name, schema }
    }
}

impl CatalogProvider for LakeCatalog {
    fn schema_names(&self) -> Vec<String> {
        vec![self.name.to_owned()]
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        (name == self.name).then(|| self.schema.clone())
    }
}

/// The tables of the lake, and before them those that one session registered.
#[derive(Debug)]
pub(crate) struct LakeSchema {
    lake: Lake,
    of_session: RwLock<BTreeMap<String, Arc<dyn TableProvider>>>,
}

impl LakeSchema {
    pub(crate) fn new(lake: Lake) -> Self {
        Self { lake, of_session: RwLock::default() }
    }

    fn registered(&self, name: &str) -> Option<Arc<dyn TableProvider>> {
        self.of_session.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }
}

#[async_trait]
impl SchemaProvider for LakeSchema {
    fn table_names(&self) -> Vec<String> {
        let mut names = self.lake.names().unwrap_or_default();
        names.extend(self.of_session.read().unwrap_or_else(PoisonError::into_inner).keys().cloned());
        names.sort();
        names.dedup();
        names
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        if let Some(table) = self.registered(name) {
            return Ok(Some(table));
        }
        if !is_table_name(name) {
            return Ok(None);
        }
        let Some(table) = self.lake.handle(name)?.newest().await? else {
            return Ok(None);
        };
        let settings = Arc::new(self.lake.inner.engine.template().clone());
        Ok(Some(table.table_provider().with_session(settings).await?))
    }

    fn register_table(
        &self,
        name: String,
        table: Arc<dyn TableProvider>,
    ) -> Result<Option<Arc<dyn TableProvider>>> {
        Ok(self.of_session.write().unwrap_or_else(PoisonError::into_inner).insert(name, table))
    }

    fn deregister_table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        Ok(self.of_session.write().unwrap_or_else(PoisonError::into_inner).remove(name))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.registered(name).is_some()
            || (is_table_name(name) && self.lake.root().join(name).join("_delta_log").is_dir())
    }
}
