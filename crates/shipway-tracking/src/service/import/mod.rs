//! Use cases of an import: things that were recorded by another server come in with their ids and their times.
//!
//! Each of them may be sent again: what is there stays as it is, what is missing is added, and what differs is said. Nothing is
//! overwritten. What does not fit the bounds of this server is left out by itself, and said too.
//!
//! - `experiments`, `runs`, `models`, `registry`: the families
//! - `files`: artifacts
//! - `pairs`: tags and params beside those that are there; pure where it judges

mod experiments;
mod files;
mod models;
mod pairs;
mod registry;
mod runs;

use std::collections::BTreeMap;

use serde::Serialize;

pub(crate) use experiments::ImportedExperiment;
pub(crate) use files::FileOutcome;
pub(crate) use models::ImportedModel;
pub(crate) use registry::{ImportedRegistration, ImportedVersion};
pub(crate) use runs::{ImportedInputs, ImportedRun};

use crate::{
    error::TrackingError,
    service::{Named, Tracking},
    store,
};

/// The most ids in one question.
const IDS: usize = 1_000;
/// The most characters of a mark.
const DIGEST_LENGTH: usize = 100;

/// What came of one item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// It was not here.
    Created,
    /// Something of that name was here, which no import had made; it was added to.
    Merged,
    /// It was here.
    Present,
}

/// What came of one item, and what of it is not as the source has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Arrival {
    pub(crate) outcome: Outcome,
    /// Where its files lie; empty for what has none of its own.
    pub(crate) artifact_root: String,
    /// Sentences for a person.
    pub(crate) notes: Vec<String>,
}

/// The kinds of items whose arrival is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Experiment,
    Run,
    LoggedModel,
    RegisteredModel,
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Experiment => "experiment",
            Self::Run => "run",
            Self::LoggedModel => "logged_model",
            Self::RegisteredModel => "registered_model",
        }
    }
}

/// Checks an id that becomes part of a path: up to 64 letters, digits, `_` and `-`, and no word that paths give a meaning to.
fn id(parameter: &str, text: &str) -> Result<(), TrackingError> {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
    let is_taken = ["artifacts", "models", "traces"].contains(&text);
    if text.len() <= 64
        && text.starts_with(|letter: char| letter.is_ascii_alphanumeric())
        && text.chars().all(fits)
        && !is_taken
    {
        return Ok(());
    }
    let shown: String = text.chars().take(80).collect();
    let reason = format!("`{shown}` is no id: up to 64 letters, digits, underscores and dashes");
    Err(TrackingError::invalid(parameter, reason))
}

/// Checks a moment in milliseconds.
fn moment(parameter: &str, milliseconds: i64) -> Result<(), TrackingError> {
    // Later ones could not be told in microseconds.
    if (0..=i64::MAX / 1_000).contains(&milliseconds) {
        return Ok(());
    }
    Err(TrackingError::invalid(parameter, format!("{milliseconds} is no moment in milliseconds")))
}

impl Tracking {
    /// The digests that these items were last brought with, by id; those that never came whole are left out.
    pub(crate) async fn import_marks(
        &self,
        kind: Kind,
        ids: &[String],
    ) -> Result<BTreeMap<String, String>, TrackingError> {
        if ids.len() > IDS {
            return Err(TrackingError::invalid("ids", format!("at most {IDS} can be asked for at once")));
        }
        Ok(store::imports::digests(&mut self.reader(), kind.word(), ids).await?)
    }

    /// Refuses an item that is, or belongs to what is, in another workspace than everything goes into: ids are for the whole server, and
    /// what has one stays where it is.
    pub(crate) async fn import_stays_here(&self, touched: &[Named]) -> Result<(), TrackingError> {
        if !self.is_divided() {
            return Ok(());
        }
        for named in touched {
            match self.must_be_here(named).await {
                Err(TrackingError::Missing { thing, name, .. }) => {
                    let name = format!("{name} of another workspace");
                    return Err(TrackingError::Exists { thing, name });
                }
                other => other?,
            }
        }
        Ok(())
    }

    /// Notes that all of an item is here, as its source had it under this digest.
    pub(crate) async fn import_done(
        &self,
        kind: Kind,
        item: &str,
        digest: &str,
    ) -> Result<(), TrackingError> {
        id("id", item)?;
        if digest.is_empty() || digest.len() > DIGEST_LENGTH {
            return Err(TrackingError::invalid("digest", format!("1 to {DIGEST_LENGTH} characters")));
        }
        let mut transaction = self.begin().await?;
        store::imports::mark(&mut transaction, kind.word(), item, digest, self.now_ms()).await?;
        Ok(transaction.commit().await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_safe_in_a_path() {
        for good in ["0123456789abcdef0123456789abcdef", "m-1", "a_b", "A"] {
            assert!(id("run_id", good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a/b", "..", "a.b", "a b", "artifacts", "models", "traces", &"a".repeat(65)] {
            assert!(id("run_id", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_moment_is_not_before_the_epoch_and_fits_in_microseconds() {
        assert!(moment("start_ms", 0).is_ok() && moment("start_ms", 1_700_000_000_000).is_ok());
        assert!(moment("start_ms", -1).is_err() && moment("start_ms", i64::MAX).is_err());
    }
}
