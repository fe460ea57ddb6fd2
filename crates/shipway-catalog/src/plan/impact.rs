//! Who feels a change: the blast radius.
//!
//! A new version touches nobody who is bound to an earlier one by its hash: models and deployments stay with the version that
//! they were made with. So each consumer is told with what happens to it.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;
use shipway_core::{Digest, Name};
use shipway_definitions::{DefinitionKind, DefinitionSet, Service, View, ViewReference};

use crate::{
    Binding,
    plan::{Subject, sending::sending},
};

/// What a consumer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ConsumerKind {
    /// A source that is selected from another one.
    Source,
    /// A view.
    View,
    /// A service.
    Service,
    /// A registered model, or one version of it.
    Model,
    /// A deployment.
    Deployment,
    /// A sink.
    Sink,
    /// A model of language.
    #[serde(rename = "llm_model")]
    LlmModel,
}

/// Somebody who uses a definition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Consumer {
    /// What it is.
    pub kind: ConsumerKind,
    /// Its name.
    pub name: String,
    /// The version of a model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// The aliases of that version.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// What the change does to it, or what it does with the definition.
    pub effect: String,
}

impl fmt::Display for Consumer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            ConsumerKind::Source => "source",
            ConsumerKind::View => "view",
            ConsumerKind::Service => "service",
            ConsumerKind::Model => "model",
            ConsumerKind::Deployment => "deployment",
            ConsumerKind::Sink => "sink",
            ConsumerKind::LlmModel => "llm_model",
        };
        write!(formatter, "{kind} {}", self.name)?;
        if let Some(version) = self.version {
            write!(formatter, " version {version}")?;
        }
        if !self.aliases.is_empty() {
            write!(formatter, " ({})", self.aliases.join(", "))?;
        }
        Ok(())
    }
}

impl Consumer {
    pub(super) fn new(kind: ConsumerKind, name: impl fmt::Display, effect: String) -> Self {
        Self { kind, name: name.to_string(), version: None, aliases: Vec::new(), effect }
    }
}

/// Who feels the change of `subject` from the version `before` to the version `after`.
pub(super) fn of_change(
    current: &DefinitionSet,
    result: &DefinitionSet,
    subject: &Subject,
    (before, after): (Digest, Digest),
    bindings: &[Binding],
) -> Vec<Consumer> {
    let name = &subject.name;
    match subject.kind {
        DefinitionKind::Gate | DefinitionKind::Sink | DefinitionKind::LlmModel => Vec::new(),
        DefinitionKind::View if before == after => of_freshness(current, result, name),
        _ if before == after => Vec::new(),
        DefinitionKind::LlmGuardrail => guarded(result, name),
        DefinitionKind::Entity => views(current, result, |view| view.entity == *name),
        DefinitionKind::Source => views(current, result, |view| view.source == *name),
        DefinitionKind::View => of_new_view(current, result, name, after, bindings),
        DefinitionKind::Service => of_new_service(result, name, after, bindings),
    }
}

/// The models whose calls a guardrail looks at.
fn guarded(result: &DefinitionSet, guardrail: &Name) -> Vec<Consumer> {
    let models = result.llm_models.values().map(|model| &model.definition);
    let models = models.filter(|model| model.guardrails.contains(guardrail));
    let effect = "its calls are looked at in the new way";
    models.map(|model| Consumer::new(ConsumerKind::LlmModel, &model.name, effect.to_owned())).collect()
}

/// Who feels that `subject` goes: model versions that nobody serves by name. Whoever is live keeps it from going.
pub(super) fn of_removal(current: &DefinitionSet, subject: &Subject, bindings: &[Binding]) -> Vec<Consumer> {
    let name = &subject.name;
    let uses = |service: &Service| match subject.kind {
        DefinitionKind::View => service.views.iter().any(|reference| reference.view == *name),
        DefinitionKind::Service => service.name == *name,
        _ => false,
    };
    let mut versions: BTreeMap<&str, usize> = BTreeMap::new();
    for binding in bindings.iter().filter(|binding| !binding.is_live()) {
        if let (Binding::Model { name, .. }, Some(service)) = (binding, service_of(current, binding))
            && uses(service)
        {
            *versions.entry(name).or_default() += 1;
        }
    }
    let effect = |count: usize| {
        let (were, are) = if count == 1 {
            ("version without an alias was", "is")
        } else {
            ("versions without an alias were", "are")
        };
        format!("{count} {were} trained on it and {are} served by nobody")
    };
    versions
        .into_iter()
        .map(|(model, count)| Consumer::new(ConsumerKind::Model, model, effect(count)))
        .collect()
}

/// The version of a service that a binding is bound to.
pub(super) fn service_of<'a>(set: &'a DefinitionSet, binding: &Binding) -> Option<&'a Service> {
    let versioned = match binding {
        Binding::Model { service_version, .. } => set.services_by_hash.get(service_version)?,
        Binding::Deployment { service_version: Some(version), .. } => set.services_by_hash.get(version)?,
        Binding::Deployment { service, .. } => set.services.get(service)?,
    };
    Some(&versioned.definition)
}

