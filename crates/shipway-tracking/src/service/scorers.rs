//! Use cases of scorers: judges that clients define, kept by version. Nothing of them is ever run here.

use serde_json::Value;
use uuid::Uuid;

use crate::{
    error::{Thing, TrackingError},
    model::{Experiment, Lifecycle, ScorerVersion, bounds},
    service::{Tracking, experiments},
    store::{self, Rows},
};

/// The scheme of models that a gateway would answer for.
const GATEWAY: &str = "gateway:/";

async fn active_experiment(rows: &mut impl Rows, id: &str) -> Result<Experiment, TrackingError> {
    let experiment = experiments::find(rows, id).await?;
    experiments::must_be(&experiment, Lifecycle::Active)?;
    Ok(experiment)
}

fn missing(experiment_id: &str, name: &str, version: Option<i64>) -> TrackingError {
    let version = version.map(|version| format!(" version {version}")).unwrap_or_default();
    TrackingError::missing(Thing::Scorer, format!("{name}{version} of experiment {experiment_id}"))
}

/// The versions of a scorer, the oldest first; one without versions is as if it were not there.
async fn versions(
    rows: &mut impl Rows,
    experiment_id: &str,
    name: &str,
) -> Result<Vec<ScorerVersion>, TrackingError> {
    let experiment = active_experiment(rows, experiment_id).await?;
    let scorer_id = store::scorers::id_of(rows, experiment.id, name).await?;
    let scorer_id = scorer_id.ok_or_else(|| missing(experiment_id, name, None))?;
    let versions = store::scorers::versions(rows, &scorer_id).await?;
    if versions.is_empty() { Err(missing(experiment_id, name, None)) } else { Ok(versions) }
}

/// The model that a scorer asks, wherever its kind keeps it.
fn model_of(scorer: &Value) -> Option<&Value> {
    let kinds =
        ["instructions_judge_pydantic_data", "builtin_scorer_pydantic_data", "third_party_scorer_data"];
    let direct = kinds.iter().find_map(|kind| scorer.get(kind)?.get("model"));
    direct.or_else(|| model_of(scorer.get("memory_augmented_judge_data")?.get("base_judge")?))
}

fn check(serialized: &str) -> Result<(), TrackingError> {
    let wrong = |reason: &str| TrackingError::invalid("serialized_scorer", reason);
    let scorer: Value =
        serde_json::from_str(serialized).map_err(|_| wrong("serialized_scorer must be valid JSON"))?;
    if !scorer.is_object() {
        return Err(wrong("serialized_scorer must be a JSON object"));
    }
    match model_of(&scorer) {
        None | Some(Value::Null) => Ok(()),
        Some(Value::String(model)) if model.trim().is_empty() => {
            Err(wrong("Scorer model cannot be empty or contain only whitespace."))
        }
        Some(Value::String(model)) if model.starts_with(GATEWAY) => {
            Err(wrong("its model names an endpoint of a gateway, and this server has none"))
        }
        Some(Value::String(_)) => Ok(()),
        Some(_) => Err(wrong("Scorer model must be a string")),
    }
}

impl Tracking {
    /// Keeps the next version of a scorer.
    pub(crate) async fn register_scorer(
        &self,
        experiment_id: &str,
        name: &str,
        serialized: &str,
    ) -> Result<ScorerVersion, TrackingError> {
        bounds::scorer_name(name)?;
        check(serialized)?;
        let mut transaction = self.begin().await?;
        let experiment = active_experiment(&mut transaction, experiment_id).await?;
        let scorer_id = match store::scorers::id_of(&mut transaction, experiment.id, name).await? {
            Some(scorer_id) => scorer_id,
            None => {
                let scorer_id = Uuid::new_v4().to_string();
                store::scorers::insert(&mut transaction, &scorer_id, experiment.id, name).await?;
                scorer_id
            }
        };
        let version = ScorerVersion {
            version: store::scorers::newest(&mut transaction, &scorer_id).await? + 1,
            scorer_id,
            experiment_id: experiment.id,
            name: name.to_owned(),
            serialized: serialized.to_owned(),
            created_ms: self.now_ms(),
        };
        store::scorers::insert_version(&mut transaction, &version).await?;
        transaction.commit().await?;
        Ok(version)
    }

    /// The newest version of each scorer of one experiment.
    pub(crate) async fn scorers(&self, experiment_id: &str) -> Result<Vec<ScorerVersion>, TrackingError> {
        let experiment = active_experiment(&mut self.reader(), experiment_id).await?;
        Ok(store::scorers::newest_of_experiments(&mut self.reader(), &[experiment.id]).await?)
    }

    /// The newest version of each scorer of all active experiments, or of those among these.
    pub(crate) async fn scorers_of_experiments(
        &self,
        experiment_ids: Option<&[String]>,
    ) -> Result<Vec<ScorerVersion>, TrackingError> {
        let mut active =
            store::scorers::active_experiments(&mut self.reader(), self.workspace().as_str()).await?;
        if let Some(wanted) = experiment_ids {
            let wanted = wanted.iter().map(|id| experiments::number(id)).collect::<Result<Vec<_>, _>>()?;
            active.retain(|id| wanted.contains(id));
        }
        Ok(store::scorers::newest_of_experiments(&mut self.reader(), &active).await?)
    }

    /// All versions of a scorer, the oldest first.
    pub(crate) async fn scorer_versions(
        &self,
        experiment_id: &str,
        name: &str,
    ) -> Result<Vec<ScorerVersion>, TrackingError> {
        versions(&mut self.reader(), experiment_id, name).await
    }

    /// One version of a scorer; the newest when none is named.
    pub(crate) async fn scorer(
        &self,
        experiment_id: &str,
        name: &str,
        version: Option<i64>,
    ) -> Result<ScorerVersion, TrackingError> {
        let mut versions = versions(&mut self.reader(), experiment_id, name).await?;
        let found = match version {
            None => versions.pop(),
            Some(number) => versions.into_iter().find(|one| one.version == number),
        };
        found.ok_or_else(|| missing(experiment_id, name, version))
    }

    /// Deletes one version of a scorer, or all of it when none is named.
    pub(crate) async fn delete_scorer(
        &self,
        experiment_id: &str,
        name: &str,
        version: Option<i64>,
    ) -> Result<(), TrackingError> {
        let mut transaction = self.begin().await?;
        let versions = versions(&mut transaction, experiment_id, name).await?;
        let scorer_id = versions.first().map(|one| one.scorer_id.clone()).unwrap_or_default();
        match version {
            None => store::scorers::delete(&mut transaction, &scorer_id).await?,
            Some(number) => {
                if !store::scorers::delete_version(&mut transaction, &scorer_id, number).await? {
                    return Err(missing(experiment_id, name, version));
                }
            }
        }
        Ok(transaction.commit().await?)
    }
}
