//! What is in force, and what was.

use std::str::FromStr;

use serde::{Deserialize as _, Serialize};
use shipway_core::{Digest, Name, Timestamp, nearest};
use shipway_definitions::{DefinitionKind, DefinitionSet, UnknownDefinition};

use crate::{
    CatalogError, PersonalData, Subject,
    plan::{describe, policy::personal_data},
    service::Catalog,
};

/// One definition in force, in a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DefinitionSummary {
    /// Its kind.
    pub kind: DefinitionKind,
    /// Its name.
    pub name: Name,
    /// Its version.
    pub hash: Digest,
    /// The number of its revision.
    pub revision: i64,
    /// When the revision was applied.
    pub applied_at: Timestamp,
    /// By whom.
    pub applied_by: String,
    /// What it is, for people.
    pub description: Option<String>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Words to find it by.
    pub tags: Vec<String>,
}

/// One definition with all its revisions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DefinitionDetail {
    /// Its kind.
    pub kind: DefinitionKind,
    /// Its name.
    pub name: Name,
    /// The version in force; none when it was removed.
    pub hash: Option<Digest>,
    /// The definition in force, in its stored form.
    pub definition: Option<serde_json::Value>,
    /// The same in words, as `[field, value]`.
    pub fields: Vec<(String, String)>,
    /// The personal data of a view, or in the columns of a service.
    pub personal: Vec<PersonalData>,
    /// Every revision, the oldest first.
    pub revisions: Vec<RecordedRevision>,
}

/// One revision of a definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecordedRevision {
    /// 1, 2, 3, …
    pub revision: i64,
    /// The version. Revisions that differ only in what people read have one version.
    pub hash: Digest,
    /// When it was applied.
    pub applied_at: Timestamp,
    /// By whom.
    pub applied_by: String,
    /// Whether it is in force now.
    pub in_force: bool,
}

impl Catalog {
    /// The definitions in force, by kind and name.
    pub async fn list(&self) -> Vec<DefinitionSummary> {
        let records = self.shared.records.read().await;
        let (set, revisions) = (&records.recorded.set, &records.revisions);
        let summarise = |kind: DefinitionKind, name: &Name| {
            let revision = revisions.get(&(kind, name.clone()))?.iter().find(|revision| revision.in_force)?;
            let (json, hash) = set.stored(kind, name.as_str())?;
            let text = |field: &str| json.get(field).and_then(|value| value.as_str()).map(str::to_owned);
            Some(DefinitionSummary {
                kind,
                name: name.clone(),
                hash,
                revision: revision.revision,
                applied_at: revision.applied_at,
                applied_by: revision.applied_by.clone(),
                description: text("description"),
                owner: text("owner"),
                tags: json
                    .get("tags")
                    .and_then(|tags| Vec::<String>::deserialize(tags).ok())
                    .unwrap_or_default(),
            })
        };
        let kinds = DefinitionKind::ALL.into_iter();
        kinds
            .flat_map(|kind| set.names(kind).into_iter().filter_map(move |name| summarise(kind, name)))
            .collect()
    }

    /// One definition, in force or removed. `kind` and `name` are what the caller wrote.
    pub async fn detail(&self, kind: &str, name: &str) -> Result<DefinitionDetail, CatalogError> {
        let kind = kind_of(kind)?;
        let records = self.shared.records.read().await;
        let (set, revisions) = (&records.recorded.set, &records.revisions);
        let known = Name::new(name).ok().filter(|name| revisions.contains_key(&(kind, name.clone())));
        let Some(name) = known else { return Err(unknown(set, kind, name)) };
        let (definition, hash) = set.stored(kind, name.as_str()).unzip();
        Ok(DefinitionDetail {
            kind,
            hash,
            definition,
            fields: describe(set, kind, name.as_str()),
            personal: personal_data(set, &Subject { kind, name: name.clone() }),
            revisions: revisions.get(&(kind, name.clone())).cloned().unwrap_or_default(),
            name,
        })
    }
    /// The definition in force that a caller means.
    pub(super) async fn in_force(&self, kind: &str, name: &str) -> Result<Subject, CatalogError> {
        let kind = kind_of(kind)?;
        let records = self.shared.records.read().await;
        let set = &records.recorded.set;
        let found = set.names(kind).into_iter().find(|known| known.as_str() == name).cloned();
        found.map(|name| Subject { kind, name }).ok_or_else(|| unknown(set, kind, name))
    }
}

fn kind_of(word: &str) -> Result<DefinitionKind, CatalogError> {
    DefinitionKind::from_str(word).map_err(|_| CatalogError::UnknownKind { word: word.to_owned() })
}

fn unknown(set: &DefinitionSet, kind: DefinitionKind, name: &str) -> CatalogError {
    let names = set.names(kind).into_iter().map(Name::as_str);
    let nearest = nearest(name, names).and_then(|nearest| Name::new(nearest).ok());
    UnknownDefinition { kind, name: name.to_owned(), nearest }.into()
}
