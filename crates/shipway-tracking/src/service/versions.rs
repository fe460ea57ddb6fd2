//! Use cases of model versions.

use serde_json::json;
use shipway_core::{DEFAULT_WORKSPACE, of_model_key};
use shipway_store::Transaction;

use crate::{
    artifact_path::ArtifactPath,
    error::{Thing, TrackingError},
    model::{ModelVersion, Pair, Stage, bounds, registry::is_prompt},
    model_source::ModelSource,
    service::{
        Tracking,
        artifacts::{Owner, Place, place},
        logged_models, registry, runs,
    },
    store::{self, Rows, pairs::LOGGED_MODEL_TAGS},
    webhook::news,
};

/// The tag of a logged model that lists the versions made of it; clients read and write it too.
const VERSIONS_TAG: &str = "mlflow.modelVersions";

/// How clients ask for the newest version.
const LATEST: &str = "latest";

#[derive(Debug, Clone, Default)]
pub(crate) struct NewVersion {
    /// The key of its model.
    pub(crate) name: String,
    pub(crate) source: String,
    pub(crate) run_id: String,
    pub(crate) model_id: String,
    pub(crate) run_link: String,
    pub(crate) description: String,
    pub(crate) tags: Vec<Pair>,
}

/// Where a version's files are and what made them.
#[derive(Debug, Default)]
pub(super) struct Origin {
    pub(super) root: String,
    pub(super) folder: String,
    pub(super) model_id: String,
    pub(super) run_id: String,
}

pub(super) async fn find(
    rows: &mut impl Rows,
    name: &str,
    number: i64,
) -> Result<ModelVersion, TrackingError> {
    if let Some(version) = store::versions::by_number(rows, name, number).await? {
        return Ok(version);
    }
    registry::must_exist(rows, name).await?;
    Err(TrackingError::missing(Thing::ModelVersion, format!("{name}/{number}")))
}

/// The version that holds an alias.
pub(super) async fn find_by_alias(
    rows: &mut impl Rows,
    name: &str,
    alias: &str,
) -> Result<ModelVersion, TrackingError> {
    match store::registry::holder(rows, name, alias).await? {
        Some(number) => find(rows, name, number).await,
        None => {
            registry::must_exist(rows, name).await?;
            Err(TrackingError::missing(Thing::Alias, format!("{name}@{alias}")))
        }
    }
}

/// The key of a model that a source names: it is in the workspace of the version that is made of it.
fn beside(new: &NewVersion, name: &str) -> String {
    let (workspace, _) = of_model_key(&new.name);
    if workspace == DEFAULT_WORKSPACE { name.to_owned() } else { format!("{workspace}/{name}") }
}

pub(super) async fn origin(
    transaction: &mut Transaction,
    source: &str,
    new: &NewVersion,
) -> Result<Origin, TrackingError> {
    let copy = |version: ModelVersion| Origin {
        root: version.artifact_root,
        folder: version.artifact_folder,
        model_id: version.model_id,
        run_id: version.run_id,
    };
    Ok(match ModelSource::parse(source)? {
        ModelSource::LoggedModel(model_id) => {
            let model = logged_models::find(transaction, &model_id).await?;
            Origin { root: model.artifact_root, folder: String::new(), model_id, run_id: model.source_run_id }
        }
        ModelSource::Version { name, version } => {
            copy(find(transaction, &beside(new, &name), version).await?)
        }
        ModelSource::Alias { name, alias } => {
            copy(find_by_alias(transaction, &beside(new, &name), &alias).await?)
        }
        ModelSource::Run { run_id, path } => {
            let run = runs::find(transaction, &run_id).await?;
            Origin {
                root: run.artifact_root,
                folder: path.as_str().to_owned(),
                model_id: new.model_id.clone(),
                run_id,
            }
        }
        ModelSource::Artifacts(path) => artifact_origin(transaction, &path).await?,
    })
}

async fn artifact_origin(
    transaction: &mut Transaction,
    path: &ArtifactPath,
) -> Result<Origin, TrackingError> {
    let Place { root, path, owner } = place(transaction, path).await?;
    let (model_id, run_id) = match owner {
        Owner::Run { run_id } => (String::new(), run_id),
        Owner::LoggedModel { model_id, run_id } => (model_id, run_id),
        Owner::Trace => return Err(TrackingError::missing(Thing::Artifact, root)),
    };
    Ok(Origin { root, folder: path, model_id, run_id })
}

