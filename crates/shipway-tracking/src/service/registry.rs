//! Use cases of registered models.

use serde_json::json;
use shipway_core::of_model_key;
use shipway_store::Transaction;

use crate::{
    artifact_digest,
    error::{Thing, TrackingError},
    model::{ModelVersion, Pair, RegisteredModel, bounds},
    promote::{Evaluation, Refusal, approve},
    service::{Tracking, promotion, workspaces},
    store::{self, Rows, pairs::REGISTERED_MODEL_TAGS},
    webhook::news,
};

/// A registered model with all that a person wants to know of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ModelReport {
    pub(crate) model: RegisteredModel,
    /// The newest first.
    pub(crate) versions: Vec<VersionReport>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct VersionReport {
    pub(crate) version: ModelVersion,
    pub(crate) artifact: Option<shipway_core::Digest>,
    pub(crate) bytes: i64,
    pub(crate) evaluations: Vec<Evaluation>,
}

/// Says that there is no such model, and which name is near.
pub(super) async fn missing(rows: &mut impl Rows, name: &str) -> Result<TrackingError, TrackingError> {
    let names = store::registry::keys(rows, of_model_key(name).0).await?;
    let nearest = shipway_core::nearest(name, names.iter().map(String::as_str)).map(str::to_owned);
    Ok(TrackingError::Missing { thing: Thing::RegisteredModel, name: name.to_owned(), nearest })
}

pub(super) async fn must_exist(rows: &mut impl Rows, name: &str) -> Result<(), TrackingError> {
    if store::registry::exists(rows, name).await? { Ok(()) } else { Err(missing(rows, name).await?) }
}

/// The key of a model under another name in its workspace.
fn renamed_key(key: &str, new_name: &str) -> String {
    key.rsplit_once('/')
        .map_or_else(|| new_name.to_owned(), |(workspace, _)| format!("{workspace}/{new_name}"))
}

impl Tracking {
    /// Creates a model of this name in the workspace that this is seen from.
    pub(crate) async fn create_registered_model(
        &self,
        name: &str,
        description: &str,
        tags: Vec<Pair>,
    ) -> Result<RegisteredModel, TrackingError> {
        bounds::model_name(name)?;
        let name = self.workspace().key(name);
        tags.iter().try_for_each(bounds::registry_tag)?;
        let mut transaction = self.begin().await?;
        workspaces::must_exist(&mut transaction, self.workspace().as_str()).await?;
        if store::registry::exists(&mut transaction, &name).await? {
            return Err(TrackingError::Exists { thing: Thing::RegisteredModel, name });
        }
        let now_ms = self.now_ms();
        let model = RegisteredModel {
            name,
            description: description.to_owned(),
            created_ms: now_ms,
            updated_ms: now_ms,
            tags,
            aliases: Vec::new(),
            latest_versions: Vec::new(),
        };
        store::registry::insert(&mut transaction, &model).await?;
        self.tell(&mut transaction, &news::model_created(&model)).await?;
        transaction.commit().await?;
        self.announce_news();
        Ok(model)
    }

    pub(crate) async fn registered_model(&self, name: &str) -> Result<RegisteredModel, TrackingError> {
        match store::registry::by_name(&mut self.reader(), name).await? {
            Some(model) => Ok(model),
            None => Err(missing(&mut self.reader(), name).await?),
        }
    }

    /// Every registered model, by name.
    pub(crate) async fn registered_models(&self) -> Result<Vec<RegisteredModel>, TrackingError> {
        let sql_rows = store::registry::all(&mut self.reader()).await?;
        Ok(store::registry::from_rows(&mut self.reader(), &sql_rows).await?)
    }

    /// A registered model with its versions, the digests of their artifacts and their evaluations.
    pub(crate) async fn model_report(&self, name: &str) -> Result<ModelReport, TrackingError> {
        let model = self.registered_model(name).await?;
        let mut versions = Vec::new();
        for version in store::versions::of_model(&mut self.reader(), name).await? {
            let files = promotion::files_of(&mut self.reader(), &version).await?;
            let artifact =
                artifact_digest::of_files(files.iter().map(|file| (file.path.as_str(), file.digest)));
            let bytes = files.iter().map(|file| file.bytes).sum();
            let evaluations = promotion::evaluations_of(&mut self.reader(), &version).await?;
            versions.push(VersionReport { version, artifact, bytes, evaluations });
        }
        Ok(ModelReport { model, versions })
    }

