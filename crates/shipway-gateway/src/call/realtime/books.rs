//! What is reserved ahead for the responses of a connection, and what they cost.
//!
//! A provider may begin a response by itself, when it has heard the end of a sentence. So there is always a reservation for the next one
//! before it can begin: at the start, after each response, and once more for each that the client asks for while others run. Where there
//! is no room for that the connection ends. Pure but for the meter and the ledger: it reads no clock of its own but for how long things took.

use std::{sync::Arc, time::Duration};

use shipway_dialects::{
    ApiError, Cause, ClientEvent, Dialect, Extras, Made, Price, ResponseEnd, ServerEvent, SoundFormat,
    Spoken, Usage,
};
use tokio::time::Instant;

use super::super::charge::{Call, Charge, Description};
use crate::{
    error::GatewayError,
    ledger::{AttemptFact, Labels, Outcome},
    meter::{Amount, Reservation},
    model::{Chain, Timeouts},
    service::{Deployment, Gateway, Model},
};

/// What is taken for the input of the first response, which nobody knows yet.
pub(super) const FIRST_INPUT_BYTES: u64 = 8_192;
/// How much more than estimated an input may have when it is reserved for.
const INPUT_MARGIN: u64 = 2;
/// Reservations for inputs are made in steps, so that not every tenth of a second of sound makes another one.
const INPUT_STEP: u64 = 4_096;
/// More than that no model reads of a conversation.
const LONGEST_CONTEXT: u64 = 131_072;
/// Sound of a second, where a transcription says seconds and nothing has a price for them.
const HEARD_TOKENS_PER_SECOND: u64 = 10;

/// What is reserved for a response that may begin at any moment. Given back when it is dropped unused.
pub(super) struct Ahead {
    gateway: Gateway,
    reservation: Option<Reservation>,
}

impl Ahead {
    pub(super) fn reserve(gateway: &Gateway, chain: &Chain, asked: Amount) -> Result<Self, GatewayError> {
        if !gateway.ledger().ink().flows() {
            return Err(GatewayError::LedgerBehind);
        }
        let reserved = gateway.meter().reserve_ahead(chain, asked, gateway.now());
        let reservation = reserved.map_err(|(scope, bound)| GatewayError::Limit { scope, bound })?;
        Ok(Self { gateway: gateway.clone(), reservation: Some(reservation) })
    }

    fn has(&self) -> Amount {
        self.reservation.as_ref().map(|reservation| reservation.asked).unwrap_or_default()
    }

    fn take(mut self) -> Option<Reservation> {
        self.reservation.take()
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        if let Some(reservation) = self.reservation.take() {
            self.gateway.meter().give_back(&reservation);
        }
    }
}

/// What holds for all responses of a connection.
pub(super) struct Terms {
    pub(super) gateway: Gateway,
    pub(super) chain: Chain,
    pub(super) model: Arc<Model>,
    /// The deployment that the connection leads to.
    pub(super) place: usize,
    pub(super) caller: String,
    pub(super) asked: String,
    /// The id of the connection's own record.
    pub(super) connection: String,
}

impl Terms {
    fn deployment(&self) -> &Deployment {
        &self.model.deployments[self.place]
    }

    fn open(&self, reservation: Reservation, request_bytes: u64, input_tokens: u64, why: &str) -> Call {
        let description = Description {
            id: None,
            caller: self.caller.clone(),
            user: None,
            model: self.model.spec.name.clone(),
            asked: self.asked.clone(),
            api: Dialect::OpenAiRealtime,
            is_stream: true,
            request_bytes,
            input_tokens,
            service_tier: None,
            labels: Labels::default(),
            total: self.model.spec.timeouts.total,
        };
        let mut call = Call::open(self.gateway.clone(), reservation, description);
        let deployment = self.deployment();
        call.attempted(AttemptFact {
            deployment: deployment.spec.name.clone(),
            why: format!("{why} {}", self.connection),
            result: "answered".to_owned(),
            status: None,
            took_us: 0,
            translated_to: None,
            dropped: Vec::new(),
        });
        call.answered_by(deployment, deployment.figures.wait());
        call
    }