/// What the client says of the origin must agree with what the source says: a version that claims another run or model
/// would borrow its history.
pub(super) fn must_agree(what: &str, claimed: &str, found: &str) -> Result<(), TrackingError> {
    if claimed.is_empty() || found.is_empty() || claimed == found {
        return Ok(());
    }
    let reason = format!("Invalid model version source: it belongs to {what} `{found}`, not `{claimed}`");
    Err(TrackingError::invalid("source", reason))
}

impl Tracking {
    pub(crate) async fn create_model_version(
        &self,
        caller: &str,
        new: NewVersion,
    ) -> Result<ModelVersion, TrackingError> {
        new.tags.iter().try_for_each(bounds::registry_tag)?;
        let is_prompt = is_prompt(&new.tags);
        let mut transaction = self.begin().await?;
        // A prompt's text is in its tags. Its source is kept as text and never resolved to files.
        let origin =
            if is_prompt { Origin::default() } else { origin(&mut transaction, &new.source, &new).await? };
        must_agree("logged model", &new.model_id, &origin.model_id)?;
        if origin.model_id.is_empty() {
            must_agree("run", &new.run_id, &origin.run_id)?;
        }
        let now_ms = self.now_ms();
        let Some(number) = store::registry::take_version_number(&mut transaction, &new.name, now_ms).await?
        else {
            return Err(registry::missing(&mut transaction, &new.name).await?);
        };
        let version = ModelVersion {
            name: new.name,
            version: number,
            source: new.source,
            artifact_root: origin.root,
            artifact_folder: origin.folder,
            model_id: origin.model_id,
            run_id: if new.run_id.is_empty() { origin.run_id } else { new.run_id },
            run_link: new.run_link,
            description: new.description,
            user_id: caller.to_owned(),
            stage: Stage::None,
            created_ms: now_ms,
            updated_ms: now_ms,
            tags: new.tags,
            aliases: Vec::new(),
        };
        store::versions::insert(&mut transaction, &version).await?;
        tag_logged_model(&mut transaction, &version).await?;
        self.tell(&mut transaction, &news::version_created(&version)).await?;
        transaction.commit().await?;
        self.announce_news();
        Ok(version)
    }

    pub(crate) async fn model_version(&self, name: &str, number: i64) -> Result<ModelVersion, TrackingError> {
        find(&mut self.reader(), name, number).await
    }

    /// The version that holds an alias. `latest`, which no version can hold, is the newest one.
    pub(crate) async fn model_version_by_alias(
        &self,
        name: &str,
        alias: &str,
    ) -> Result<ModelVersion, TrackingError> {
        if alias.eq_ignore_ascii_case(LATEST) {
            let newest = self.registered_model(name).await?.latest_versions.into_iter();
            let newest = newest.max_by_key(|version| version.version);
            let missing = || TrackingError::missing(Thing::ModelVersion, format!("{name}/{LATEST}"));
            return newest.ok_or_else(missing);
        }
        find_by_alias(&mut self.reader(), name, alias).await
    }

    /// The newest version of each of these stages; of all stages when none is named.
    pub(crate) async fn latest_versions(
        &self,
        name: &str,
        stages: &[Stage],
    ) -> Result<Vec<ModelVersion>, TrackingError> {
        let model = self.registered_model(name).await?;
        let wanted = |version: &ModelVersion| stages.is_empty() || stages.contains(&version.stage);
        Ok(model.latest_versions.into_iter().filter(wanted).collect())
    }

    pub(crate) async fn describe_model_version(
        &self,
        name: &str,
        number: i64,
        description: &str,
    ) -> Result<ModelVersion, TrackingError> {
        let mut transaction = self.begin().await?;
        let mut version = find(&mut transaction, name, number).await?;
        version.description = description.to_owned();
        version.updated_ms = self.now_ms();
        store::versions::update(&mut transaction, &version).await?;
        transaction.commit().await?;
        Ok(version)
    }

