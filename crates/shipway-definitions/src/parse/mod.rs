//! Text to drafts: what can be judged about a definition without looking at another one.
//!
//! A draft keeps what could be read, even of a definition with errors, so that one run finds the errors of the next step
//! too. A draft of which a part is missing is marked, and nothing is said about things that refer to the missing part.
//!
//! - `report`: where errors are collected
//! - `reader`: reads maps, names, lengths and types, and refuses what does not belong
//! - `metadata`: tags, the class of personal data, deprecation, and all of it per feature
//! - `batch`: where the history of a source comes from; `stream` where its events come from
//! - `choice`: reads references to views and their features
//! - `expressions`: named expressions
//! - `entity`, `source`, `view`, `service`, `gate`, `sink`, `llm_model`, `llm_guardrail`: one kind each

mod batch;
mod choice;
mod corrections;
mod entity;
mod expressions;
mod gate;
mod llm_guardrail;
mod llm_model;
mod metadata;
mod reader;
mod report;
mod service;
mod sink;
mod source;
mod stream;
mod view;

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use shipway_core::{Name, nearest};

pub(crate) use choice::ViewChoice;
pub(crate) use corrections::CorrectionsDraft;
pub(crate) use entity::EntityDraft;
pub(crate) use expressions::Expressions;
pub(crate) use gate::GateDraft;
pub(crate) use llm_guardrail::LlmGuardrailDraft;
pub(crate) use llm_model::LlmModelDraft;
pub(crate) use metadata::FeatureNote;
pub(crate) use reader::{Columns, Head, Located};
pub(crate) use report::Report;
pub(crate) use service::ServiceDraft;
pub(crate) use sink::SinkDraft;
pub(crate) use source::{SelectDraft, SourceDraft};
pub(crate) use view::{BodyDraft, EntryDraft, ViewDraft};

use crate::{
    DefinitionKind,
    parse::reader::{Fields, Reader},
    yaml::{self, Content, Node},
};

#[cfg(test)]
pub(crate) use batch::FIELDS as BATCH_FIELDS;
#[cfg(test)]
pub(crate) use gate::REQUIREMENT_FIELDS;
#[cfg(test)]
pub(crate) use llm_model::{
    CACHE_FIELDS as LLM_CACHE_FIELDS, CONDITIONAL_FIELDS, CONTENT_FIELDS as LLM_CONTENT_FIELDS,
    COOLDOWN_FIELDS as LLM_COOLDOWN_FIELDS, DEPLOYMENT_FIELDS as LLM_DEPLOYMENT_FIELDS, HEDGE_FIELDS,
    PRICE_FIELDS as LLM_PRICE_FIELDS, PRICE_TIER_FIELDS, RETRY_FIELDS as LLM_RETRY_FIELDS,
    SERVED_FIELDS as LLM_SERVED_FIELDS, SHARE_FIELDS, SIMILAR_FIELDS as LLM_SIMILAR_FIELDS, STICKY_FIELDS,
    TIMEOUT_FIELDS as LLM_TIMEOUT_FIELDS, WHEN_FIELDS,
};
#[cfg(test)]
pub(crate) use metadata::{DEPRECATION_FIELDS, FEATURE_FIELDS};
#[cfg(test)]
pub(crate) use sink::{FROM_FIELDS as SINK_FROM_FIELDS, TO_FIELDS as SINK_TO_FIELDS};
#[cfg(test)]
pub(crate) use stream::FIELDS as STREAM_FIELDS;
#[cfg(test)]
pub(crate) use view::{ENTRY_FIELDS, FRESHNESS_FIELDS};

#[cfg(test)]
pub(crate) const FIELDS: [(DefinitionKind, &[&str]); 8] = [
    (DefinitionKind::Entity, entity::FIELDS),
    (DefinitionKind::Source, source::FIELDS),
    (DefinitionKind::View, view::FIELDS),
    (DefinitionKind::Service, service::FIELDS),
    (DefinitionKind::Gate, gate::FIELDS),
    (DefinitionKind::Sink, sink::FIELDS),
    (DefinitionKind::LlmGuardrail, llm_guardrail::FIELDS),
    (DefinitionKind::LlmModel, llm_model::FIELDS),
];

/// One file of definitions. The path is only named in errors; it is never opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DefinitionFile {
    /// The path as the writer knows it.
    pub path: String,
    /// One or more YAML documents, one definition each.
    pub text: String,
}

impl DefinitionFile {
    /// A file of `text` that errors call `path`.
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self { path: path.into(), text: text.into() }
    }
}

