//! The guardrails of a call: before it is sent, and on its answer.

use bytes::Bytes;
use shipway_dialects::{ApiError, BadRequest, Head};
use shipway_guardrails::Vault;

use super::{Asked, Refusal};
use crate::{
    guard::{Guarded, StreamGuard, Subject, Verdicts, Violation, check_answer, check_request},
    model::Side,
    service::Model,
};

/// What guardrails said of a request, and what its answer needs of them.
pub(super) struct Screened {
    /// What was taken out of the request.
    vault: Vault,
    pub(super) verdicts: Option<Verdicts>,
    pub(super) violation: Option<Violation>,
}

/// Looks at a request, and leaves in it what may go on.
pub(super) fn screen(model: &Model, asked: &mut Asked) -> Result<Screened, Refusal> {
    let guardrails = model.guards.on(Side::Input);
    if guardrails.is_empty() {
        return Ok(Screened { vault: Vault::default(), verdicts: None, violation: None });
    }
    let subject = Subject {
        dialect: asked.api.dialect,
        body: &asked.body,
        tokens: asked.head.estimated_input_tokens(),
        goes_on: asked.head.previous_response.is_some(),
    };
    let unreadable = |not_json| Refusal::Theirs(ApiError::from(&BadRequest::NotJson(not_json)));
    let Guarded { body, vault, verdicts, violation } =
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
    Ok(Screened { vault, verdicts: Some(verdicts), violation })
}

impl Screened {
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
        Some(StreamGuard::new(model.guards.on(Side::Output), asked.api.dialect, self.vault))
    }

    /// A whole answer as it goes to the caller, and what was found in it.
    pub(super) fn answer(
        self,
        model: &Model,
        asked: &Asked,
        body: &Bytes,
    ) -> (Result<Bytes, Violation>, Option<Verdicts>) {
        if self.leaves_answers(model, asked) {
            return (Ok(body.clone()), None);
        }
        let (body, verdicts) =
            check_answer(model.guards.on(Side::Output), asked.api.dialect, body, self.vault);
        (body, Some(verdicts))
    }
}
