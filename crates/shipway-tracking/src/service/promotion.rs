//! Giving and taking aliases: fetch what the gates ask about, judge, record, all in one transaction.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;
use shipway_definitions::Requirement;

use crate::{
    artifact_digest,
    error::{Thing, TrackingError},
    model::{ModelVersion, bounds},
    promote::{Contender, Evaluation, Gate, Judgement, Refusal, Replays, approve},
    service::{Tracking, artifacts::is_within, registry, versions},
    store::{self, Rows, artifacts::StoredFile},
    webhook::news,
};

/// An alias that was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Promotion {
    /// The registered model.
    pub model: String,
    /// The alias.
    pub alias: String,
    /// The version that holds it now.
    pub version: u32,
    /// The version that held it before; absent when nobody did, or when it was this one.
    pub replaced: Option<u32>,
    /// What the gates found; empty where no gate stands, and where the version held the alias already.
    pub judged: Vec<Judgement>,
}

/// A version's number as people and serving see it.
pub(super) fn number(version: i64) -> u32 {
    u32::try_from(version).unwrap_or(u32::MAX)
}

/// The files of a version, with paths relative to its folder.
pub(super) async fn files_of(
    rows: &mut impl Rows,
    version: &ModelVersion,
) -> Result<Vec<StoredFile>, TrackingError> {
    let folder = &version.artifact_folder;
    let mut files = store::artifacts::of_root(rows, &version.artifact_root).await?;
    files.retain(|file| is_within(folder, &file.path) && file.path != *folder);
    for file in &mut files {
        let below = file.path.get(folder.len()..).unwrap_or_default();
        file.path = below.trim_start_matches('/').to_owned();
    }
    Ok(files)
}

pub(super) async fn evaluations_of(
    rows: &mut impl Rows,
    version: &ModelVersion,
) -> Result<Vec<Evaluation>, TrackingError> {
    if version.model_id.is_empty() {
        return Ok(Vec::new());
    }
    Ok(store::evaluations::of_model(rows, &version.model_id).await?)
}

/// All that a gate may ask about a version.
pub(super) async fn contender(
    rows: &mut impl Rows,
    name: &str,
    version: i64,
) -> Result<Contender, TrackingError> {
    let version = versions::find(rows, name, version).await?;
    let files = files_of(rows, &version).await?;
    Ok(Contender {
        version: number(version.version),
        artifact: artifact_digest::of_files(files.iter().map(|file| (file.path.as_str(), file.digest))),
        evaluations: evaluations_of(rows, &version).await?,
    })
}

impl Tracking {
    /// Gives `alias` of `name` to a version, if every gate before it is met; the refusal names what is not.
    ///
    /// Both outcomes are audited. Asking again for what is already so changes nothing and is not judged again: the files of
    /// a version that holds an alias cannot change.
    pub async fn promote(
        &self,
        caller: &str,
        name: &str,
        alias: &str,
        version: i64,
    ) -> Result<Promotion, TrackingError> {
        bounds::alias(alias)?;
        let gates = self.inner.gates.gates(name, alias);
        let replays = self.replays_for(&gates).await?;
        let mut transaction = self.begin().await?;
        let candidate = contender(&mut transaction, name, version).await?;
        let holder_number = store::registry::holder(&mut transaction, name, alias).await?;
        let mut promotion = Promotion {
            model: name.to_owned(),
            alias: alias.to_owned(),
            version: candidate.version,
            replaced: None,
            judged: Vec::new(),
        };
        let holder = match holder_number {
            Some(number) if number == version => return Ok(promotion),
            Some(number) => Some(contender(&mut transaction, name, number).await?),
            None => None,
        };
        let subject = format!("model/{name}@{alias}");
        promotion.replaced = holder.as_ref().map(|holder| holder.version);
        match approve(&candidate, holder.as_ref(), &gates, &replays) {
            Ok(judged) => promotion.judged = judged,
            Err(unmet) => {
                let refusal = Refusal {
                    model: promotion.model,
                    alias: promotion.alias,
                    version: candidate.version,
                    unmet,
                };
                let detail = json!({ "version": candidate.version, "reason": refusal.to_string() });
                self.audit(&mut transaction, caller, "tracking.refuse_promotion", subject, detail).await?;
                transaction.commit().await?;
                return Err(refusal.into());
            }
        }
        store::registry::set_alias(&mut transaction, name, alias, version).await?;
        store::registry::touch(&mut transaction, name, self.now_ms()).await?;
        let detail = json!({
            "version": promotion.version,
            "replaced": promotion.replaced,
            "artifact": candidate.artifact,
            "judged": promotion.judged,
        });
        self.audit(&mut transaction, caller, "tracking.promote", subject, detail).await?;
        let is_prompt = store::registry::is_prompt(&mut transaction, name).await?;
        self.tell(&mut transaction, &news::alias(is_prompt, name, alias, Some(version))).await?;
        transaction.commit().await?;
        self.announce_alias_change();
        self.announce_news();
        Ok(promotion)
    }

    /// What is known of the replays that `gates` ask about.
    pub(super) async fn replays_for(&self, gates: &[Gate]) -> Result<Replays, TrackingError> {
        let mut of = BTreeMap::new();
        for requirement in gates.iter().flat_map(|gate| &gate.requirements) {
            if let (Requirement::Verified { deployment, .. }, Some(source)) =
                (requirement, self.inner.replays.get())
            {
                let last = source.last(deployment.as_str()).await.map_err(TrackingError::Elsewhere)?;
                of.extend(last.map(|last| (deployment.to_string(), last)));
            }
        }
        Ok(Replays { now: self.inner.clock.now(), of })
    }

    /// Takes an alias away.
    pub async fn delete_alias(&self, caller: &str, name: &str, alias: &str) -> Result<(), TrackingError> {
        let mut transaction = self.begin().await?;
        registry::must_exist(&mut transaction, name).await?;
        let holder = store::registry::holder(&mut transaction, name, alias).await?;
        if !store::registry::delete_alias(&mut transaction, name, alias).await? {
            return Err(TrackingError::missing(Thing::Alias, format!("{name}@{alias}")));
        }
        store::registry::touch(&mut transaction, name, self.now_ms()).await?;
        let subject = format!("model/{name}@{alias}");
        let detail = json!({ "version": holder });
        self.audit(&mut transaction, caller, "tracking.delete_alias", subject, detail).await?;
        let is_prompt = store::registry::is_prompt(&mut transaction, name).await?;
        self.tell(&mut transaction, &news::alias(is_prompt, name, alias, None)).await?;
        transaction.commit().await?;
        self.announce_alias_change();
        self.announce_news();
        Ok(())
    }
}
