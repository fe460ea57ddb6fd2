//! Brings the logged models of an experiment, some at a time.

use futures::{StreamExt, TryStreamExt, stream};

use super::{
    flow::{Ended, Import},
    http::Trouble,
    item::{Experiment, LoggedModel},
    runs::POINTS,
    source::Owner,
};

impl Import<'_> {
    pub(super) async fn models_of(&self, experiment: &Experiment, id_here: &str) -> Ended {
        let label = format!("logged models of experiment {}", experiment.name);
        let mut token: Option<String> = None;
        loop {
            let page = self.source.logged_models(experiment, token.as_deref()).await;
            let Some(page) = self.outcome(&label, page)? else { return Ok(()) };
            let ids: Vec<&str> = page.items.iter().map(|model| model.model_id.as_str()).collect();
            let Some(marks) = self.outcome(&label, self.destination.marks("logged_model", &ids).await)?
            else {
                return Ok(());
            };
            let bring = |model: &LoggedModel| {
                let mark = marks.get(&model.model_id).cloned();
                let model = model.clone();
                async move { self.model_of(model, id_here, mark).await }
            };
            stream::iter(page.items.iter().map(bring))
                .buffer_unordered(self.options.at_once)
                .try_for_each(|()| async {
                    self.shows(&experiment.name);
                    Ok(())
                })
                .await?;
            token = page.next;
            if token.is_none() {
                return Ok(());
            }
        }
    }

    async fn model_of(&self, model: LoggedModel, id_here: &str, mark: Option<String>) -> Ended {
        let digest = model.digest();
        if mark.as_ref() == Some(&digest) && !self.options.recheck {
            self.places().models.insert(model.model_id, model.artifact_uri);
            self.report().logged_models.add("present");
            return Ok(());
        }
        let label = format!("logged model {}", model.model_id);
        let Some(is_whole) = self.outcome(&label, self.bring_model(&label, &model, id_here).await)? else {
            return Ok(());
        };
        if is_whole {
            self.outcome(&label, self.destination.done("logged_model", &model.model_id, &digest).await)?;
        }
        Ok(())
    }

    /// Brings all of a logged model; false when a part of it failed, which is noted.
    async fn bring_model(&self, label: &str, model: &LoggedModel, id_here: &str) -> Result<bool, Trouble> {
        let sent = LoggedModel { experiment_id: id_here.to_owned(), ..model.clone() };
        let arrival = self.destination.logged_model(&sent).await?;
        self.places().models.insert(model.model_id.clone(), model.artifact_uri.clone());
        {
            let mut report = self.report();
            report.logged_models.add(&arrival.outcome);
            report.notes(label, arrival.notes.clone());
        }
        for scores in model.scores.chunks(POINTS) {
            let notes = self.destination.scores(&model.model_id, scores).await?;
            let mut report = self.report();
            report.metric_points += scores.len() as u64;
            report.notes(label, notes);
        }
        self.bring_files(label, Owner::Model(model), &arrival).await
    }
}
