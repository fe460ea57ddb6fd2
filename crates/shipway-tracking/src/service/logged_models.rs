//! Use cases of logged models.

use crate::{
    error::{Thing, TrackingError},
    model::{Lifecycle, LoggedModel, ModelStatus, Pair, bounds},
    service::{
        Tracking,
        experiments::{self, location_path},
        logging::add_params,
        names::{new_id, new_name},
    },
    store::{
        self, Rows,
        pairs::{LOGGED_MODEL_PARAMS, LOGGED_MODEL_TAGS},
        purge::Family,
    },
};

#[derive(Debug, Clone, Default)]
pub(crate) struct NewLoggedModel {
    pub(crate) experiment_id: String,
    pub(crate) name: String,
    pub(crate) model_type: String,
    pub(crate) source_run_id: String,
    pub(crate) params: Vec<Pair>,
    pub(crate) tags: Vec<Pair>,
}

/// A logged model's own row; a deleted one is not found.
pub(super) async fn find(rows: &mut impl Rows, model_id: &str) -> Result<LoggedModel, TrackingError> {
    let found = store::logged_models::row_of(rows, model_id).await?;
    found
        .filter(|model| model.lifecycle == Lifecycle::Active)
        .ok_or_else(|| TrackingError::missing(Thing::LoggedModel, model_id))
}

impl Tracking {
    pub(crate) async fn create_logged_model(
        &self,
        new: NewLoggedModel,
    ) -> Result<LoggedModel, TrackingError> {
        bounds::logged_model_name(&new.name)?;
        new.params.iter().try_for_each(bounds::param)?;
        new.tags.iter().try_for_each(bounds::run_tag)?;
        let mut transaction = self.begin().await?;
        let experiment = experiments::find(&mut transaction, &new.experiment_id).await?;
        experiments::must_be(&experiment, Lifecycle::Active)?;
        let model_id = format!("m-{}", new_id());
        let now_ms = self.now_ms();
        let model = LoggedModel {
            experiment_id: experiment.id,
            name: if new.name.is_empty() { new_name() } else { new.name },
            model_type: new.model_type,
            source_run_id: new.source_run_id,
            status: ModelStatus::Pending,
            artifact_root: format!("{}/models/{model_id}/artifacts", location_path(&experiment)),
            lifecycle: Lifecycle::Active,
            created_ms: now_ms,
            updated_ms: now_ms,
            tags: new.tags,
            params: new.params,
            metrics: Vec::new(),
            registrations: Vec::new(),
            model_id,
        };
        store::logged_models::insert(&mut transaction, &model).await?;
        transaction.commit().await?;
        Ok(model)
    }

    pub(crate) async fn logged_model(&self, model_id: &str) -> Result<LoggedModel, TrackingError> {
        let found = store::logged_models::by_id(&mut self.reader(), model_id).await?;
        found
            .filter(|model| model.lifecycle == Lifecycle::Active)
            .ok_or_else(|| TrackingError::missing(Thing::LoggedModel, model_id))
    }

    /// Says how the upload of the model's files ended.
    pub(crate) async fn finalize_logged_model(
        &self,
        model_id: &str,
        status: ModelStatus,
    ) -> Result<LoggedModel, TrackingError> {
        let mut transaction = self.begin().await?;
        let mut model = find(&mut transaction, model_id).await?;
        model.status = status;
        model.updated_ms = self.now_ms();
        store::logged_models::update(&mut transaction, &model).await?;
        transaction.commit().await?;
        self.logged_model(model_id).await
    }

    /// Hides a logged model. Versions made of it keep their files.
    pub(crate) async fn delete_logged_model(&self, model_id: &str) -> Result<(), TrackingError> {
        let mut transaction = self.begin().await?;
        let mut model = find(&mut transaction, model_id).await?;
        model.lifecycle = Lifecycle::Deleted;
        model.updated_ms = self.now_ms();
        store::logged_models::update(&mut transaction, &model).await?;
        let item = [model_id.to_owned()];
        store::purge::note(&mut transaction, Family::LoggedModel, &item, model.updated_ms).await?;
        Ok(transaction.commit().await?)
    }

    pub(crate) async fn set_logged_model_tags(
        &self,
        model_id: &str,
        tags: &[Pair],
    ) -> Result<LoggedModel, TrackingError> {
        tags.iter().try_for_each(bounds::run_tag)?;
        let mut transaction = self.begin().await?;
        find(&mut transaction, model_id).await?;
        LOGGED_MODEL_TAGS.set(&mut transaction, &model_id.into(), tags).await?;
        transaction.commit().await?;
        self.logged_model(model_id).await
    }

    pub(crate) async fn delete_logged_model_tag(
        &self,
        model_id: &str,
        key: &str,
    ) -> Result<(), TrackingError> {
        let mut transaction = self.begin().await?;
        find(&mut transaction, model_id).await?;
        if !LOGGED_MODEL_TAGS.delete(&mut transaction, &model_id.into(), key).await? {
            return Err(TrackingError::missing(Thing::Tag, key));
        }
        Ok(transaction.commit().await?)
    }

    pub(crate) async fn log_logged_model_params(
        &self,
        model_id: &str,
        params: &[Pair],
    ) -> Result<(), TrackingError> {
        params.iter().try_for_each(bounds::param)?;
        let mut transaction = self.begin().await?;
        find(&mut transaction, model_id).await?;
        add_params(&mut transaction, LOGGED_MODEL_PARAMS, model_id, params).await?;
        Ok(transaction.commit().await?)
    }
}