    pub(crate) async fn describe_registered_model(
        &self,
        name: &str,
        description: &str,
    ) -> Result<RegisteredModel, TrackingError> {
        let mut transaction = self.begin().await?;
        must_exist(&mut transaction, name).await?;
        store::registry::describe(&mut transaction, name, description, self.now_ms()).await?;
        transaction.commit().await?;
        self.registered_model(name).await
    }

    /// Renames a model in its workspace, with its versions, tags and aliases. An alias that is guarded under the new name must pass its gates
    /// there: renaming is no way round them.
    pub(crate) async fn rename_registered_model(
        &self,
        caller: &str,
        name: &str,
        new_name: &str,
    ) -> Result<RegisteredModel, TrackingError> {
        bounds::model_name(new_name)?;
        let new_name = &renamed_key(name, new_name);
        let mut transaction = self.begin().await?;
        let model = match store::registry::by_name(&mut transaction, name).await? {
            Some(model) => model,
            None => return Err(missing(&mut transaction, name).await?),
        };
        if name == new_name.as_str() {
            return Ok(model);
        }
        if store::registry::exists(&mut transaction, new_name).await? {
            return Err(TrackingError::Exists { thing: Thing::RegisteredModel, name: new_name.to_owned() });
        }
        self.must_keep_aliases(&mut transaction, name, new_name, &model.aliases).await?;
        store::registry::rename(&mut transaction, name, new_name, self.now_ms()).await?;
        let detail = json!({ "new_name": new_name });
        let subject = format!("model/{name}");
        self.audit(&mut transaction, caller, "tracking.rename_model", subject, detail).await?;
        transaction.commit().await?;
        self.announce_alias_change();
        self.registered_model(new_name).await
    }

    /// Refuses a new key under which one of the aliases would be guarded by a gate that its version does not pass.
    pub(super) async fn must_keep_aliases(
        &self,
        transaction: &mut Transaction,
        key: &str,
        new_key: &str,
        aliases: &[(String, i64)],
    ) -> Result<(), TrackingError> {
        for (alias, version) in aliases {
            let gates = self.inner.gates.gates(new_key, alias);
            let replays = self.replays_for(&gates).await?;
            let candidate = promotion::contender(transaction, key, *version).await?;
            approve(&candidate, None, &gates, &replays).map_err(|unmet| Refusal {
                model: new_key.to_owned(),
                alias: alias.clone(),
                version: candidate.version,
                unmet,
            })?;
        }
        Ok(())
    }

    /// Deletes a model with its versions, tags and aliases.
    pub(crate) async fn delete_registered_model(
        &self,
        caller: &str,
        name: &str,
    ) -> Result<(), TrackingError> {
        let mut transaction = self.begin().await?;
        must_exist(&mut transaction, name).await?;
        store::registry::delete(&mut transaction, name).await?;
        let subject = format!("model/{name}");
        self.audit(&mut transaction, caller, "tracking.delete_model", subject, json!({})).await?;
        transaction.commit().await?;
        self.announce_alias_change();
        Ok(())
    }

    pub(crate) async fn set_registered_model_tag(&self, name: &str, tag: Pair) -> Result<(), TrackingError> {
        bounds::registry_tag(&tag)?;
        let mut transaction = self.begin().await?;
        must_exist(&mut transaction, name).await?;
        REGISTERED_MODEL_TAGS.set(&mut transaction, &name.into(), std::slice::from_ref(&tag)).await?;
        store::registry::touch(&mut transaction, name, self.now_ms()).await?;
        let is_prompt = store::registry::is_prompt(&mut transaction, name).await?;
        if let Some(news) = news::model_tag(is_prompt, name, &tag.key, Some(&tag.value)) {
            self.tell(&mut transaction, &news).await?;
        }
        transaction.commit().await?;
        self.announce_news();
        Ok(())
    }

    /// Takes a tag away; nothing happens when it is not there.
    pub(crate) async fn delete_registered_model_tag(
        &self,
        name: &str,
        key: &str,
    ) -> Result<(), TrackingError> {
        let mut transaction = self.begin().await?;
        must_exist(&mut transaction, name).await?;
        let was_there = REGISTERED_MODEL_TAGS.delete(&mut transaction, &name.into(), key).await?;
        let is_prompt = store::registry::is_prompt(&mut transaction, name).await?;
        if let Some(news) = news::model_tag(is_prompt && was_there, name, key, None) {
            self.tell(&mut transaction, &news).await?;
        }
        transaction.commit().await?;
        self.announce_news();
        Ok(())
    }
}
