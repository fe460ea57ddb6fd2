//! Brings registered models, prompts and their versions, and then their aliases.

use std::collections::BTreeMap;

use reqwest::StatusCode;

use super::{
    flow::{Ended, Import},
    item::{Registration, Version},
};

/// Who holds the aliases of a registered model here.
type Holders = BTreeMap<String, i64>;

impl Import<'_> {
    pub(super) async fn registry(&self) -> Ended {
        let Some(registrations) = self.outcome("registered models", self.source.registrations().await)?
        else {
            return Ok(());
        };
        let mut placed: Vec<(&Registration, Holders)> = Vec::new();
        let mut later: Vec<Version> = Vec::new();
        for registration in &registrations {
            if let Some(holders) = self.registration(registration).await? {
                placed.push((registration, holders));
                self.versions_of(registration, &mut later).await?;
            }
        }
        self.versions_of_others(later).await?;
        for (registration, holders) in placed {
            self.aliases_of(registration, &holders).await?;
        }
        Ok(())
    }

    async fn registration(
        &self,
        registration: &Registration,
    ) -> Result<Option<Holders>, crate::failure::CommandFailure> {
        let family = if registration.is_prompt() { "prompt" } else { "registered model" };
        let label = format!("{family} {}", registration.name);
        self.shows(&label);
        let Some((arrival, holders)) =
            self.outcome(&label, self.destination.registration(registration).await)?
        else {
            return Ok(None);
        };
        let mut report = self.report();
        let count =
            if registration.is_prompt() { &mut report.prompts } else { &mut report.registered_models };
        count.add(&arrival.outcome);
        report.notes(&label, arrival.notes);
        Ok(Some(holders))
    }

    async fn versions_of(&self, registration: &Registration, later: &mut Vec<Version>) -> Ended {
        let label = format!("versions of {}", registration.name);
        let Some(versions) = self.outcome(&label, self.source.versions(registration).await)? else {
            return Ok(());
        };
        for mut version in versions {
            if !version.is_prompt() && !registration.is_prompt() {
                let found = self.places().source_of(&version);
                version.has_files = found.is_some();
                match found {
                    Some(source) => version.source = source,
                    None => {
                        let why = format!("they lie at {}, which was not brought", version.source);
                        self.report().leaves_out(format!("files of version {}", version.label()), why);
                    }
                }
            }
            self.version(version, Some(later)).await?;
        }
        Ok(())
    }

    /// Versions that are copies of versions of other models wait until those are there.
    async fn versions_of_others(&self, mut waiting: Vec<Version>) -> Ended {
        loop {
            let before = waiting.len();
            let mut later = Vec::new();
            for version in waiting {
                self.version(version, Some(&mut later)).await?;
            }
            if later.len() == before {
                for version in later {
                    self.version(version, None).await?;
                }
                return Ok(());
            }
            if later.is_empty() {
                return Ok(());
            }
            waiting = later;
        }
    }

    async fn version(&self, version: Version, later: Option<&mut Vec<Version>>) -> Ended {
        let label = format!("version {}", version.label());
        let result = self.destination.version(&version).await;
        if let (Err(trouble), Some(later)) = (&result, later)
            && trouble.is(StatusCode::NOT_FOUND)
        {
            later.push(version);
            return Ok(());
        }
        if let Some(arrival) = self.outcome(&label, result)? {
            let mut report = self.report();
            report.versions.add(&arrival.outcome);
            report.notes(&label, arrival.notes);
        }
        Ok(())
    }

    async fn aliases_of(&self, registration: &Registration, holders: &Holders) -> Ended {
        for (alias, version) in &registration.aliases {
            let label = format!("alias {}@{alias}", registration.name);
            match holders.get(alias) {
                Some(holder) if holder == version => self.report().aliases.add("present"),
                Some(holder) => {
                    let why = format!("version {holder} holds it here and version {version} there; it stays");
                    self.report().notes(&label, vec![why]);
                }
                None => {
                    let given = self.destination.alias(&registration.name, alias, *version).await;
                    if self.outcome(&label, given)?.is_some() {
                        self.report().aliases.add("created");
                    }
                }
            }
        }
        Ok(())
    }
}
