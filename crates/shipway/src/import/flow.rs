//! The order in which things are brought: each experiment with its logged models and its runs, then the registry, then aliases.
//!
//! A run links to models, and a version names the files of either, so what is named comes before what names it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use indicatif::ProgressBar;

use super::{
    destination::Destination, http::Trouble, item::Experiment, origin::Places, report::Report, source::Source,
};
use crate::{client::Client, failure::CommandFailure, output};

/// How an import goes about its work.
#[derive(Debug, Clone)]
pub(crate) struct Options<'a> {
    /// Where everything goes; `default` when it is none.
    pub(crate) workspace: Option<&'a str>,
    /// Runs and models that are brought at the same time.
    pub(crate) at_once: usize,
    /// Whether also what came whole is read and compared again.
    pub(crate) recheck: bool,
}

/// One import, from its source to the server.
pub(crate) struct Import<'a> {
    pub(super) source: &'a dyn Source,
    pub(super) destination: Destination<'a>,
    pub(super) options: Options<'a>,
    pub(super) places: Mutex<Places>,
    report: Mutex<Report>,
    progress: ProgressBar,
}

/// What comes of one thing when it is over: nothing more to say, or the end of everything.
pub(super) type Ended = Result<(), CommandFailure>;

impl<'a> Import<'a> {
    pub(crate) fn new(source: &'a dyn Source, client: &'a Client, options: Options<'a>) -> Self {
        let report = Report { source: source.name().to_owned(), ..Report::default() };
        Self {
            source,
            destination: Destination { client, workspace: options.workspace },
            options,
            places: Mutex::default(),
            report: Mutex::new(report),
            progress: output::spinner("importing"),
        }
    }

    /// Brings everything. The report says what came, also when the import ended before its end.
    pub(crate) async fn run(self) -> (Report, Ended) {
        let ended = self.all().await;
        self.report().left_out.extend(self.source.left_out());
        self.report().failed.extend(self.source.failed());
        self.progress.finish_and_clear();
        let report = self.report().clone();
        (report, ended)
    }

    async fn all(&self) -> Ended {
        self.destination.check().await.map_err(|trouble| match trouble {
            Trouble::Item { message, .. } => CommandFailure::new(message).with_hint(
                "--server names the Shipway server that takes the import, and importing needs to manage it; --workspace names a \
                 workspace that is there",
            ),
            Trouble::End(failure) => failure,
        })?;
        let experiments = self.source.experiments().await.map_err(|trouble| match trouble {
            Trouble::Item { message, .. } => CommandFailure::new(message),
            Trouble::End(failure) => failure,
        })?;
        for experiment in &experiments {
            self.experiment(experiment).await?;
        }
        self.registry().await
    }

    async fn experiment(&self, experiment: &Experiment) -> Ended {
        let label = format!("experiment {}", experiment.name);
        let Some(arrival) = self.outcome(&label, self.destination.experiment(experiment).await)? else {
            return Ok(());
        };
        let id_here = arrival.whole["experiment_id"].as_str().unwrap_or_default().to_owned();
        {
            let mut report = self.report();
            report.experiments.add(&arrival.outcome);
            report.notes(&label, arrival.notes);
            report.maps(&experiment.name, &experiment.experiment_id, &id_here);
        }
        self.shows(&experiment.name);
        self.models_of(experiment, &id_here).await?;
        self.runs_of(experiment, &id_here).await
    }

    pub(super) fn report(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The result, unless the thing failed, which is noted; an end of everything is passed on.
    pub(super) fn outcome<T>(
        &self,
        what: &str,
        result: Result<T, Trouble>,
    ) -> Result<Option<T>, CommandFailure> {
        match result {
            Ok(done) => Ok(Some(done)),
            Err(Trouble::Item { message, .. }) => {
                self.report().fails(what, message);
                Ok(None)
            }
            Err(Trouble::End(failure)) => Err(failure),
        }
    }

    /// Shows a person how far it is.
    pub(super) fn shows(&self, what: &str) {
        let report = self.report();
        let runs = report.runs.created + report.runs.present;
        self.progress.set_message(format!(
            "{what}: {}, {}, {}",
            output::counted(runs, "run"),
            output::counted(report.metric_points, "point"),
            output::bytes(report.file_bytes)
        ));
    }
}
