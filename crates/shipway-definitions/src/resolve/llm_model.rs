//! Models of language: a name leads to one model, and a guardrail that it names is there.

use std::sync::Arc;

use shipway_core::{Name, nearest};

use crate::{
    DefinitionKind, LlmContentKeep, LlmEmbeddings, LlmGuardrailAction, LlmModel, Versioned,
    parse::{LlmGuardrailDraft, LlmModelDraft},
    resolve::Resolver,
};

const WHERE_TO: &str = "say in the model where such calls go: `on_guardrail: <deployment>`, or a route";

impl Resolver<'_> {
    pub(super) fn llm_guardrails(&mut self, drafts: Vec<LlmGuardrailDraft>) {
        for LlmGuardrailDraft { name, guardrail, place } in drafts {
            match guardrail {
                Some(guardrail) => {
                    self.guardrail_places.insert(name.clone(), place);
                    self.set.llm_guardrails.insert(name, Arc::new(Versioned::llm_guardrail(guardrail)));
                }
                None => drop(self.broken.insert((DefinitionKind::LlmGuardrail, name))),
            }
        }
    }

    /// A guardrail that is named and is not there, with the hint for it.
    fn missing_guardrail(&self, named: &[Name]) -> Option<(Name, String)> {
        let known = || self.set.llm_guardrails.keys().chain(self.base.llm_guardrails.keys());
        let is_broken = |name: &Name| self.broken.contains(&(DefinitionKind::LlmGuardrail, name.clone()));
        let missing = named.iter().find(|name| !known().any(|known| known == *name) && !is_broken(name))?;
        let hint = nearest(missing.as_str(), known().map(Name::as_str)).map_or_else(
            || "define it, or leave it out".to_owned(),
            |nearest| format!("did you mean {nearest}?"),
        );
        Some((missing.clone(), hint))
    }

    /// Whether what is kept of its words would be all of them, under a word that promises less.
    fn redacts_nothing(&self, model: &LlmModel) -> bool {
        let redacts = model.content.is_some_and(|content| content.keep == LlmContentKeep::Redacted);
        let known =
            |name: &Name| self.set.llm_guardrails.get(name).or_else(|| self.base.llm_guardrails.get(name));
        let mut named = model.guardrails.iter();
        // One that is not here was refused itself, or is judged where it is.
        redacts && named.all(|name| known(name).is_some_and(|one| !one.definition.find.reads_texts()))
    }

    /// What is wrong with the model that is to turn its texts into vectors, with the hint for it. `names`: of all models that are defined
    /// together with it, those that were refused too.
    fn wrong_embeddings(&self, model: &LlmModel, names: &[Name]) -> Option<(String, String)> {
        let similar = model.cache.as_ref()?.similar.as_ref()?;
        let LlmEmbeddings::Model(embeddings) = &similar.embeddings else { return None };
        if *embeddings == model.name {
            let message = "its embeddings would be its own answers".to_owned();
            return Some((message, "name a model that answers embeddings".to_owned()));
        }
        let known = || names.iter().chain(self.base.llm_models.keys());
        if self.incomplete || known().any(|known| known == embeddings) {
            return None;
        }
        let hint = nearest(embeddings.as_str(), known().map(Name::as_str)).map_or_else(
            || "define it; one that this server serves is written { served: NAME }".to_owned(),
            |nearest| format!("did you mean {nearest}?"),
        );
        Some((format!("llm_model {embeddings} does not exist"), hint))
    }

    pub(super) fn llm_models(&mut self, drafts: Vec<LlmModelDraft>) {
        let together: Vec<Name> = drafts.iter().map(|draft| draft.name.clone()).collect();
        for LlmModelDraft { model, place, .. } in drafts {
            let Some(model) = model else {
                self.has_broken_models = true;
                continue;
            };
            let names =
                || std::iter::once(model.name.as_str()).chain(model.called.iter().map(String::as_str));
            let others = self.set.llm_models.values().chain(
                self.base
                    .llm_models
                    .values()
                    .filter(|other| !self.set.llm_models.contains_key(&other.definition.name)),
            );
            let clash = others.filter(|other| other.definition.name != model.name).find_map(|other| {
                let taken = names().find(|name| other.definition.is_called(name))?;
                Some((taken.to_owned(), other.definition.name.clone()))
            });
            if let Some((taken, other)) = clash {
                let (path, line, thing) = &place;
                let message = format!("{thing}: {taken} is a name of llm_model {other} already");
                self.report.refuse(path, *line, message, Some("call one of them something else".to_owned()));
                continue;
            }
            if let Some((missing, hint)) =
                self.missing_guardrail(&model.guardrails).filter(|_| !self.incomplete)
            {
                let (path, line, thing) = &place;
                let message = format!("{thing}: llm_guardrail {missing} does not exist");
                self.report.refuse(path, *line, message, Some(hint));
                continue;
            }
            if let Some((message, hint)) = self.wrong_embeddings(&model, &together) {
                let (path, line, thing) = &place;
                self.report.refuse(path, *line, format!("{thing}: {message}"), Some(hint));
                continue;
            }
            if self.redacts_nothing(&model) {
                let (path, line, thing) = &place;
                let message =
                    format!("{thing}: content is to be redacted, and none of its guardrails looks at texts");
                let hint = "name a guardrail that finds what must not be kept, or write content: full";
                self.report.refuse(path, *line, message, Some(hint.to_owned()));
                continue;
            }
            if let Some(guardrail) = self.leads_nowhere(&model) {
                let (path, line, thing) = &place;
                let message =
                    format!("{thing}: llm_guardrail {guardrail} reroutes, and on_guardrail is missing");
                self.report.refuse(path, *line, message, Some(WHERE_TO.to_owned()));
                continue;
            }
            self.model_places.insert(model.name.clone(), place);
            self.set.llm_models.insert(model.name.clone(), Arc::new(Versioned::llm_model(model)));
        }
        self.judge_models_in_force();
        self.check_judges();
    }

    /// A guardrail of the model that reroutes, where the model does not say where to.
    fn leads_nowhere(&self, model: &LlmModel) -> Option<Name> {
        let known =
            |name: &Name| self.set.llm_guardrails.get(name).or_else(|| self.base.llm_guardrails.get(name));
        let reroutes = |name: &&Name| {
            known(name).is_some_and(|one| one.definition.action == LlmGuardrailAction::Reroute)
        };
        model.guardrails.iter().find(reroutes).filter(|_| model.on_guardrail.is_none()).cloned()
    }

    /// What becomes of models that are in force and not in the files when guardrails change that they name.
    fn judge_models_in_force(&mut self) {
        let base = self.base;
        let stay = base.llm_models.iter().filter(|(name, _)| !self.set.llm_models.contains_key(*name));
        let stay: Vec<_> = stay.map(|(_, model)| Arc::clone(model)).collect();
        for model in stay {
            let Some(guardrail) = self.leads_nowhere(&model.definition) else { continue };
            let Some((path, line, thing)) = self.guardrail_places.get(&guardrail) else { continue };
            let name = &model.definition.name;
            let message = format!("{thing}: it reroutes, and on_guardrail is missing in llm_model {name}");
            self.report.refuse(path, *line, message, Some(WHERE_TO.to_owned()));
        }
    }
}