    /// Moves a version to a stage; with `archive_others` every other version leaves that stage for the archive.
    pub(crate) async fn move_to_stage(
        &self,
        caller: &str,
        (name, number): (&str, i64),
        stage: Stage,
        archive_others: bool,
    ) -> Result<ModelVersion, TrackingError> {
        if archive_others && !matches!(stage, Stage::Staging | Stage::Production) {
            let reason = format!("cannot archive the existing versions of stage {}", stage.word());
            return Err(TrackingError::invalid("archive_existing_versions", reason));
        }
        let mut transaction = self.begin().await?;
        let mut version = find(&mut transaction, name, number).await?;
        let detail = json!({ "from": version.stage.word(), "to": stage.word() });
        version.stage = stage;
        version.updated_ms = self.now_ms();
        store::versions::update(&mut transaction, &version).await?;
        if archive_others {
            store::versions::archive_others(&mut transaction, &version, version.updated_ms).await?;
        }
        store::registry::touch(&mut transaction, name, version.updated_ms).await?;
        let subject = format!("model/{name}/{number}");
        self.audit(&mut transaction, caller, "tracking.move_to_stage", subject, detail).await?;
        transaction.commit().await?;
        Ok(version)
    }

    /// Deletes a version with its tags and aliases. Its number is never given again.
    pub(crate) async fn delete_model_version(
        &self,
        caller: &str,
        name: &str,
        number: i64,
    ) -> Result<(), TrackingError> {
        let mut transaction = self.begin().await?;
        let version = find(&mut transaction, name, number).await?;
        store::versions::delete(&mut transaction, name, number).await?;
        store::registry::touch(&mut transaction, name, self.now_ms()).await?;
        let detail = json!({ "aliases": version.aliases });
        let subject = format!("model/{name}/{number}");
        self.audit(&mut transaction, caller, "tracking.delete_version", subject, detail).await?;
        transaction.commit().await?;
        if !version.aliases.is_empty() {
            self.announce_alias_change();
        }
        Ok(())
    }

    pub(crate) async fn set_model_version_tag(
        &self,
        name: &str,
        number: i64,
        tag: Pair,
    ) -> Result<(), TrackingError> {
        bounds::registry_tag(&tag)?;
        let mut transaction = self.begin().await?;
        find(&mut transaction, name, number).await?;
        store::versions::set_tag(&mut transaction, name, number, &tag).await?;
        let is_prompt = store::registry::is_prompt(&mut transaction, name).await?;
        let news = news::version_tag(is_prompt, name, number, &tag.key, Some(&tag.value));
        self.tell(&mut transaction, &news).await?;
        transaction.commit().await?;
        self.announce_news();
        Ok(())
    }

    /// Takes a tag away; nothing happens when it is not there.
    pub(crate) async fn delete_model_version_tag(
        &self,
        name: &str,
        number: i64,
        key: &str,
    ) -> Result<(), TrackingError> {
        let mut transaction = self.begin().await?;
        find(&mut transaction, name, number).await?;
        if store::versions::delete_tag(&mut transaction, name, number, key).await? {
            let is_prompt = store::registry::is_prompt(&mut transaction, name).await?;
            let news = news::version_tag(is_prompt, name, number, key, None);
            self.tell(&mut transaction, &news).await?;
        }
        transaction.commit().await?;
        self.announce_news();
        Ok(())
    }
}

/// Adds the version to the list in its logged model's tag, as clients expect to find it there.
async fn tag_logged_model(
    transaction: &mut Transaction,
    version: &ModelVersion,
) -> Result<(), TrackingError> {
    if version.model_id.is_empty() {
        return Ok(());
    }
    let tags = LOGGED_MODEL_TAGS.of(transaction, version.model_id.as_str()).await?;
    let present = tags.iter().find(|tag| tag.key == VERSIONS_TAG).map_or("[]", |tag| tag.value.as_str());
    let mut list: Vec<serde_json::Value> = serde_json::from_str(present).unwrap_or_default();
    list.push(json!({ "name": of_model_key(&version.name).1, "version": version.version }));
    let tag = Pair::new(VERSIONS_TAG, serde_json::Value::from(list).to_string());
    Ok(LOGGED_MODEL_TAGS.set(transaction, &version.model_id.as_str().into(), &[tag]).await?)
}