    /// The price of the model that writes down what is heard, if a definition has one at the same provider.
    fn price_of_transcriptions(&self, model: &str) -> Option<Price> {
        let provider = &self.deployment().spec.provider;
        let installed = self.gateway.installed();
        let mut all = installed.models().iter().flat_map(|model| &model.deployments);
        all.find(|one| one.spec.provider == *provider && one.spec.model == model)?.spec.price.clone()
    }
}

/// A response that runs.
struct UnderWay {
    id: String,
    call: Call,
    began: Instant,
    spoken: Spoken,
}

/// Why a connection may not go on.
pub(super) struct Refused {
    pub(super) error: GatewayError,
    /// The id of the client's event that is not passed on.
    pub(super) event: Option<String>,
}

impl From<GatewayError> for Refused {
    fn from(error: GatewayError) -> Self {
        Self { error, event: None }
    }
}

/// The money of one connection.
pub(super) struct Books {
    terms: Terms,
    /// At least one while the connection may go on and no response runs.
    ahead: Vec<Ahead>,
    under_way: Vec<UnderWay>,
    /// Responses that were asked for and have not begun, and since when.
    asked_for: (usize, Option<Instant>),
    /// The tokens that the last response has left in the conversation.
    context: u64,
    /// What was said since.
    said: Spoken,
    /// Bytes from the client since a response began last.
    request_bytes: u64,
    formats: (SoundFormat, SoundFormat),
    transcription_model: Option<String>,
}

impl Books {
    pub(super) fn new(terms: Terms, ahead: Ahead) -> Self {
        Self {
            terms,
            ahead: vec![ahead],
            under_way: Vec::new(),
            asked_for: (0, None),
            context: 0,
            said: Spoken::default(),
            request_bytes: 0,
            formats: Default::default(),
            transcription_model: None,
        }
    }

    fn input_tokens(&self) -> u64 {
        self.context.saturating_add(self.said.as_input(self.formats.0).0)
    }

    /// What the next response may cost at most.
    fn most(&self) -> Amount {
        let spec = &self.terms.deployment().spec;
        let input = self.input_tokens().min(LONGEST_CONTEXT).saturating_mul(INPUT_MARGIN);
        let input = input.max(1).next_multiple_of(INPUT_STEP);
        let output = spec.max_output_tokens;
        let nanos = spec.price.as_ref().map_or(0, |price| price.reserve(input, output, &Extras::default()).0);
        Amount { nanos, tokens: i64::try_from(input.saturating_add(output)).unwrap_or(i64::MAX) }
    }

    /// Sees to it that there are so many reservations, each with room for what was said by now.
    fn keep_ahead(&mut self, count: usize) -> Result<(), GatewayError> {
        let most = self.most();
        let (gateway, chain) = (&self.terms.gateway, &self.terms.chain);
        for ahead in &mut self.ahead {
            if ahead.has().nanos >= most.nanos && ahead.has().tokens >= most.tokens {
                continue;
            }
            // What is held now is part of what is held then.
            if let Some(held) = ahead.reservation.take() {
                gateway.meter().give_back(&held);
            }
            *ahead = Ahead::reserve(gateway, chain, most)?;
        }
        while self.ahead.len() < count {
            self.ahead.push(Ahead::reserve(gateway, chain, most)?);
        }
        Ok(())
    }

    /// How many responses may begin before anybody hears of it: those that were asked for, and one that begins by itself where none runs.
    fn may_begin(&self) -> usize {
        self.asked_for.0.max(usize::from(self.under_way.is_empty()))
    }

