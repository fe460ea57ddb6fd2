//! Deployments are tried in order, until one begins to answer.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use shipway_dialects::{ApiError, Cause};
use tokio::time::Instant;

use super::{
    Asked,
    attempt::{Began, Stopped},
    charge::Call,
    send::Sending,
    way::Way,
};
use crate::{
    health::Turn,
    order::Candidate,
    retry::{self, Then},
    service::{Gateway, Model},
};

/// No deployment answered: what the last one said.
pub(super) struct Failed {
    pub(super) error: ApiError,
    /// Its answer as it wrote it, if it wrote one.
    pub(super) answer: Option<(StatusCode, HeaderMap, Bytes)>,
    /// How long it asks to wait.
    pub(super) wait: Option<Duration>,
    /// It was asked nothing: its API has no words for the call.
    pub(super) is_unsaid: bool,
}

impl From<Stopped> for Failed {
    fn from(stopped: Stopped) -> Self {
        let Stopped { error, answer, retry_after, is_unsaid, .. } = stopped;
        Self { error, answer, wait: retry_after, is_unsaid }
    }
}

/// The beginning of an answer of the first deployment that gives one.
pub(super) async fn first_answer(
    gateway: &Gateway,
    model: &Arc<Model>,
    way: &Way,
    asked: &Asked,
    call: &mut Call,
) -> Result<Began, Failed> {
    let mut attempts = Attempts {
        sending: Sending::of(gateway, model, asked, call),
        way,
        queue: way.first.iter().cloned().map(Step::from).collect(),
        last: None,
        left_out: None,
        is_hedged: false,
        detoured: Vec::new(),
    };
    attempts.run(call).await
}

/// A deployment that is to be tried.
struct Step {
    candidate: Candidate,
    /// It was left out, and is asked only because nobody else answered.
    was_left_out: bool,
}

impl From<Candidate> for Step {
    fn from(candidate: Candidate) -> Self {
        Self { candidate, was_left_out: false }
    }
}

struct Attempts<'a> {
    sending: Sending<'a>,
    way: &'a Way,
    queue: VecDeque<Step>,
    /// Who failed last, and why.
    last: Option<(usize, Cause)>,
    /// Who was passed over first, because it failed lately.
    left_out: Option<usize>,
    is_hedged: bool,
    /// The causes that have led to a detour: each does once.
    detoured: Vec<Cause>,
}

