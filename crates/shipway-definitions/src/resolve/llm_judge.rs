//! Guardrails that ask a model: it is there, and none judges itself by way of others.

use shipway_core::{Name, nearest};

use crate::{LlmModel, resolve::Resolver};

impl Resolver<'_> {
    pub(super) fn check_judges(&mut self) {
        let places: Vec<_> = self.guardrail_places.clone().into_iter().collect();
        for (name, (path, line, thing)) in places {
            let Some(asked) = self.asked_by(&name) else { continue };
            if self.incomplete || self.model(&asked).is_some() || self.has_broken_models {
                continue;
            }
            let known = self.set.llm_models.keys().chain(self.base.llm_models.keys());
            let hint = nearest(asked.as_str(), known.map(Name::as_str)).map_or_else(
                || "define the model that judges".to_owned(),
                |nearest| format!("did you mean {nearest}?"),
            );
            let message = format!("{thing}: llm_model {asked} does not exist, which is to judge");
            self.report.refuse(&path, line, message, Some(hint));
        }
        let names: Vec<Name> =
            self.set.llm_models.keys().chain(self.base.llm_models.keys()).cloned().collect();
        for name in names {
            let Some(guardrail) = self.leads_back(&name) else { continue };
            let place = self.model_places.get(&name).or_else(|| self.guardrail_places.get(&guardrail));
            let Some((path, line, thing)) = place else { continue };
            let message = format!(
                "{thing}: llm_model {name} would be judged by itself, by way of llm_guardrail {guardrail}"
            );
            let hint = "let a model judge whose guardrails ask no model that it judges";
            self.report.refuse(path, *line, message, Some(hint.to_owned()));
            return;
        }
    }

    /// The model that a guardrail asks.
    fn asked_by(&self, guardrail: &Name) -> Option<Name> {
        let guardrails = (&self.set.llm_guardrails, &self.base.llm_guardrails);
        let known = guardrails.0.get(guardrail).or_else(|| guardrails.1.get(guardrail))?;
        known.definition.find.judge().map(|judge| judge.model.clone())
    }

    fn model(&self, name: &Name) -> Option<&LlmModel> {
        let known = self.set.llm_models.get(name).or_else(|| self.base.llm_models.get(name))?;
        Some(&known.definition)
    }

    /// A guardrail of the model that asks a model which is judged by this one in the end.
    fn leads_back(&self, start: &Name) -> Option<Name> {
        let judges = |model: &Name| -> Vec<(Name, Name)> {
            let named = self.model(model).map(|model| model.guardrails.clone()).unwrap_or_default();
            named.into_iter().filter_map(|one| Some((one.clone(), self.asked_by(&one)?))).collect()
        };
        for (guardrail, first) in judges(start) {
            let (mut seen, mut open) = (vec![first.clone()], vec![first]);
            while let Some(model) = open.pop() {
                if model == *start {
                    return Some(guardrail);
                }
                for (_, next) in judges(&model) {
                    if !seen.contains(&next) {
                        seen.push(next.clone());
                        open.push(next);
                    }
                }
            }
        }
        None
    }
}
