//! Models of language: a name leads to one model.

use std::sync::Arc;

use crate::{Versioned, parse::LlmModelDraft, resolve::Resolver};

impl Resolver<'_> {
    pub(super) fn llm_models(&mut self, drafts: Vec<LlmModelDraft>) {
        for LlmModelDraft { model, place } in drafts {
            let Some(model) = model else { continue };
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
            self.set.llm_models.insert(model.name.clone(), Arc::new(Versioned::llm_model(model)));
        }
    }
}