impl Attempts<'_> {
    async fn run(&mut self, call: &mut Call) -> Result<Began, Failed> {
        let mut failed: Option<Failed> = None;
        while let Some(step) = self.queue.pop_front() {
            let Some(turn) = self.turn(&step) else {
                self.left_out.get_or_insert(step.candidate.place);
                self.queue.push_back(Step { was_left_out: true, ..step });
                continue;
            };
            let mut turn = Some(turn);
            let mut tried = 0;
            let place = step.candidate.place;
            loop {
                if Instant::now() >= self.sending.deadline {
                    return Err(failed.unwrap_or_else(out_of_time));
                }
                tried += 1;
                let why = self.why(&step, tried);
                let health = &self.sending.deployment(place).health;
                let turn = turn.take().unwrap_or_else(|| health.enter_anyway());
                let stopped = match self.attempt(place, why, turn, call).await {
                    Ok(began) => return Ok(began),
                    Err(stopped) => stopped,
                };
                let cause = stopped.error.cause;
                if stopped.is_unsaid {
                    // Another deployment may have the words. What a provider said goes before what was not said to one.
                    self.last.get_or_insert((place, cause));
                    failed.get_or_insert(Failed::from(stopped));
                    break;
                }
                let retries = &self.sending.model.spec.retries;
                let then = retry::judge(&stopped.error, tried, retries, stopped.retry_after);
                self.last = Some((place, cause));
                failed = Some(Failed::from(stopped));
                match then {
                    Then::Again(wait) => {
                        let until = (Instant::now() + wait).min(self.sending.deadline);
                        tokio::time::sleep_until(until).await;
                    }
                    Then::Next => break,
                    Then::GiveUp if self.takes_detour(cause) => break,
                    Then::GiveUp => return Err(failed.unwrap_or_else(out_of_time)),
                }
            }
        }
        Err(failed.unwrap_or_else(out_of_time))
    }

    /// Lets the call in, unless the deployment is left out and others are not.
    fn turn(&self, step: &Step) -> Option<Turn> {
        let health = &self.sending.deployment(step.candidate.place).health;
        let is_last_resort = step.was_left_out || self.queue.is_empty();
        let turn = health.enter(self.sending.gateway.now());
        turn.or_else(|| is_last_resort.then(|| health.enter_anyway()))
    }

    /// Why this deployment is asked now, for the record of the call.
    fn why(&self, step: &Step, tried: u32) -> String {
        let name = |place: usize| &self.sending.deployment(place).spec.name;
        let own = step.candidate.why.as_str();
        match self.last {
            Some((_, cause)) if tried > 1 => format!("again after {}", cause.as_str()),
            Some((place, cause)) if self.detoured.last() == Some(&cause) => {
                format!("on_{} of {}", cause.as_str(), name(place))
            }
            Some((place, cause)) => format!("fallback after {} of {}", cause.as_str(), name(place)),
            None if step.was_left_out => "nobody else is left".to_owned(),
            None => match self.left_out {
                Some(place) => format!("{} is left out", name(place)),
                None if own.is_empty() => "first of the route".to_owned(),
                None => own.to_owned(),
            },
        }
    }

    /// Whether the model says where a call goes that is refused for this cause: then those are asked, and nobody else.
    fn takes_detour(&mut self, cause: Cause) -> bool {
        let detour = self.way.detour(cause);
        if detour.is_empty() || self.detoured.contains(&cause) {
            return false;
        }
        self.detoured.push(cause);
        let failed = self.last.map(|(place, _)| place);
        let steps = detour.iter().filter(|candidate| Some(candidate.place) != failed);
        self.queue = steps.cloned().map(Step::from).collect();
        !self.queue.is_empty()
    }

    /// One attempt, and a second one beside it where the model hedges and the first takes its time.
    async fn attempt(
        &mut self,
        place: usize,
        why: String,
        turn: Turn,
        call: &mut Call,
    ) -> Result<Began, Stopped> {
        call.is_being_sent(self.sending.deployment(place).spec.price.as_ref());
        let hedge = self.sending.model.spec.hedge.as_ref().filter(|_| !self.is_hedged);
        let other = hedge.and_then(|hedge| {
            let other = self.way.hedge.iter().find(|other| other.place != place)?;
            Some((hedge.after, other.place))
        });
        let began_first = Instant::now();
        // Boxed: the state of an attempt is large, and moved on the way.
        let mut first = Box::pin(self.sending.send(place, why.clone(), turn));
        let Some((after, other)) = other else {
            return self.sending.note(first.await, call);
        };
        tokio::select! {
            biased;
            sent = &mut first => return self.sending.note(sent, call),
            () = tokio::time::sleep(after) => {}
        }
        // A deployment that is left out is no help.
        let health = &self.sending.deployment(other).health;
        let Some(turn) = health.enter(self.sending.gateway.now()) else {
            return self.sending.note(first.await, call);
        };
        self.is_hedged = true;
        let began_second = Instant::now();
        let why_second = format!("hedge after {} ms", after.as_millis());
        call.is_also_sent();
        let mut second = Box::pin(self.sending.send(other, why_second.clone(), turn));
        let (sent, was_first) = tokio::select! {
            biased;
            sent = &mut first => (sent, true),
            sent = &mut second => (sent, false),
        };
        let is_answer = sent.is_answer();
        let result = self.sending.note(sent, call);
        if is_answer {
            // The other one is given up when its future is dropped, at the end of this function.
            match was_first {
                true => self.sending.note_cancelled(other, why_second, began_second, call),
                false => self.sending.note_cancelled(place, why, began_first, call),
            }
            return result;
        }
        call.is_also_sent();
        let late = if was_first { second.await } else { first.await };
        let late = self.sending.note(late, call);
        self.queue.retain(|step| step.candidate.place != other);
        match (late, was_first) {
            (Ok(began), _) => Ok(began),
            // What becomes of the call, the deployment decides that was asked for.
            (Err(_), true) => result,
            (Err(stopped), false) => Err(stopped),
        }
    }
}

fn out_of_time() -> Failed {
    let error = ApiError::new(Cause::Timeout, "no provider answered in time");
    Failed { error, answer: None, wait: None, is_unsaid: false }
}