    /// Reads what the client says, before it is passed on.
    pub(super) fn client_said(&mut self, text: &[u8]) -> Result<(), Refused> {
        self.request_bytes = self.request_bytes.saturating_add(text.len() as u64);
        match ClientEvent::read(text) {
            ClientEvent::Create { id, spoken } => {
                self.said = self.said.and(spoken);
                self.asked_for.0 += 1;
                self.asked_for.1.get_or_insert_with(Instant::now);
                self.create().map_err(|error| Refused { error, event: id })
            }
            ClientEvent::Input { spoken } => {
                self.said = self.said.and(spoken);
                Ok(self.keep_ahead(0)?)
            }
            ClientEvent::Other => Ok(()),
        }
    }

    /// A response is asked for: it must have room within the minute as it is now.
    fn create(&mut self) -> Result<(), GatewayError> {
        self.keep_ahead(self.asked_for.0)?;
        let tokens = self.most().tokens;
        let gateway = &self.terms.gateway;
        match gateway.meter().refuses_rates(&self.terms.chain, tokens, gateway.now()) {
            Some((scope, bound)) => Err(GatewayError::Limit { scope, bound }),
            None => Ok(()),
        }
    }

    /// Reads what the provider says, before it is passed on.
    pub(super) fn provider_said(&mut self, text: &[u8]) -> Result<(), Refused> {
        match ServerEvent::read(text) {
            ServerEvent::Session { formats, transcription_model } => {
                self.formats = formats;
                self.transcription_model = transcription_model;
                Ok(())
            }
            ServerEvent::Created { id } => Ok(self.begins(id)?),
            ServerEvent::Output { id, spoken } => {
                if let Some(response) = self.under_way.iter_mut().find(|one| one.id == id) {
                    if response.spoken == Spoken::default() {
                        response.call.begins_to_be_answered();
                    }
                    response.spoken = response.spoken.and(spoken);
                    response.call.count_response(text.len() as u64);
                }
                Ok(())
            }
            ServerEvent::Done(end) => Ok(self.ends(&end)?),
            ServerEvent::Transcribed { usage, milliseconds } => Ok(self.transcribed(usage, milliseconds)?),
            ServerEvent::Error { message } => {
                tracing::debug!(
                    connection = self.terms.connection,
                    message,
                    "a realtime connection was told of an error"
                );
                // Most likely the response that was asked for. If it begins nevertheless, it is reserved for then.
                self.is_not_asked_for();
                Ok(())
            }
            ServerEvent::Other => Ok(()),
        }
    }

    fn is_not_asked_for(&mut self) {
        self.asked_for.0 = self.asked_for.0.saturating_sub(1);
        self.asked_for.1 = (self.asked_for.0 > 0).then(Instant::now);
    }

    fn begins(&mut self, id: String) -> Result<(), GatewayError> {
        self.is_not_asked_for();
        let (most, input_tokens) = (self.most(), self.input_tokens());
        let gateway = self.terms.gateway.clone();
        let reserved = match self.ahead.pop() {
            Some(ahead) => Ok(ahead),
            None => Ahead::reserve(&gateway, &self.terms.chain, most),
        };
        let (mut reservation, refused) = match reserved {
            Ok(ahead) => (ahead.take(), None),
            Err(error) => (None, Some(error)),
        };
        // It runs already, so somebody pays for it, whether there is room for it or not.
        let mut reservation = reservation
            .take()
            .unwrap_or_else(|| gateway.meter().reserve_anyway(&self.terms.chain, most, gateway.now()));
        gateway.meter().begin(&mut reservation, gateway.now());
        let request_bytes = std::mem::take(&mut self.request_bytes);
        let call = self.terms.open(reservation, request_bytes, input_tokens, "response within");
        self.context = input_tokens;
        self.said = Spoken::default();
        self.under_way.push(UnderWay { id, call, began: Instant::now(), spoken: Spoken::default() });
        refused.map_or(Ok(()), Err)
    }

