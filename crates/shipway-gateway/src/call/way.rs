//! The way of one call: who is asked, in which order, and what is reserved for that.

use shipway_dialects::{Cause, Dialect, Extras, Head, Made};

use super::{Api, Asked, outlook::View};
use crate::{
    error::GatewayError,
    meter::Amount,
    model::{KeptResponse, Route, Side, UnknownPrice},
    order::{self, Candidate, Outlook as _},
    prefer,
    service::{Gateway, Model},
};

/// How much more than estimated an input may have when money and tokens are reserved for it.
const INPUT_MARGIN: u64 = 2;
/// Of sound that is sent: what is packed more tightly than 32 kbit/s is rarely understood.
const FEWEST_BYTES_PER_MILLISECOND: u64 = 4;

/// Who is asked.
#[derive(Debug, Default)]
pub(super) struct Way {
    /// In this order; at least one.
    pub(super) first: Vec<Candidate>,
    /// As well as another one that takes its time.
    pub(super) hedge: Vec<Candidate>,
    /// Where the input does not fit.
    on_context_window: Vec<Candidate>,
    /// Where a filter refuses it.
    on_content_policy: Vec<Candidate>,
    /// Where a guardrail sends it that finds something in its answer.
    on_guardrail: Vec<Candidate>,
}

impl Way {
    /// Judges who may answer the call. What goes on from a response that a provider keeps goes to no other one; what a guardrail sends
    /// elsewhere, `rerouted` by its name, nowhere else.
    pub(super) fn of(
        gateway: &Gateway,
        model: &Model,
        asked: &Asked,
        (kept, rerouted): (Option<&KeptResponse>, Option<&str>),
    ) -> Result<Self, GatewayError> {
        let mut view = View::new(model, asked, gateway.now());
        refuse_nobody(model, asked, &view)?;
        let wishes = asked.head.preferences.as_ref();
        let mut candidates = |route: Option<&Route>| {
            let Some(route) = route else { return Vec::new() };
            let mut candidates = order::order(route, &mut view);
            if let Some(kept) = kept {
                candidates.retain(|one| model.deployments[one.place].spec.provider == kept.provider);
            }
            match wishes {
                Some(wishes) => prefer::prefer(candidates, wishes, |place| view.known(place)),
                None => candidates,
            }
        };
        let spec = &model.spec;
        if let Some(guardrail) = rerouted {
            let first = sent_by(guardrail, candidates(spec.detours.on_guardrail.as_ref()));
            return if first.is_empty() {
                Err(nobody(model, asked, kept))
            } else {
                Ok(Self { first, ..Self::default() })
            };
        }
        let first = candidates(Some(&spec.route));
        let hedge = candidates(spec.hedge.as_ref().map(|hedge| &hedge.to));
        let on_context_window = candidates(spec.detours.on_context_window.as_ref());
        let on_content_policy = candidates(spec.detours.on_content_policy.as_ref());
        if first.is_empty() {
            return Err(nobody(model, asked, kept));
        }
        // A stream is on its way to the caller when something is found in it.
        let is_held = asked.api.writes && !asked.head.stream && model.guards.reroute(Side::Output);
        let on_guardrail = candidates(spec.detours.on_guardrail.as_ref().filter(|_| is_held));
        Ok(Self { first, hedge, on_context_window, on_content_policy, on_guardrail })
    }

    /// Whether another deployment can be asked when a guardrail finds something in the answer.
    pub(super) fn goes_elsewhere(&self) -> bool {
        !self.on_guardrail.is_empty()
    }

    /// The way on from an answer in which this guardrail found something.
    pub(super) fn elsewhere(&self, guardrail: &str) -> Self {
        Self { first: sent_by(guardrail, self.on_guardrail.clone()), ..Self::default() }
    }

    /// Where a call goes that was refused for `cause`; nowhere, unless the model says so.
    pub(super) fn detour(&self, cause: Cause) -> &[Candidate] {
        match cause {
            Cause::ContextWindow => &self.on_context_window,
            Cause::ContentPolicy => &self.on_content_policy,
            _ => &[],
        }
    }

