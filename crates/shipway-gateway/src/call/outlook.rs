//! What the strategies of a route look at, for one call.

use std::collections::BTreeMap;

use shipway_condition::{Condition, Facts};
use shipway_core::Timestamp;
use shipway_dialects::{Extras, Usage};

use super::Asked;
use crate::{
    model::{Scope, Stickiness},
    order::Outlook,
    prefer::Known,
    service::Model,
    stick,
};

/// Headers of a caller that say something about the call to those who route it.
pub(super) const TAG: &str = "x-shipway-tag-";
pub(super) const SESSION: &str = "x-shipway-session";
/// How many tokens an answer is taken to have where prices are compared and the call does not say.
const USUAL_OUTPUT_TOKENS: u64 = 1_000;

/// One call, and the deployments of its model as they are now.
pub(super) struct View<'a> {
    model: &'a Model,
    asked: &'a Asked,
    now: Timestamp,
    facts: Facts<'a>,
}

impl<'a> View<'a> {
    pub(super) fn new(model: &'a Model, asked: &'a Asked, now: Timestamp) -> Self {
        Self { model, asked, now, facts: facts(asked) }
    }

    /// What decides about the deployment where the caller wishes for some.
    pub(super) fn known(&self, place: usize) -> Known<'a> {
        let deployment = &self.model.deployments[place];
        Known {
            name: &deployment.spec.name,
            provider: &deployment.spec.provider,
            price: deployment.spec.price.as_ref(),
            cost: self.cost(place),
            wait: self.wait(place),
            tokens_per_second: deployment.figures.tokens_per_second(),
        }
    }

    fn header(&self, name: &str) -> Option<String> {
        let text = self.asked.headers.get(name)?.to_str().ok()?;
        (!text.is_empty()).then(|| text.to_owned())
    }
}

fn facts(asked: &Asked) -> Facts<'_> {
    let head = &asked.head;
    let mut tags: BTreeMap<String, &str> = asked
        .headers
        .iter()
        .filter_map(|(name, value)| {
            let tag = name.as_str().strip_prefix(TAG).filter(|tag| !tag.is_empty())?;
            Some((tag.to_owned(), value.to_str().ok()?))
        })
        .collect();
    let key = asked.principal.key.as_ref();
    let of_key = key.into_iter().flat_map(|key| &key.terms.tags);
    tags.extend(of_key.map(|(name, value)| (name.clone(), value.as_str())));
    let groups = asked.principal.chain.iter().filter_map(|scope| match scope {
        Scope::Group(name) => Some(name.as_str()),
        Scope::Key(_) | Scope::User(_) | Scope::Tag(_) => None,
    });
    let session = asked.headers.get(SESSION).and_then(|value| value.to_str().ok());
    Facts {
        model: &head.model,
        api: asked.api.dialect.as_str(),
        stream: head.stream,
        tools: head.tools,
        structured_output: head.structured_output,
        reasoning: head.reasoning,
        media: head.media,
        max_tokens: head.max_output_tokens.unwrap_or(0),
        input_tokens: head.estimated_input_tokens(),
        user: head.user.as_deref().unwrap_or_default(),
        session: session.or(head.session.as_deref()).unwrap_or_default(),
        key: key.map_or("", |key| key.name.as_str()),
        groups: groups.collect(),
        service_tier: head.service_tier.as_deref().unwrap_or_default(),
        tags,
    }
}

impl Outlook for View<'_> {
    fn is_there(&self, place: usize) -> bool {
        let deployment = self.model.deployments.get(place);
        deployment.is_some_and(|one| one.provider.is_some() && one.spoken_to(self.asked.api).is_some())
    }

    fn is_well(&self, place: usize) -> bool {
        self.model.deployments[place].health.is_well(self.now)
    }

    fn wait(&self, place: usize) -> Option<u64> {
        self.model.deployments[place].figures.likely_wait(self.asked.head.stream, self.now)
    }

    fn cost(&self, place: usize) -> Option<i64> {
        let (head, price) = (&self.asked.head, self.model.deployments[place].spec.price.as_ref()?);
        let output = match (self.asked.api.writes, head.max_output_tokens) {
            (false, _) => 0,
            (true, most) => most.unwrap_or(USUAL_OUTPUT_TOKENS).saturating_mul(head.choices),
        };
        let usage = Usage { input: head.estimated_input_tokens(), output, ..Usage::default() };
        let extras = Extras { service_tier: head.service_tier.as_deref(), ..Extras::default() };
        Some(price.cost(&usage, &extras).0)
    }

    fn holds(&self, condition: &Condition) -> bool {
        condition.holds(&self.facts)
    }

    fn session(&self, by: &Stickiness) -> Option<String> {
        let filled = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        match by {
            Stickiness::Session => filled(self.facts.session).or_else(|| filled(self.facts.user)),
            Stickiness::User => filled(self.facts.user),
            Stickiness::Key => Some(self.asked.principal.name.clone()),
            Stickiness::Header(name) => self.header(name),
        }
    }

    fn draw(&self, session: &str, place: usize) -> u64 {
        stick::draw(&self.model.spec.name, session, &self.model.deployments[place].spec.name)
    }

    fn chance(&mut self, below: u64) -> u64 {
        let mut bytes = [0; 8];
        // Without randomness the first in line is as good as any.
        let _ = aws_lc_rs::rand::fill(&mut bytes);
        u64::from_le_bytes(bytes) % below.max(1)
    }
}