    fn ends(&mut self, end: &ResponseEnd) -> Result<(), GatewayError> {
        let Some(place) = self.under_way.iter().position(|one| one.id == end.id) else { return Ok(()) };
        let UnderWay { mut call, spoken, .. } = self.under_way.swap_remove(place);
        let (output, sound) = spoken.as_output(self.formats.1);
        let charge = match (end.usage, &end.failure) {
            (Some(usage), _) => Charge::Stated(usage),
            (None, Some(_)) => Charge::Nothing,
            (None, None) => Charge::Estimated(Usage {
                input: call.input_tokens,
                output,
                output_audio: sound,
                ..Usage::default()
            }),
        };
        if end.is_in_conversation {
            self.context = match end.usage {
                Some(usage) => usage.total(),
                None => self.context.saturating_add(output),
            };
        }
        match &end.failure {
            Some(message) => {
                call.went_wrong(message.clone());
                call.settle(Outcome::Failed, None, charge);
            }
            None => call.settle(Outcome::Answered, None, charge),
        }
        let count = self.may_begin();
        self.ahead.truncate(count.max(1));
        self.keep_ahead(count)
    }

    /// A model of its own has written down what was heard: a record of its own. Nobody could know of it before, so there is no reservation
    /// for it; what was reserved ahead must have room beside it.
    fn transcribed(&mut self, usage: Option<Usage>, milliseconds: u64) -> Result<(), GatewayError> {
        let gateway = self.terms.gateway.clone();
        let reservation = gateway.meter().reserve_anyway(&self.terms.chain, Amount::default(), gateway.now());
        let model = self.transcription_model.as_deref().unwrap_or("another model");
        let own = self.terms.price_of_transcriptions(model);
        let mut call = self.terms.open(reservation, 0, 0, &format!("transcription by {model} within"));
        let has_own = own.is_some();
        let price = own.or_else(|| self.terms.deployment().spec.price.clone());
        let is_by_time = usage.is_none() && price.as_ref().is_some_and(|price| price.per_second.0 > 0);
        let heard = milliseconds.saturating_mul(HEARD_TOKENS_PER_SECOND).div_ceil(1_000);
        let charge = match usage {
            Some(usage) if has_own => Charge::Stated(usage),
            Some(usage) => Charge::Estimated(usage),
            None if is_by_time && has_own => Charge::Stated(Usage::default()),
            None if is_by_time => Charge::Estimated(Usage::default()),
            None => Charge::Estimated(Usage { input: heard, input_audio: heard, ..Usage::default() }),
        };
        call.is_being_sent(price.as_ref());
        if is_by_time {
            call.made(Made { milliseconds, images: 0 });
        }
        call.settle(Outcome::Answered, None, charge);
        let held = self.ahead.len();
        self.ahead.clear();
        self.keep_ahead(held)
    }

    /// What takes too long, if something does. `heard` is when the provider said something last.
    pub(super) fn is_late(&self, heard: Instant, timeouts: &Timeouts) -> Option<ApiError> {
        let late = |since: Instant, most: Duration| since.elapsed() > most;
        let waits = self.asked_for.1.is_some_and(|since| late(since.max(heard), timeouts.first_token));
        let hangs = |one: &UnderWay| {
            let most = if one.spoken == Spoken::default() { timeouts.first_token } else { timeouts.idle };
            late(heard.max(one.began), most) || late(one.began, timeouts.total)
        };
        let is_late = waits || self.under_way.iter().any(hangs);
        is_late.then(|| ApiError::new(Cause::Timeout, "the provider did not go on with its response in time"))
    }

    /// The connection is over: what runs will never say what it used, and what was reserved ahead is given back.
    pub(super) fn close(&mut self, outcome: Outcome, why: &str) {
        for mut response in self.under_way.drain(..) {
            response.call.went_wrong(why.to_owned());
            response.call.settle(outcome, None, Charge::Reserved);
        }
        self.ahead.clear();
    }
}
