//! Whether a definition may go: only when nothing that stays in force, and nothing that answers somebody, uses it.

use std::{borrow::Cow, fmt};

use serde::Serialize;
use shipway_core::{Failure, Kind, Name};
use shipway_definitions::{DefinitionKind, DefinitionSet, LlmEmbeddings, LlmModel, Selection, Service, View};

use crate::{
    Binding,
    plan::{
        Subject,
        impact::{Consumer, ConsumerKind, service_of, taking},
        sending::sending,
    },
};

/// A definition that cannot go, because something uses it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Used {
    /// The definition.
    #[serde(flatten)]
    pub subject: Subject,
    /// Who uses it.
    pub consumers: Vec<Consumer>,
    /// What to do first.
    pub hint: String,
}

impl fmt::Display for Used {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.consumers.iter().map(ToString::to_string).collect();
        write!(formatter, "{} is in use by {}", self.subject, names.join(", "))
    }
}

/// Every definition that was to go and is used, at least one. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InUse(pub(crate) Vec<Used>);

impl InUse {
    /// The definitions, by kind and name.
    pub fn list(&self) -> &[Used] {
        &self.0
    }
}

/// A line per definition; of several, each with its remedy in brackets.
impl fmt::Display for InUse {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [used] => write!(formatter, "{used}"),
            several => {
                for (index, used) in several.iter().enumerate() {
                    let end = if index > 0 { "\n" } else { "" };
                    write!(formatter, "{end}{used} ({})", used.hint)?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for InUse {}

impl Failure for InUse {
    fn kind(&self) -> Kind {
        Kind::Conflict
    }

    fn code(&self) -> &'static str {
        "catalog.in_use"
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        match self.0.as_slice() {
            [used] => Some(used.hint.clone().into()),
            _ => Some("nothing was changed".into()),
        }
    }
}

/// Why `subject` cannot go; `result` is what would stay in force.
pub(super) fn judge(result: &DefinitionSet, subject: &Subject, bindings: &[Binding]) -> Option<Used> {
    let name = &subject.name;
    let live = bindings.iter().filter(|binding| binding.is_live());
    let bound = |uses: &dyn Fn(&Service) -> bool| -> Vec<Consumer> {
        let users = live.clone().filter(|binding| service_of(result, binding).is_some_and(uses));
        users.map(consumer).collect()
    };
    let consumers = match subject.kind {
        DefinitionKind::Gate | DefinitionKind::Sink => Vec::new(),
        DefinitionKind::LlmModel => {
            let mut consumers =
                llm_models(result, "compares questions by it", |model| compares_by(model, name));
            consumers.extend(judged(result, name));
            consumers
        }
        DefinitionKind::LlmGuardrail => {
            llm_models(result, "is guarded by it", |model| model.guardrails.contains(name))
        }
        DefinitionKind::Entity => views(result, "describes it", |view| view.entity == *name),
        DefinitionKind::Source => {
            let mut consumers = selections(result, "is selected from it", |select| select.from == *name);
            consumers.extend(views(result, "reads it", |view| view.source == *name));
            let reads = |service: &Service| reads_source(result, service, name);
            // Whoever takes a view that is named already is not named once more.
            if consumers.is_empty() {
                consumers.extend(services(result, "takes a view of it", reads));
                consumers.extend(bound(&reads));
            }
            consumers
        }
        DefinitionKind::View => {
            let takes = |service: &Service| service.views.iter().any(|reference| reference.view == *name);
            let stands_on = |view: &View| view.enrich.iter().any(|reference| reference.view == *name);
            let joins = |select: &Selection| select.joins.iter().any(|join| join.view == *name);
            let mut consumers = selections(result, "joins it", joins);
            consumers.extend(views(result, "is enriched with it", stands_on));
            consumers.extend(taking(result, name).map(|(service, _)| {
                Consumer::new(ConsumerKind::Service, &service.name, "takes it".to_owned())
            }));
            consumers.extend(bound(&takes));
            consumers.extend(
                sending(result, name)
                    .map(|sink| Consumer::new(ConsumerKind::Sink, &sink.name, "sends it".to_owned())),
            );
            consumers
        }
        DefinitionKind::Service => {
            // A deployment whose model does not load yet names its service all the same.
            let users = live.clone().filter(|binding| match binding {
                Binding::Deployment { service, .. } if service == name => true,
                _ => service_of(result, binding).is_some_and(|service| service.name == *name),
            });
            users.map(consumer).collect()
        }
    };
    let hint = remedy(subject, &consumers);
    (!consumers.is_empty()).then(|| Used { subject: subject.clone(), consumers, hint })
}

/// Whether a model takes its questions for alike by the embeddings of another one.
fn compares_by(model: &LlmModel, embeddings: &Name) -> bool {
    let similar = model.cache.as_ref().and_then(|cache| cache.similar.as_ref());
    similar.is_some_and(|similar| similar.embeddings == LlmEmbeddings::Model(embeddings.clone()))
}

fn llm_models(set: &DefinitionSet, effect: &str, uses: impl Fn(&LlmModel) -> bool) -> Vec<Consumer> {
    let models = set.llm_models.values().map(|model| &model.definition).filter(|model| uses(model));
    models.map(|model| Consumer::new(ConsumerKind::LlmModel, &model.name, effect.to_owned())).collect()
}

/// Models that are judged by this one.
fn judged(set: &DefinitionSet, judge: &Name) -> Vec<Consumer> {
    let asks = |guardrail: &Name| {
        let known = set.llm_guardrails.get(guardrail).and_then(|known| known.definition.find.judge());
        known.is_some_and(|asked| asked.model == *judge)
    };
    let models = set.llm_models.values().map(|model| &model.definition);
    let judged = models.filter_map(|model| Some((model, model.guardrails.iter().find(|name| asks(name))?)));
    let consumer = |(model, guardrail): (&LlmModel, &Name)| {
        Consumer::new(
            ConsumerKind::LlmModel,
            &model.name,
            format!("is judged by it: llm_guardrail {guardrail}"),
        )
    };
    judged.map(consumer).collect()
}

fn selections(set: &DefinitionSet, effect: &str, uses: impl Fn(&Selection) -> bool) -> Vec<Consumer> {
    let sources = set.sources.values().map(|source| &source.definition);
    let sources = sources.filter(|source| source.select.as_ref().is_some_and(&uses));
    sources.map(|source| Consumer::new(ConsumerKind::Source, &source.name, effect.to_owned())).collect()
}

fn views(set: &DefinitionSet, effect: &str, uses: impl Fn(&View) -> bool) -> Vec<Consumer> {
    let views = set.views.values().map(|view| &view.definition).filter(|view| uses(view));
    views.map(|view| Consumer::new(ConsumerKind::View, &view.name, effect.to_owned())).collect()
}

fn services(set: &DefinitionSet, effect: &str, uses: impl Fn(&Service) -> bool) -> Vec<Consumer> {
    let services = set.services.values().map(|service| &service.definition).filter(|service| uses(service));
    services.map(|service| Consumer::new(ConsumerKind::Service, &service.name, effect.to_owned())).collect()
}

/// Whether a version of a service takes a version of a view that reads the source.
fn reads_source(set: &DefinitionSet, service: &Service, source: &Name) -> bool {
    let views = service.views.iter().filter_map(|reference| set.views_by_hash.get(&reference.hash));
    let mut sources = views.map(|view| &view.definition.source);
    sources.any(|found| found == source)
}

fn consumer(binding: &Binding) -> Consumer {
    match binding {
        Binding::Model { name, version, aliases, .. } => Consumer {
            version: Some(*version),
            aliases: aliases.clone(),
            ..Consumer::new(ConsumerKind::Model, name, "was trained on it".to_owned())
        },
        Binding::Deployment { name, .. } => {
            Consumer::new(ConsumerKind::Deployment, name, "answers with it".to_owned())
        }
    }
}

/// What to do first, in the order in which it can be done.
fn remedy(subject: &Subject, consumers: &[Consumer]) -> String {
    let named = |kind: ConsumerKind| -> Vec<&Consumer> {
        consumers.iter().filter(|consumer| consumer.kind == kind).collect()
    };
    let names = |consumers: &[&Consumer]| {
        consumers.iter().map(|consumer| consumer.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    let mut steps = Vec::new();
    for deployment in named(ConsumerKind::Deployment) {
        steps.push(format!("take the deployment down: shipway deploy {} --remove", deployment.name));
    }
    for model in named(ConsumerKind::Model) {
        let aliases = model.aliases.join(", ");
        steps
            .push(format!("give alias {aliases} of model {} to a version that does not need it", model.name));
    }
    let services = named(ConsumerKind::Service);
    if !services.is_empty() {
        let names = names(&services);
        steps.push(match subject.kind {
            DefinitionKind::Source => format!("apply service {names} with the views in force, or drop it"),
            _ => format!("take it out of service {names} and apply that, or drop the service first"),
        });
    }
    let models = named(ConsumerKind::LlmModel);
    if !models.is_empty() {
        let what = if subject.kind == DefinitionKind::LlmModel { "the guardrail that asks it" } else { "it" };
        steps.push(format!("take {what} out of llm_model {} and apply that", names(&models)));
    }
    let sinks = named(ConsumerKind::Sink);
    if !sinks.is_empty() {
        steps.push(format!("drop sink {} first", names(&sinks)));
    }
    let views = named(ConsumerKind::View);
    if !views.is_empty() {
        steps.push(format!("drop view {} first", names(&views)));
    }
    let sources = named(ConsumerKind::Source);
    if !sources.is_empty() {
        steps.push(format!("drop source {} first", names(&sources)));
    }
    steps.join("; ")
}
