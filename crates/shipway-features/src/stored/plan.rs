//! From a request to a recipe, which pins every input as it is now; and from a recipe back to what the engine computes.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use datafusion::{dataframe::DataFrame, functions_aggregate::expr_fn::max, prelude::col};
use futures::TryStreamExt as _;
use shipway_definitions::{DefinitionSet, Service};
use shipway_lake::{is_repeatable, tables_of};

use super::{Recipe, RecipeAsOf, RecipeSource, RecipeSpine, StoredError, error, recipe::RECIPE_VERSION};
use crate::{
    Features,
    error::FeaturesError,
    model::schema::ARRIVAL_COLUMN,
    offline::{AsOf, ENGINE_VERSION, OfflineError, Pins, TrainingSetRequest},
    store::training_sets::load_moments,
    training::{ArrivalRule, Spine, TrainingSet, between},
};

impl Features {
    /// The recipe of the training set as it would be made now: every acknowledged event is in it.
    pub async fn recipe(&self, wanted: &TrainingSet) -> Result<Recipe, FeaturesError> {
        self.archive_everything().await?;
        let definitions = self.inner.definitions();
        let service = self.service(&definitions, &wanted.service)?;
        let is_by_moment = matches!(wanted.arrival, ArrivalRule::Received);
        let mut sources = BTreeMap::new();
        for source in sources_of(&definitions, &service.definition, wanted)? {
            sources.insert(source.clone(), self.pin(&source, is_by_moment).await?);
        }
        let mut label_tables = BTreeMap::new();
        for table in wanted.labels.iter().filter_map(|label| label.table.as_ref()) {
            label_tables.insert(table.clone(), self.inner.lake.table(table).await?.version);
        }
        let views = service.definition.views.iter();
        Ok(Recipe {
            version: RECIPE_VERSION,
            engine: ENGINE_VERSION,
            release: env!("CARGO_PKG_VERSION").to_owned(),
            service: wanted.service.clone(),
            service_hash: service.hash,
            views: views.map(|view| (view.view.to_string(), view.hash)).collect(),
            sources,
            spine: self.pin_spine(&wanted.spine).await?,
            time: wanted.time.clone(),
            from: wanted.from,
            to: wanted.to,
            as_of: match &wanted.arrival {
                ArrivalRule::Any => RecipeAsOf::EventTime,
                ArrivalRule::Received => RecipeAsOf::Arrival,
                ArrivalRule::Before(watermarks) => RecipeAsOf::Watermarks(watermarks.clone()),
            },
            labels: wanted.labels.clone(),
            label_tables,
        })
    }

    /// What had arrived of a source by now. Not the end of its log: a marker of a view moves that, and changes nothing.
    async fn pin(&self, source: &str, is_by_moment: bool) -> Result<RecipeSource, FeaturesError> {
        let lake = &self.inner.lake;
        let table_version = lake.version(source).await?;
        let mut arrived_before = 0;
        if table_version.is_some() {
            let newest = lake.scan(source).await?.aggregate(vec![], vec![max(col(ARRIVAL_COLUMN))])?;
            let newest: Vec<_> = newest.execute_stream().await?.try_collect().await?;
            arrived_before = newest.iter().filter_map(newest_of).max().map_or(0, |offset| offset + 1);
        }
        let mut loads = self.arrivals_of(source).await?;
        arrived_before = loads.values().map(|offset| offset + 1).fold(arrived_before, u64::max);
        loads.retain(|_, offset| *offset < arrived_before);
        let mut moments = BTreeMap::new();
        if is_by_moment {
            moments = load_moments(&self.inner.store, source).await?;
            moments.retain(|load, _| loads.contains_key(load));
        }
        Ok(RecipeSource { arrived_before, loads, load_moments: moments, table_version })
    }

    async fn pin_spine(&self, spine: &Spine) -> Result<RecipeSpine, FeaturesError> {
        let lake = &self.inner.lake;
        match spine {
            Spine::Table(table) => {
                let version = lake.table(table).await?.version;
                Ok(RecipeSpine {
                    table: Some(table.clone()),
                    sql: None,
                    versions: BTreeMap::from([(table.clone(), version)]),
                    is_repeatable: true,
                })
            }
            Spine::Sql(query) => {
                let planned = lake.query(query).await?;
                let mut versions = BTreeMap::new();
                for table in tables_of(&planned) {
                    if let Some(version) = lake.version(&table).await? {
                        versions.insert(table, version);
                    }
                }
                let is_repeatable = is_repeatable(&planned);
                Ok(RecipeSpine { table: None, sql: Some(query.clone()), versions, is_repeatable })
            }
        }
    }

