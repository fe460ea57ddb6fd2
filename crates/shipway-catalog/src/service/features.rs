//! Every feature in force, found by what is known about it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shipway_core::{DataType, Digest, Name};
use shipway_definitions::{DefinitionSet, Deprecation, Freshness, Pii, Versioned, View, ViewBody};

use crate::service::Catalog;

/// Which features are wanted; all that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct FeatureFilter {
    /// Has this tag.
    pub tag: Option<String>,
    /// This one answers for it.
    pub owner: Option<String>,
    /// Is of this class of personal data.
    pub pii: Option<Pii>,
    /// Is deprecated, or is not.
    pub deprecated: Option<bool>,
    /// Is of this view.
    pub view: Option<String>,
    /// Describes this entity.
    pub entity: Option<String>,
    /// Is taken by this service.
    pub service: Option<String>,
    /// Has this in its name, its description, its owner or a tag; the case does not matter.
    pub text: Option<String>,
}

/// One feature, with everything that is known about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FeatureSummary {
    /// `view:feature`.
    pub name: String,
    /// The type of its values.
    #[serde(rename = "type")]
    pub data_type: DataType,
    /// Its view.
    pub view: Name,
    /// The version of the view.
    pub version: Digest,
    /// The entity that it describes.
    pub entity: Name,
    /// The keys of the entity.
    pub keys: Vec<Name>,
    /// Where its events come from.
    pub source: Name,
    /// What it computes, in words.
    pub computes: String,
    /// What it is, for people.
    pub description: Option<String>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// How personal its values are; none: nobody has said.
    pub pii: Option<Pii>,
    /// How fresh it should be.
    pub freshness: Option<Freshness>,
    /// The age up to which it counts, as `30m`; for latest values only.
    pub ttl: Option<String>,
    /// That it should not be taken any more.
    pub deprecated: Option<Deprecation>,
    /// The services in force that take it.
    pub services: Vec<Name>,
}

impl FeatureFilter {
    fn matches(&self, feature: &FeatureSummary) -> bool {
        let is = |wanted: &Option<String>, got: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| got == Some(wanted))
        };
        let among = |wanted: &Option<String>, has: &dyn Fn(&str) -> bool| wanted.as_deref().is_none_or(has);
        among(&self.tag, &|tag| feature.tags.iter().any(|held| held == tag))
            && among(&self.service, &|name| feature.services.iter().any(|held| held.as_str() == name))
            && is(&self.owner, feature.owner.as_deref())
            && is(&self.view, Some(feature.view.as_str()))
            && is(&self.entity, Some(feature.entity.as_str()))
            && self.pii.is_none_or(|pii| feature.pii == Some(pii))
            && self.deprecated.is_none_or(|deprecated| feature.deprecated.is_some() == deprecated)
            && self.text.as_deref().is_none_or(|text| feature.mentions(&text.to_lowercase()))
    }
}

impl FeatureSummary {
    fn mentions(&self, lower_case: &str) -> bool {
        let texts = [Some(&self.name), self.description.as_ref(), self.owner.as_ref()];
        let texts = texts.into_iter().flatten().chain(&self.tags);
        texts.into_iter().any(|text| text.to_lowercase().contains(lower_case))
    }
}

impl Catalog {
    /// The features in force that `filter` wants, by view and then in the view's order. Costs a look at every definition.
    pub async fn features(&self, filter: &FeatureFilter) -> Vec<FeatureSummary> {
        let records = self.shared.records.read().await;
        let set = &records.recorded.set;
        let services = services(set);
        let all = set.views.values().flat_map(|view| of_view(view, &services));
        all.filter(|feature| filter.matches(feature)).collect()
    }
}

/// Which services take which feature of which view.
type Takers = BTreeMap<(Name, Name), Vec<Name>>;

fn services(set: &DefinitionSet) -> Takers {
    let mut takers = Takers::new();
    for service in set.services.values().map(|service| &service.definition) {
        for reference in &service.views {
            for feature in &reference.features {
                let place = (reference.view.clone(), feature.clone());
                takers.entry(place).or_default().push(service.name.clone());
            }
        }
    }
    takers
}

fn of_view(view: &Versioned<View>, takers: &Takers) -> Vec<FeatureSummary> {
    let Versioned { definition: view, hash, .. } = view;
    let summary = |(feature, data_type): (Name, DataType)| {
        let metadata = view.metadata(&feature);
        FeatureSummary {
            name: format!("{}:{feature}", view.name),
            data_type,
            view: view.name.clone(),
            version: *hash,
            entity: view.entity.clone(),
            keys: view.entity_keys.iter().map(|(key, _)| key.clone()).collect(),
            source: view.source.clone(),
            computes: computes(view, &feature),
            description: metadata.description,
            owner: metadata.owner,
            tags: metadata.tags,
            pii: metadata.pii,
            freshness: metadata.freshness,
            ttl: view.ttl(&feature).map(|ttl| ttl.to_string()),
            deprecated: metadata.deprecated,
            services: takers.get(&(view.name.clone(), feature)).cloned().unwrap_or_default(),
        }
    };
    view.outputs().into_iter().map(summary).collect()
}

fn computes(view: &View, name: &Name) -> String {
    match &view.body {
        ViewBody::Aggregates(features) => features
            .iter()
            .find(|feature| feature.name == *name)
            .map(crate::plan::feature_in_words)
            .unwrap_or_default(),
        ViewBody::Latest { .. } => format!("latest {name}"),
    }
}
