//! Guardrails that ask a model. A classifier is asked where this server serves it. Another model of language is a call of the gateway's own, which is routed, charged and recorded like any other, to the key and the
//! groups of the call that it judges. Its record has the tag `shipway.judges` with the id of that call.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use shipway_dialects::{Dialect, Head};
use shipway_guardrails::{Classifier, Detector, Judge};

use super::{
    Api, Asked,
    beside::{Own, begin},
};
use crate::{
    guard::{Judged, Texts, Verdicts, question},
    service::{Gateway, Principal},
};

const CHAT: Api =
    Api { dialect: Dialect::OpenAiChat, path: "chat/completions", writes: true, is_charged: true };
/// The longest answer of a judge that is read.
const MOST_ANSWER_BYTES: usize = 1 << 20;
/// A judge may be judged, and no more.
const DEEPEST: u8 = 2;

/// The call that a judgement is about.
#[derive(Debug, Clone)]
pub(super) struct Judging {
    /// Its id.
    pub(super) call: String,
    /// How many judgements lie within each other.
    pub(super) depth: u8,
}

/// Who asks.
pub(super) struct Asking {
    gateway: Gateway,
    principal: Principal,
    judging: Judging,
}

impl Asking {
    /// About the call `call`, which is `asked`.
    pub(super) fn of(gateway: &Gateway, asked: &Asked, call: &str) -> Self {
        let depth = match &asked.own {
            Some(Own::Judges(judged)) => judged.depth + 1,
            _ => 1,
        };
        let judging = Judging { call: call.to_owned(), depth };
        Self { gateway: gateway.clone(), principal: asked.principal.clone(), judging }
    }

    /// Asks the models of `verdicts` in their order, until one of them refuses the call.
    pub(super) async fn ask(&self, verdicts: &mut Verdicts, texts: &Texts) {
        if texts.are_empty() {
            return;
        }
        for place in 0..verdicts.count() {
            let Some(guardrail) = verdicts.asking(place) else { continue };
            verdicts.begins();
            let judged = match &guardrail.spec.detector {
                Detector::Judge(judge) => self.judged(judge, texts).await,
                Detector::Classifier(classifier) => self.classified(classifier, texts).await,
                _ => continue,
            };
            verdicts.judged(place, judged);
            verdicts.looked(place);
            if verdicts.violation().is_some() {
                return;
            }
        }
    }

    /// Asks a model of this server.
    async fn classified(&self, classifier: &Classifier, texts: &Texts) -> Judged {
        let Some(texts) = texts.each() else {
            return Judged::Failed("the text is too long to be judged");
        };
        let Some(classifiers) = self.gateway.classifiers() else {
            return Judged::Failed("there is no such classifier");
        };
        let timeout = Duration::from_micros(classifier.timeout_us());
        let texts = texts.iter().filter(|text| !text.is_empty()).cloned().collect();
        match tokio::time::timeout(timeout, classifiers.scores(classifier.model.as_str(), texts)).await {
            Ok(scores) => Judged::of_scores(classifier, scores),
            Err(_) => Judged::Failed("the classifier did not answer in time"),
        }
    }

    async fn judged(&self, judge: &Judge, texts: &Texts) -> Judged {
        let text = texts.joined();
        let Some(question) = text.and_then(|text| question(judge, &text)) else {
            return Judged::Failed("the text is too long to be judged");
        };
        let timeout = Duration::from_micros(judge.timeout_us());
        match tokio::time::timeout(timeout, self.answer(question.to_string().into())).await {
            Ok(Ok(body)) => Judged::read(&body),
            Ok(Err(reason)) => Judged::Failed(reason),
            Err(_) => Judged::Failed("the judge did not answer in time"),
        }
    }

    async fn answer(&self, body: Bytes) -> Result<Bytes, &'static str> {
        if self.judging.depth > DEEPEST {
            return Err("judges judge each other");
        }
        let refused = "the judge could not be asked";
        let head = Head::read(CHAT.dialect, &body).map_err(|_| refused)?;
        let installed = self.gateway.installed();
        let model = installed.find(&head.model).map(Arc::clone).ok_or("there is no such judge")?;
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let (principal, own) = (self.principal.clone(), Some(Own::Judges(self.judging.clone())));
        let asked = Asked { api: CHAT, principal, headers, head, body, own };
        let response = begin(&self.gateway, model, asked).await.map_err(|_| refused)?;
        if !response.status().is_success() {
            return Err("the judge did not answer");
        }
        axum::body::to_bytes(response.into_body(), MOST_ANSWER_BYTES)
            .await
            .map_err(|_| "the judge did not answer")
    }
}