    /// What the engine is to compute. `table` is the training set's, for messages.
    pub(crate) async fn request_of(
        &self,
        recipe: &Recipe,
        table: &str,
    ) -> Result<TrainingSetRequest, FeaturesError> {
        if recipe.engine != ENGINE_VERSION || recipe.version != RECIPE_VERSION {
            let (table, engine) = (table.to_owned(), recipe.engine);
            return Err(error(StoredError::OtherEngine { table, engine, own: ENGINE_VERSION }));
        }
        let definitions = self.inner.definitions();
        let service = definitions.services_by_hash.get(&recipe.service_hash).cloned();
        let service = service.ok_or_else(|| OfflineError::MissingDefinition {
            what: format!("service {} at version {}", recipe.service, recipe.service_hash.short()),
        })?;
        let pinned = |read: fn(&RecipeSource) -> u64| {
            recipe.sources.iter().map(|(name, source)| (name.clone(), read(source))).collect()
        };
        let as_of = match &recipe.as_of {
            RecipeAsOf::EventTime => AsOf::EventTime,
            RecipeAsOf::Watermarks(watermarks) => AsOf::Arrival(watermarks.clone()),
            RecipeAsOf::Arrival => {
                let moments = |source: &RecipeSource| source.load_moments.clone();
                AsOf::Received(
                    recipe.sources.iter().map(|(name, source)| (name.clone(), moments(source))).collect(),
                )
            }
        };
        Ok(TrainingSetRequest {
            service,
            definitions,
            spine: self.spine_of(recipe, table).await?,
            time_column: recipe.time.clone(),
            as_of,
            load_arrivals: recipe
                .sources
                .iter()
                .map(|(name, source)| (name.clone(), source.loads.clone()))
                .collect(),
            labels: recipe.labels.clone(),
            pins: Pins {
                arrived_before: pinned(|source| source.arrived_before),
                versions: recipe.label_tables.clone(),
            },
        })
    }

    async fn spine_of(&self, recipe: &Recipe, table: &str) -> Result<DataFrame, FeaturesError> {
        let lake = &self.inner.lake;
        let spine = match (&recipe.spine.table, &recipe.spine.sql) {
            (Some(input), _) => {
                let version = recipe.spine.versions.get(input).copied().unwrap_or_default();
                lake.scan_at(input, version).await.map_err(|failure| {
                    tracing::warn!(
                        error = shipway_core::failure::chain(&failure),
                        "an earlier version is gone"
                    );
                    let (table, input) = (table.to_owned(), input.clone());
                    error(StoredError::InputGone { table, input, version })
                })?
            }
            (None, query) => {
                lake.query_at(query.as_deref().unwrap_or_default(), &recipe.spine.versions).await?
            }
        };
        between(spine, &recipe.time, recipe.from, recipe.to)
    }
}

fn newest_of(batch: &arrow::array::RecordBatch) -> Option<u64> {
    use arrow::array::AsArray as _;
    let newest = batch.column(0).as_primitive_opt::<arrow::datatypes::Int64Type>()?;
    newest.iter().next().flatten().map(i64::cast_unsigned)
}

/// The sources that the views of the service and the labels read.
fn sources_of(
    definitions: &Arc<DefinitionSet>,
    service: &Service,
    wanted: &TrainingSet,
) -> Result<BTreeSet<String>, FeaturesError> {
    let mut sources = BTreeSet::new();
    for reference in &service.views {
        let view = definitions
            .views_by_hash
            .get(&reference.hash)
            .ok_or_else(|| OfflineError::MissingDefinition { what: format!("view {}", reference.view) })?;
        sources.insert(view.definition.source.to_string());
    }
    sources.extend(wanted.labels.iter().filter_map(|label| label.source.as_ref()).map(ToString::to_string));
    Ok(sources)
}