/// What the files hold, before references are followed.
#[derive(Debug, Default)]
pub(crate) struct Drafts {
    pub(crate) entities: Vec<EntityDraft>,
    pub(crate) sources: Vec<SourceDraft>,
    pub(crate) views: Vec<ViewDraft>,
    pub(crate) services: Vec<ServiceDraft>,
    pub(crate) gates: Vec<GateDraft>,
    pub(crate) sinks: Vec<SinkDraft>,
    pub(crate) llm_models: Vec<LlmModelDraft>,
    pub(crate) llm_guardrails: Vec<LlmGuardrailDraft>,
    /// A file could not be read at all, or a definition has no readable name: that a name is unknown proves nothing.
    pub(crate) incomplete: bool,
}

/// Where each definition stands.
type Places = BTreeMap<(DefinitionKind, Name), (Arc<str>, u64)>;

pub(crate) fn parse(files: &[DefinitionFile]) -> (Drafts, Report) {
    let mut drafts = Drafts::default();
    let mut report = Report::default();
    let mut places = Places::new();
    for file in files {
        let path: Arc<str> = file.path.as_str().into();
        match yaml::documents(&file.text) {
            Err(error) => {
                drafts.incomplete = true;
                let message = format!("not readable as YAML: {}", error.message);
                report.refuse(&path, error.line, message, None);
            }
            Ok(documents) => {
                for document in &documents {
                    let reader = Reader::new(&path, "definition".to_owned(), &mut report);
                    if read_document(document, reader, &mut drafts, &mut places).is_none() {
                        drafts.incomplete = true;
                    }
                }
            }
        }
    }
    (drafts, report)
}

/// `None`: not even its kind could be read.
fn read_document(
    node: &Node,
    mut reader: Reader<'_>,
    drafts: &mut Drafts,
    places: &mut Places,
) -> Option<()> {
    let Content::Map(entries) = &node.content else {
        let message = format!("a definition is a map, this is {}", node.content.word());
        reader.refuse(node.line, message, Some("start it with `kind: …`".to_owned()));
        return None;
    };
    let kind = read_kind(node.line, entries, &mut reader)?;
    let known = match kind {
        DefinitionKind::Entity => entity::FIELDS,
        DefinitionKind::Source => source::FIELDS,
        DefinitionKind::View => view::FIELDS,
        DefinitionKind::Service => service::FIELDS,
        DefinitionKind::Gate => gate::FIELDS,
        DefinitionKind::Sink => sink::FIELDS,
        DefinitionKind::LlmModel => llm_model::FIELDS,
        DefinitionKind::LlmGuardrail => llm_guardrail::FIELDS,
    };
    let named = entries.iter().find(|(key, _)| key.text == "name").map(|(_, node)| &node.content);
    reader.thing = match named {
        Some(Content::Text(name)) => format!("{kind} {name}"),
        _ => kind.to_string(),
    };
    let fields = Fields::of(node, known, "", &mut reader)?;
    let head = reader.head(&fields, Name::new("nameless").ok()?);
    if head.nameless {
        drafts.incomplete = true;
    }
    let place = (kind, head.name.clone());
    if let Some((path, line)) = places.get(&place).filter(|_| !head.nameless) {
        let hint = format!("the other one is at {path}:{line}; give one of them another name");
        reader.refuse(head.line, "is defined twice".to_owned(), Some(hint));
        return Some(());
    }
    if !head.nameless {
        places.insert(place, (head.path.clone(), head.line));
    }
    match kind {
        DefinitionKind::Entity => drafts.entities.push(entity::read(head, &fields, &mut reader)),
        DefinitionKind::Source => drafts.sources.push(source::read(head, &fields, &mut reader)),
        DefinitionKind::View => drafts.views.push(view::read(head, &fields, &mut reader)),
        DefinitionKind::Service => drafts.services.push(service::read(head, &fields, &mut reader)),
        DefinitionKind::Gate => drafts.gates.push(gate::read(head, &fields, &mut reader)),
        DefinitionKind::Sink => drafts.sinks.push(sink::read(head, &fields, &mut reader)),
        DefinitionKind::LlmModel => {
            drafts.llm_models.push(llm_model::read(head, &fields, &mut reader));
        }
        DefinitionKind::LlmGuardrail => {
            drafts.llm_guardrails.push(llm_guardrail::read(head, &fields, &mut reader));
        }
    }
    Some(())
}

fn read_kind(line: u64, entries: &[(yaml::Key, Node)], reader: &mut Reader<'_>) -> Option<DefinitionKind> {
    let words = DefinitionKind::ALL.map(DefinitionKind::word);
    let known = || format!("the kinds are {}", words.join(", "));
    let Some((_, node)) = entries.iter().find(|(key, _)| key.text == "kind") else {
        reader.refuse(line, "kind is missing".to_owned(), Some(known()));
        return None;
    };
    let word = reader.text("kind", node)?;
    let kind = DefinitionKind::ALL.into_iter().find(|kind| kind.word() == word.value);
    if kind.is_none() {
        let hint =
            nearest(&word.value, words).map_or_else(known, |nearest| format!("did you mean {nearest}?"));
        reader.refuse(word.line, format!("kind {} does not exist", word.value), Some(hint));
    }
    kind
}
