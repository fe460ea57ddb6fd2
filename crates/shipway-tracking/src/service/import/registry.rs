//! Registered models and versions that come in, under their own names and numbers. Aliases are no part of it: they are promotions, and
//! go the way of promotions.

use std::collections::BTreeMap;

use serde_json::json;
use shipway_store::Transaction;

use super::{Arrival, Kind, Outcome, id, moment, pairs};
use crate::{
    error::{Thing, TrackingError},
    model::{ModelVersion, Pair, RegisteredModel, Stage, bounds},
    model_source::ModelSource,
    service::{
        NewVersion, Tracking, registry,
        versions::{Origin, must_agree, origin},
        workspaces,
    },
    store::{self, pairs::REGISTERED_MODEL_TAGS},
};

const DESCRIPTION_LENGTH: usize = 100_000;

#[derive(Debug, Clone)]
pub(crate) struct ImportedRegistration {
    /// In the workspace that it comes to.
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) created_ms: i64,
    pub(crate) updated_ms: i64,
    pub(crate) tags: Vec<Pair>,
}

/// A registered model that is here now, and who holds its aliases here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlacedRegistration {
    pub(crate) arrival: Arrival,
    pub(crate) aliases: BTreeMap<String, i64>,
}

#[derive(Debug, Clone)]
pub(crate) struct ImportedVersion {
    pub(crate) name: String,
    pub(crate) version: i64,
    /// Where its files are, in the words of this server; or what it said at its source, for a version without files.
    pub(crate) source: String,
    /// Whether `source` is to be resolved to files here.
    pub(crate) has_files: bool,
    pub(crate) run_id: String,
    pub(crate) model_id: String,
    pub(crate) run_link: String,
    pub(crate) description: String,
    pub(crate) user_id: String,
    pub(crate) stage: Stage,
    pub(crate) created_ms: i64,
    pub(crate) updated_ms: i64,
    pub(crate) tags: Vec<Pair>,
}

impl ImportedVersion {
    fn check(&self) -> Result<(), TrackingError> {
        if !(1..=i64::from(u32::MAX)).contains(&self.version) {
            return Err(TrackingError::invalid(
                "version",
                format!("{} is no number of a version", self.version),
            ));
        }
        for (what, text) in [("run_id", &self.run_id), ("model_id", &self.model_id)] {
            if !text.is_empty() {
                id(what, text)?;
            }
        }
        moment("created_ms", self.created_ms)?;
        moment("updated_ms", self.updated_ms)?;
        description(&self.description)
    }

    /// Where its files are here, and what its source is called here.
    async fn origin(&self, transaction: &mut Transaction) -> Result<(Origin, String), TrackingError> {
        if !self.has_files {
            // Scores of a model count for versions of its files only.
            if store::logged_models::row_of(transaction, &self.model_id).await?.is_some() {
                let reason = format!("logged model {} is here, with its files", self.model_id);
                return Err(TrackingError::invalid("has_files", reason));
            }
            return Ok((Origin::default(), self.source.clone()));
        }
        let mut called = self.source.clone();
        let found = match ModelSource::parse(&self.source)? {
            // A model that was deleted still has the files of its versions.
            ModelSource::LoggedModel(model_id) => {
                let found = store::logged_models::row_of(transaction, &model_id).await?;
                let model = found.ok_or_else(|| TrackingError::missing(Thing::LoggedModel, &*model_id))?;
                let (root, run_id) = (model.artifact_root, model.source_run_id);
                Origin { root, folder: String::new(), model_id, run_id }
            }
            source => {
                let new = NewVersion {
                    name: self.name.clone(),
                    model_id: self.model_id.clone(),
                    ..NewVersion::default()
                };
                let found = origin(transaction, &self.source, &new).await?;
                if let ModelSource::Run { path, .. } = source {
                    called = format!("mlflow-artifacts:/{}/{}", found.root, path.as_str());
                }
                found
            }
        };
        must_agree("logged model", &self.model_id, &found.model_id)?;
        Ok((found, called))
    }
}

fn description(text: &str) -> Result<(), TrackingError> {
    if text.chars().count() <= DESCRIPTION_LENGTH {
        return Ok(());
    }
    Err(TrackingError::invalid("description", format!("it has more than {DESCRIPTION_LENGTH} characters")))
}