fn views(
    current: &DefinitionSet,
    result: &DefinitionSet,
    is_consumer: impl Fn(&View) -> bool,
) -> Vec<Consumer> {
    let consumers = result.views.values().filter(|view| is_consumer(&view.definition));
    let consumer = |view: &std::sync::Arc<shipway_definitions::Versioned<View>>| {
        let name = &view.definition.name;
        let effect = match current.views.get(name) {
            Some(before) if before.hash == view.hash => "stays at the version it has",
            Some(_) => "gets a new version",
            None => "is new",
        };
        Consumer::new(ConsumerKind::View, name, effect.to_owned())
    };
    consumers.map(consumer).collect()
}

/// A change of an objective is felt by whoever takes the view, at whatever version.
fn of_freshness(current: &DefinitionSet, result: &DefinitionSet, name: &Name) -> Vec<Consumer> {
    let (Some(before), Some(after)) = (current.views.get(name), result.views.get(name)) else {
        return Vec::new();
    };
    let objectives = |view: &View| {
        let features = view.outputs().into_iter();
        features.map(|(feature, _)| view.metadata(&feature).freshness).collect::<Vec<_>>()
    };
    if objectives(&before.definition) == objectives(&after.definition) {
        return Vec::new();
    }
    let effect = || "is answered by the new freshness objective at once".to_owned();
    let taking = taking(result, name);
    taking.map(|(service, _)| Consumer::new(ConsumerKind::Service, &service.name, effect())).collect()
}

/// The services in force that take a view, with what they take.
pub(super) fn taking<'a>(
    set: &'a DefinitionSet,
    view: &'a Name,
) -> impl Iterator<Item = (&'a Service, &'a ViewReference)> {
    set.services.values().filter_map(move |service| {
        let service = &service.definition;
        let reference = service.views.iter().find(|reference| reference.view == *view)?;
        Some((service, reference))
    })
}

fn of_new_view(
    current: &DefinitionSet,
    result: &DefinitionSet,
    name: &Name,
    after: Digest,
    bindings: &[Binding],
) -> Vec<Consumer> {
    let service = |(service, reference): (&Service, &ViewReference)| {
        let before = current.services.get(&service.name).map(|before| before.hash);
        let now = result.services.get(&service.name).map(|now| now.hash);
        let effect = match (before, now) {
            _ if reference.hash != after => {
                format!("is not in the files and stays with version {} of the view", reference.hash.short())
            }
            (Some(before), Some(now)) if before != now => {
                format!("gets a new version: {} → {}", before.short(), now.short())
            }
            (Some(_), _) => "takes this version".to_owned(),
            (None, _) => "is new".to_owned(),
        };
        Consumer::new(ConsumerKind::Service, &service.name, effect)
    };
    let stands_on = |view: &View| view.enrich.iter().any(|reference| reference.view == *name);
    let mut consumers = views(current, result, stands_on);
    consumers.extend(taking(result, name).map(service));
    let version = |binding: &Binding| {
        let service = service_of(result, binding)?;
        let reference = service.views.iter().find(|reference| reference.view == *name)?;
        (reference.hash != after).then_some(reference.hash)
    };
    consumers.extend(bound(bindings, "the view", version));
    consumers.extend(sending(result, name).map(|sink| {
        let effect = "sends rows of this version as soon as its state is there".to_owned();
        Consumer::new(ConsumerKind::Sink, &sink.name, effect)
    }));
    consumers
}

fn of_new_service(result: &DefinitionSet, name: &Name, after: Digest, bindings: &[Binding]) -> Vec<Consumer> {
    let version = |binding: &Binding| {
        let service = service_of(result, binding)?;
        let version = match binding {
            Binding::Model { service_version, .. } => *service_version,
            Binding::Deployment { service_version, .. } => (*service_version)?,
        };
        (service.name == *name && version != after).then_some(version)
    };
    bound(bindings, "the service", version)
}

/// Those of `bindings` that keep an earlier `version` of `thing`. Model versions without an alias are counted, not listed.
fn bound(bindings: &[Binding], thing: &str, version: impl Fn(&Binding) -> Option<Digest>) -> Vec<Consumer> {
    let mut consumers = Vec::new();
    let mut others: BTreeMap<&str, usize> = BTreeMap::new();
    for binding in bindings {
        let Some(kept) = version(binding) else { continue };
        let keeps = format!("keeps version {} of {thing}", kept.short());
        match binding {
            Binding::Model { name, aliases, .. } if aliases.is_empty() => {
                *others.entry(name).or_default() += 1
            }
            Binding::Model { name, version, aliases, .. } => consumers.push(Consumer {
                version: Some(*version),
                aliases: aliases.clone(),
                ..Consumer::new(ConsumerKind::Model, name, format!("{keeps}; train again to use the new one"))
            }),
            Binding::Deployment { name, model, version, .. } => {
                let serving = version
                    .map_or_else(String::new, |version| format!("serves {model} version {version} and "));
                consumers.push(Consumer::new(ConsumerKind::Deployment, name, format!("{serving}{keeps}")));
            }
        }
    }
    let effect = |count: usize| {
        if count == 1 {
            format!("1 version without an alias keeps an earlier version of {thing}")
        } else {
            format!("{count} versions without an alias keep earlier versions of {thing}")
        }
    };
    let others = others.into_iter();
    consumers.extend(others.map(|(model, count)| Consumer::new(ConsumerKind::Model, model, effect(count))));
    consumers
}
