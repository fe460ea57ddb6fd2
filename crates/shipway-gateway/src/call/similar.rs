//! An answer to a question that is about the same: given again where the model's definition says so and measurements do not speak against
//! it, and measured whenever an answer comes that could have been given.

use std::sync::Arc;

use bytes::Bytes;
use shipway_core::Timestamp;
use shipway_dialects::{
    Dialect, LastWords, last_words,
    said::{Answering, Message, answered},
};

use super::{Asked, beside::Beside};
use crate::{
    cache::{Kept, Key, Match, Meant, Question, Words, cosine, key_around},
    model::SimilarSpec,
    service::{Gateway, Model},
};

/// Measured is what is alike enough to be given or nearly so: what is advised may be less than what is set.
const MEASURED_BELOW: u32 = 150_000;
/// Answers are compared up to here: what is longer says enough by its beginning.
const MOST_COMPARED_BYTES: usize = 16 << 10;

/// A question that has no answer yet.
pub(super) struct Similar {
    spec: SimilarSpec,
    model: Arc<Model>,
    beside: Beside,
    dialect: Dialect,
    around: Key,
    text: String,
    meant: Meant,
    /// What would have been given.
    nearest: Match,
}

/// What was found.
pub(super) struct Found {
    /// An answer that is to be given, and how alike the questions are in millionths.
    pub(super) hit: Option<(Arc<Kept>, u32)>,
    pub(super) similar: Similar,
}

/// Looks for an answer to a question that is about the same. None where the model does not say so, or the question is none that can be
/// compared.
pub(super) async fn look(
    gateway: &Gateway,
    model: &Arc<Model>,
    asked: &Asked,
    question: &Question<'_>,
) -> Option<Found> {
    let spec = model.spec.cache.as_ref()?.similar.clone()?;
    let LastWords { text, around } = last_words(asked.api.dialect, &asked.body)?;
    let around = key_around(question, &around)?;
    let mut similar = Similar {
        model: Arc::clone(model),
        beside: Beside::of(gateway, asked, &model.spec.name),
        dialect: asked.api.dialect,
        around,
        meant: Meant { words: Words::of(&text), vector: Vec::new() },
        text,
        nearest: Match::default(),
        spec,
    };
    if similar.spec.is_shadow || !model.likeness.is_trusted(similar.spec.least, similar.spec.wrong) {
        return Some(Found { hit: None, similar });
    }
    similar.find(gateway).await;
    let hit = similar.answer(gateway);
    Some(Found { hit, similar })
}

impl Similar {
    /// Finds the nearest question; by its words alone where those are enough.
    async fn find(&mut self, gateway: &Gateway) {
        self.nearest = self.look(gateway);
        if self.nearest.nearest.is_some_and(|nearest| nearest.similarity == 1_000_000) {
            return;
        }
        self.nearest = Match::default();
        if self.knows_vector().await {
            self.nearest = self.look(gateway);
        }
    }

    fn look(&self, gateway: &Gateway) -> Match {
        let (answers, now) = (gateway.answers(), gateway.now());
        answers.shelves.look(&self.around, &self.meant, now, |key| answers.has(key, now))
    }

    async fn knows_vector(&mut self) -> bool {
        if !self.meant.vector.is_empty() {
            return true;
        }
        match self.beside.embed(&self.spec.embeddings, &[&self.text]).await {
            Ok(vectors) => self.meant.vector = vectors.into_iter().next().unwrap_or_default(),
            Err(reason) => self.failed(&reason),
        }
        !self.meant.vector.is_empty()
    }

    fn failed(&self, reason: &str) {
        self.model.likeness.count(|tally| tally.failed += 1);
        self.counted("failed");
        tracing::debug!(model = self.model.spec.name, reason, "a question could not be compared");
    }

    fn counted(&self, result: &'static str) {
        metrics::counter!("shipway_llm_similar_total", "model" => self.model.spec.name.clone(), "result" => result)
            .increment(1);
    }

    /// The answer that is to be given, if there is one.
    fn answer(&self, gateway: &Gateway) -> Option<(Arc<Kept>, u32)> {
        if self.nearest.other_words >= self.spec.least {
            self.model.likeness.count(|tally| tally.other_words += 1);
            self.counted("other_words");
        }
        let nearest = self.nearest.nearest.filter(|nearest| nearest.similarity >= self.spec.least)?;
        if self.spec.check.keeps(uuid::Uuid::new_v4().as_bytes()) {
            self.model.likeness.count(|tally| tally.checked += 1);
            self.counted("checked");
            return None;
        }
        let kept = gateway.answers().get(&nearest.answer, gateway.now())?;
        self.model.likeness.count(|tally| tally.given += 1);
        self.counted("given");
        Some((kept, nearest.similarity))
    }

    /// An answer came and is kept under `answer`: compares it with the one that would have been given, and keeps the question. Nobody waits
    /// for it.
    pub(super) fn came(self, gateway: &Gateway, answer: (Key, Timestamp)) {
        let name = self.model.spec.name.clone();
        let gateway_of_task = gateway.clone();
        if !gateway.compares(async move { self.learn(&gateway_of_task, answer).await }) {
            metrics::counter!("shipway_llm_similar_total", "model" => name, "result" => "shed").increment(1);
        }
    }

    async fn learn(mut self, gateway: &Gateway, (answer, until): (Key, Timestamp)) {
        if self.nearest == Match::default() {
            self.find(gateway).await;
        }
        // The vector was not needed where the words were enough.
        if self.knows_vector().await {
            let meant = self.meant.clone();
            gateway.answers().shelves.put(self.around, meant, (answer, until), gateway.now());
        }
        self.compare(gateway, &answer).await;
    }

    async fn compare(&self, gateway: &Gateway, answer: &Key) {
        let least = self.spec.least.saturating_sub(MEASURED_BELOW);
        let Some(nearest) = self.nearest.nearest.filter(|nearest| nearest.similarity >= least) else {
            return;
        };
        let now = gateway.now();
        let text = |key: &Key| gateway.answers().get(key, now).map(|kept| self.text_of(&kept));
        let (Some(before), Some(now)) = (text(&nearest.answer), text(answer)) else { return };
        let is_same = if before == now {
            true
        } else {
            match self.beside.embed(&self.spec.embeddings, &[&before, &now]).await {
                Ok(vectors) => match vectors.as_slice() {
                    [before, now] => cosine(before, now) >= self.spec.same,
                    _ => return,
                },
                Err(reason) => return self.failed(&reason),
            }
        };
        self.model.likeness.compared(nearest.similarity, is_same);
        if nearest.similarity >= self.spec.least {
            self.counted(if is_same { "same" } else { "different" });
        }
    }

    /// What an answer says.
    fn text_of(&self, kept: &Kept) -> String {
        let messages = if kept.is_stream {
            let mut answering = Answering::new(self.dialect, MOST_COMPARED_BYTES);
            kept.parts().iter().for_each(|part: &Bytes| answering.feed(part));
            answering.finish().0
        } else {
            kept.parts().first().and_then(|body| answered(self.dialect, body)).unwrap_or_default()
        };
        text_of(&messages)
    }
}

fn text_of(messages: &[Message]) -> String {
    let parts = messages.iter().flat_map(|message| &message.parts);
    let texts: Vec<&str> = parts.filter_map(|part| part.text()).map(str::trim).collect();
    let mut text = texts.join("\n");
    let end = (0..=MOST_COMPARED_BYTES.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.truncate(end.unwrap_or(0));
    text
}