impl Tracking {
    /// Brings a registered model in, or finds the one of that name and adds the tags that it lacks.
    pub(crate) async fn import_registration(
        &self,
        caller: &str,
        new: ImportedRegistration,
    ) -> Result<PlacedRegistration, TrackingError> {
        bounds::model_name(&new.name)?;
        moment("created_ms", new.created_ms)?;
        moment("updated_ms", new.updated_ms)?;
        description(&new.description)?;
        let (mut notes, name) = (Vec::new(), self.workspace().key(&new.name));
        let mut transaction = self.begin().await?;
        workspaces::must_exist(&mut transaction, self.workspace().as_str()).await?;
        let kind = Kind::RegisteredModel.word();
        let (outcome, aliases) = match store::registry::by_name(&mut transaction, &name).await? {
            Some(here) => {
                let known = store::imports::is_known(&mut transaction, kind, &name).await?;
                if !new.description.is_empty() && here.description != new.description {
                    notes.push("its description here is another one and stays".to_owned());
                }
                store::imports::mark(&mut transaction, kind, &name, "merged", self.now_ms()).await?;
                let outcome = if known { Outcome::Present } else { Outcome::Merged };
                (outcome, here.aliases.into_iter().collect())
            }
            None => {
                let model = RegisteredModel {
                    name: name.clone(),
                    description: new.description,
                    created_ms: new.created_ms,
                    updated_ms: new.updated_ms,
                    tags: Vec::new(),
                    aliases: Vec::new(),
                    latest_versions: Vec::new(),
                };
                store::registry::insert(&mut transaction, &model).await?;
                store::imports::mark(&mut transaction, kind, &name, "created", self.now_ms()).await?;
                let subject = format!("model/{name}");
                self.audit(&mut transaction, caller, "tracking.import", subject, json!({})).await?;
                (Outcome::Created, BTreeMap::new())
            }
        };
        let tags = (REGISTERED_MODEL_TAGS, &pairs::REGISTRY_TAG);
        pairs::add_missing(&mut transaction, tags, name.as_str(), new.tags, &mut notes).await?;
        transaction.commit().await?;
        Ok(PlacedRegistration { arrival: Arrival { outcome, artifact_root: String::new(), notes }, aliases })
    }

    /// Brings a version in under its number. Another version of that number is refused and stays.
    pub(crate) async fn import_version(
        &self,
        caller: &str,
        mut new: ImportedVersion,
    ) -> Result<Arrival, TrackingError> {
        new.check()?;
        new.name = self.model_key(&new.name)?;
        let mut notes = Vec::new();
        let mut transaction = self.begin().await?;
        registry::must_exist(&mut transaction, &new.name).await?;
        let (origin, source) = new.origin(&mut transaction).await?;
        // The wire of MLflow does not say of which model a version is; its source does.
        let model_id = if new.model_id.is_empty() { origin.model_id } else { new.model_id };
        let here = store::versions::by_number(&mut transaction, &new.name, new.version).await?;
        if let Some(here) = here {
            let same = (&here.source, &here.run_id, &here.model_id) == (&source, &new.run_id, &model_id);
            if !same {
                let name = format!("{}/{}", new.name, new.version);
                return Err(TrackingError::Exists { thing: Thing::ModelVersion, name });
            }
            let (name, number) = (new.name.as_str(), new.version);
            let fitting = pairs::fitting(&pairs::REGISTRY_TAG, new.tags, &mut notes);
            for tag in pairs::missing(&pairs::REGISTRY_TAG, &here.tags, fitting, &mut notes) {
                store::versions::set_tag(&mut transaction, name, number, &tag).await?;
            }
            if here.stage != new.stage {
                let (is, was) = (here.stage.word(), new.stage.word());
                notes.push(format!("its stage is {is} here and {was} there; it stays"));
            }
            transaction.commit().await?;
            return Ok(Arrival { outcome: Outcome::Present, artifact_root: String::new(), notes });
        }
        let version = ModelVersion {
            tags: pairs::fitting(&pairs::REGISTRY_TAG, new.tags, &mut notes),
            name: new.name,
            version: new.version,
            source,
            artifact_root: origin.root,
            artifact_folder: origin.folder,
            model_id,
            run_id: new.run_id,
            run_link: new.run_link,
            description: new.description,
            user_id: new.user_id,
            stage: new.stage,
            created_ms: new.created_ms,
            updated_ms: new.updated_ms,
            aliases: Vec::new(),
        };
        store::versions::insert(&mut transaction, &version).await?;
        store::imports::pass_version_number(&mut transaction, &version.name, version.version).await?;
        let subject = format!("model/{}/{}", version.name, version.version);
        let detail = json!({ "source": version.source });
        self.audit(&mut transaction, caller, "tracking.import", subject, detail).await?;
        transaction.commit().await?;
        Ok(Arrival { outcome: Outcome::Created, artifact_root: String::new(), notes })
    }
}
