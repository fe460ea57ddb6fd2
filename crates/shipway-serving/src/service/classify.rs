//! Texts get scores: long ones in windows, of which the highest score of each label counts. For whoever guards texts by it, so nothing of them
//! reaches the prediction log: it has no row of what was cut into tokens before.

use std::{sync::Arc, time::Instant};

use shipway_runtime::{
    tensor::Elements,
    text::{SCORES, TextTask},
};

use super::{Serving, Source, Target, TensorQuestion, embed::token_tensor};
use crate::{batching::Urgency, error::ServingError, model::prediction::MAX_ROWS};

/// The most windows of all texts of one question.
const MOST_WINDOWS: usize = 512;
/// How many tokens neighbours share, so that what stands at the end of one is seen with what follows it.
const SHARED_TOKENS: usize = 32;

impl Serving {
    /// The score of each label, from 0 to 1: the highest of all texts and of all windows of each. Refused where the deployment does not
    /// classify texts that come with the request, where there are more windows than are looked at, or where its queue is full.
    pub async fn classify(&self, name: &str, texts: Vec<String>) -> Result<Vec<(String, f32)>, ServingError> {
        let target = self.target(name, None).await?;
        let served = &target.served;
        let classifies = served.model.text().is_some_and(|text| text.task() == TextTask::Classify);
        if !classifies || !matches!(served.source, Source::Direct { .. }) {
            return Err(ServingError::NoScores(target.deployment.name.to_string()));
        }
        let (labels, most_tokens) = {
            let text = served.model.text().ok_or(ServingError::ModelFailed)?;
            (text.labels().to_vec(), text.max_tokens())
        };
        let windows = self.windows(&target, texts).await?;
        let mut highest = vec![0.0_f32; labels.len()];
        for rows in windows.chunks(MAX_ROWS) {
            let question = TensorQuestion {
                inputs: vec![token_tensor(rows, most_tokens)],
                wanted: vec![SCORES.to_owned()],
                urgency: Urgency::default(),
                key: None,
            };
            let answer = self.ask(&target, question, Instant::now()).await?;
            let Some(Elements::Fp32(scores)) =
                answer.outputs.into_iter().next().map(|output| output.elements)
            else {
                return Err(ServingError::ModelFailed);
            };
            // One that is no number would count for less than any.
            if scores.iter().any(|score| !score.is_finite()) {
                return Err(ServingError::ModelFailed);
            }
            for row in scores.chunks_exact(labels.len().max(1)) {
                for (highest, score) in highest.iter_mut().zip(row) {
                    *highest = highest.max(*score);
                }
            }
        }
        Ok(labels.into_iter().zip(highest).collect())
    }

    /// The windows of all texts, cut where it holds up nobody.
    async fn windows(&self, target: &Target, texts: Vec<String>) -> Result<Vec<Vec<i64>>, ServingError> {
        let served = Arc::clone(&target.served);
        let cut = move || -> Option<Option<Vec<Vec<i64>>>> {
            let text = served.model.text()?;
            let mut windows = Vec::new();
            for one in &texts {
                let left = MOST_WINDOWS - windows.len();
                let Some(more) = text.windows(one, SHARED_TOKENS, left) else { return Some(None) };
                windows.extend(more);
            }
            Some(Some(windows))
        };
        let cut = self.inner.tracker.spawn_blocking(cut).await.ok().flatten();
        match cut.ok_or(ServingError::ModelFailed)? {
            Some(windows) => Ok(windows),
            None => Err(ServingError::TooManyWindows { limit: MOST_WINDOWS }),
        }
    }
}
