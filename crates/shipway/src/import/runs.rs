//! Brings the runs of an experiment, some at a time.

use futures::{StreamExt, TryStreamExt, stream};

use super::{
    flow::{Ended, Import},
    http::Trouble,
    item::{Experiment, Inputs, Point, Run},
    source::Owner,
};

/// Points in one request.
pub(super) const POINTS: usize = 5_000;
/// About so many bytes of data sets go in one request, and at least one data set.
const INPUT_BYTES: usize = 8 << 20;

impl Import<'_> {
    pub(super) async fn runs_of(&self, experiment: &Experiment, id_here: &str) -> Ended {
        let label = format!("runs of experiment {}", experiment.name);
        let mut token: Option<String> = None;
        loop {
            let page = self.source.runs(experiment, token.as_deref()).await;
            let Some(page) = self.outcome(&label, page)? else { return Ok(()) };
            let ids: Vec<&str> = page.items.iter().map(|run| run.run_id.as_str()).collect();
            let Some(marks) = self.outcome(&label, self.destination.marks("run", &ids).await)? else {
                return Ok(());
            };
            let bring = |run: &Run| {
                let mark = marks.get(&run.run_id).cloned();
                let run = run.clone();
                async move { self.run_of(run, id_here, mark).await }
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

    async fn run_of(&self, run: Run, id_here: &str, mark: Option<String>) -> Ended {
        self.places().runs.insert(run.run_id.clone(), run.artifact_uri.clone());
        let digest = run.digest();
        if mark.as_ref() == Some(&digest) && !self.options.recheck {
            self.report().runs.add("present");
            return Ok(());
        }
        let label = format!("run {}", run.run_id);
        let Some(is_whole) = self.outcome(&label, self.bring_run(&label, &run, id_here).await)? else {
            return Ok(());
        };
        if is_whole {
            self.outcome(&label, self.destination.done("run", &run.run_id, &digest).await)?;
        }
        Ok(())
    }

    /// Brings all of a run; false when a part of it failed, which is noted.
    async fn bring_run(&self, label: &str, run: &Run, id_here: &str) -> Result<bool, Trouble> {
        let sent = Run { experiment_id: id_here.to_owned(), ..run.clone() };
        let arrival = self.destination.run(&sent).await?;
        {
            let mut report = self.report();
            report.runs.add(&arrival.outcome);
            report.notes(label, arrival.notes.clone());
        }
        for part in parts(&run.inputs) {
            let notes = self.destination.inputs(&run.run_id, &part).await?;
            self.report().notes(label, notes);
        }
        self.bring_history(label, run).await?;
        self.bring_files(label, Owner::Run(run), &arrival).await
    }

    async fn bring_history(&self, label: &str, run: &Run) -> Result<(), Trouble> {
        let mut waiting: Vec<Point> = Vec::new();
        for metric in &run.latest {
            let mut token: Option<String> = None;
            loop {
                let page = self.source.history(run, &metric.key, token.as_deref()).await?;
                waiting.extend(page.items);
                while waiting.len() >= POINTS {
                    let rest = waiting.split_off(POINTS);
                    self.send_points(label, &run.run_id, &waiting).await?;
                    waiting = rest;
                }
                token = page.next;
                if token.is_none() {
                    break;
                }
            }
        }
        if waiting.is_empty() { Ok(()) } else { self.send_points(label, &run.run_id, &waiting).await }
    }

    async fn send_points(&self, label: &str, run_id: &str, points: &[Point]) -> Result<(), Trouble> {
        let notes = self.destination.metrics(run_id, points).await?;
        let mut report = self.report();
        report.metric_points += points.len() as u64;
        report.notes(label, notes);
        Ok(())
    }
}

/// Inputs cut into requests of a bounded size.
fn parts(inputs: &Inputs) -> Vec<Inputs> {
    let mut parts = Vec::new();
    if inputs.is_empty() {
        return parts;
    }
    let (models, datasets) = (Inputs { datasets: Vec::new(), ..inputs.clone() }, &inputs.datasets);
    let (mut part, mut bytes) = (models, 0);
    for dataset in datasets {
        let texts = [Some(&dataset.source), dataset.schema.as_ref(), dataset.profile.as_ref()];
        let size: usize = texts.into_iter().flatten().map(String::len).sum();
        if bytes > 0 && bytes + size > INPUT_BYTES {
            parts.push(std::mem::take(&mut part));
            bytes = 0;
        }
        bytes += size;
        part.datasets.push(dataset.clone());
    }
    parts.push(part);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::item::{Dataset, Link};

    #[test]
    fn inputs_are_sent_in_parts_of_a_bounded_size_and_links_once() {
        let profile = Some("p".repeat(INPUT_BYTES / 2 + 1));
        let dataset = Dataset { profile, ..Dataset::default() };
        let link = Link { model_id: "m-1".into(), step: 0 };
        let inputs =
            Inputs { datasets: vec![dataset; 3], model_inputs: Vec::new(), model_outputs: vec![link] };
        let parts = parts(&inputs);
        assert_eq!(parts.iter().map(|part| part.datasets.len()).collect::<Vec<_>>(), [1, 1, 1]);
        assert_eq!(parts.iter().map(|part| part.model_outputs.len()).sum::<usize>(), 1);
        assert!(super::parts(&Inputs::default()).is_empty());
    }
}
