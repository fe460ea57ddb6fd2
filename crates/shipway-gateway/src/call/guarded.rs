//! The guardrails of a call: before it is sent, and on its answer.

use std::sync::Arc;

use bytes::Bytes;
use shipway_dialects::{ApiError, BadRequest, Head};
use shipway_guardrails::{TextSchema, Vault};

use super::{Asked, Refusal, judging::Asking};
use crate::{
    guard::{
        Guarded, Held, StreamGuard, Subject, Texts, Verdicts, Violation, check_answer, check_request, wanted,
    },
    ledger::new_call_id,
    model::Side,
    service::{Gateway, Model},
};

/// What guardrails said of a request, and what its answer needs of them.
pub(super) struct Screened {
    /// What was taken out of the request.
    vault: Vault,
    pub(super) verdicts: Option<Verdicts>,
    pub(super) violation: Option<Violation>,
    /// A guardrail sends the call elsewhere.
    pub(super) rerouted: Option<String>,
    /// The shape that the request asks for, where a guardrail asks.
    wanted: Option<Arc<TextSchema>>,
    /// The id of the call, where another model was asked about it before it began.
    id: Option<String>,
}

/// Looks at a request, and leaves in it what may go on.
pub(super) fn screen(model: &Model, asked: &mut Asked) -> Result<Screened, Refusal> {
    let guardrails = model.guards.on(Side::Input);
    let asks = model.guards.ask_what_is_wanted();
    let wanted = if asks { wanted(asked.api.dialect, &asked.body) } else { None };
    if guardrails.is_empty() {
        let nothing = Vault::default();
        return Ok(Screened {
            vault: nothing,
            verdicts: None,
            violation: None,
            rerouted: None,
            wanted,
            id: None,
        });
    }
    let subject = Subject {
        dialect: asked.api.dialect,
        body: &asked.body,
        tokens: asked.head.estimated_input_tokens(),
        goes_on: asked.head.previous_response.is_some(),
    };
    let unreadable = |not_json| Refusal::Theirs(ApiError::from(&BadRequest::NotJson(not_json)));
    let Guarded { body, vault, verdicts, violation, rerouted } =
        check_request(guardrails, &subject).map_err(unreadable)?;
    if body != asked.body {
        let own =
            Head::read(asked.api.dialect, &body).map_err(|bad| Refusal::Theirs(ApiError::from(&bad)))?;
        let before = std::mem::replace(&mut asked.head, own);
        // What a path says, and what was taken out of the body before.
        asked.head.model = before.model;
        asked.head.stream = before.stream;
        asked.head.preferences = before.preferences;
        asked.body = body;
    }
    Ok(Screened { vault, verdicts: Some(verdicts), violation, rerouted, wanted, id: None })
}

impl Screened {
    /// Asks other models about the request, where guardrails do and none of the others refuses it.
    pub(super) async fn ask_models(&mut self, gateway: &Gateway, asked: &Asked) {
        let Some(verdicts) = self.verdicts.as_mut().filter(|_| self.violation.is_none()) else { return };
        if !verdicts.ask_models() {
            return;
        }
        let id = new_call_id();
        let texts = Texts::of_request(asked.api.dialect, &asked.body);
        Asking::of(gateway, asked, &id).ask(verdicts, &texts).await;
        self.id = Some(id);
        (self.violation, self.rerouted) = (verdicts.violation(), verdicts.rerouted());
    }

    /// The id that the call has already.
    pub(super) fn take_id(&mut self) -> Option<String> {
        self.id.take()
    }

    /// Whether an answer goes on without being looked at.
    fn leaves_answers(&self, model: &Model, asked: &Asked) -> bool {
        let writes = asked.api.writes;
        !writes || (self.vault.is_empty() && model.guards.on(Side::Output).is_empty())
    }

    /// The guardrails of a stream; none: it passes.
    pub(super) fn stream(self, model: &Model, asked: &Asked) -> Option<StreamGuard> {
        if self.leaves_answers(model, asked) {
            return None;
        }
        Some(StreamGuard::new(model.guards.on(Side::Output), asked.api.dialect, (self.vault, self.wanted)))
    }

    /// A whole answer as it goes to the caller, and what was found in it. `may_reroute`: another deployment can still be asked.
    pub(super) fn answer(
        &self,
        model: &Model,
        asked: &Asked,
        body: &Bytes,
        may_reroute: bool,
    ) -> (Result<Bytes, Held>, Option<Verdicts>) {
        if self.leaves_answers(model, asked) {
            return (Ok(body.clone()), None);
        }
        let (guardrails, answer) = (model.guards.on(Side::Output), (asked.api.dialect, body));
        let (body, verdicts) =
            check_answer(guardrails, answer, (self.vault.clone(), self.wanted.as_deref()), may_reroute);
        (body, Some(verdicts))
    }
}