    /// What the call may cost at most: at the dearest of the deployments that may answer, and once more each at the dearest of those that
    /// may be asked as well, and of those that may be asked when its answer cannot go to the caller.
    pub(super) fn reserve(&self, model: &Model, asked: &Asked) -> Result<Amount, GatewayError> {
        if !asked.api.is_charged {
            return Ok(Amount::default());
        }
        let one = self.first.iter().chain(&self.on_context_window).chain(&self.on_content_policy);
        let one = dearest(one, model, asked)?;
        let mut all = one;
        for further in [&self.hedge, &self.on_guardrail] {
            let further = dearest(further.iter(), model, asked)?;
            all.nanos = all.nanos.saturating_add(further.nanos);
            all.tokens = all.tokens.saturating_add(further.tokens);
        }
        Ok(all)
    }
}

/// Candidates with the guardrail as the reason why they are asked.
fn sent_by(guardrail: &str, candidates: Vec<Candidate>) -> Vec<Candidate> {
    let sent = |candidate: Candidate| {
        let why = match candidate.why.as_str() {
            "" => format!("guardrail {guardrail}"),
            own => format!("guardrail {guardrail}, {own}"),
        };
        Candidate { why, ..candidate }
    };
    candidates.into_iter().map(sent).collect()
}

/// Why nobody is left who may be asked.
fn nobody(model: &Model, asked: &Asked, kept: Option<&KeptResponse>) -> GatewayError {
    let model = model.spec.name.clone();
    match (kept, &asked.head.preferences) {
        (Some(kept), _) => GatewayError::PreviousElsewhere { model, provider: kept.provider.clone() },
        (None, Some(_)) => GatewayError::NoneWished { model },
        // The branch that a condition chose has nobody who speaks the API.
        (None, None) => GatewayError::NoSuchApi { model, api: asked.api.name() },
    }
}

/// Says what is missing where nobody at all could answer.
fn refuse_nobody(model: &Model, asked: &Asked, view: &View<'_>) -> Result<(), GatewayError> {
    let name = || model.spec.name.clone();
    if model.deployments.iter().all(|one| one.provider.is_none()) {
        return Err(GatewayError::NoProvider { model: name() });
    }
    if !(0..model.deployments.len()).any(|place| view.is_there(place)) {
        return Err(GatewayError::NoSuchApi { model: name(), api: asked.api.name() });
    }
    Ok(())
}

fn dearest<'c>(
    candidates: impl Iterator<Item = &'c Candidate>,
    model: &Model,
    asked: &Asked,
) -> Result<Amount, GatewayError> {
    let (api, head) = (asked.api, &asked.head);
    let input = head.estimated_input_tokens().saturating_mul(INPUT_MARGIN);
    let Made { images, milliseconds } = most_made(api, head);
    let mut most = Amount::default();
    for candidate in candidates {
        let spec = &model.deployments[candidate.place].spec;
        let output = match (api.writes, head.max_output_tokens) {
            (false, _) => 0,
            (true, Some(most)) => most.saturating_mul(head.choices),
            (true, None) => spec.max_output_tokens.saturating_mul(head.choices),
        };
        let tokens = i64::try_from(input.saturating_add(output)).unwrap_or(i64::MAX);
        most.tokens = most.tokens.max(tokens);
        match &spec.price {
            Some(price) => {
                // A cheaper tier that was asked for may turn out to be the usual one.
                for service_tier in [head.service_tier.as_deref(), None] {
                    let extras = Extras { service_tier, images, milliseconds };
                    most.nanos = most.nanos.max(price.reserve(input, output, &extras).0);
                }
            }
            None if model.spec.unknown_price == UnknownPrice::Block => {
                let (model, deployment) = (model.spec.name.clone(), spec.name.clone());
                return Err(GatewayError::NoPrice { model, deployment });
            }
            None => {}
        }
    }
    Ok(most)
}

/// What the answer may make at most, as far as the call says it.
fn most_made(api: Api, head: &Head) -> Made {
    let is_of = |what: &str| api.dialect == Dialect::OpenAiMedia && api.path.starts_with(what);
    Made {
        images: if is_of("images/") { head.choices } else { 0 },
        milliseconds: if is_of("audio/") { head.media_bytes / FEWEST_BYTES_PER_MILLISECOND } else { 0 },
    }
}
