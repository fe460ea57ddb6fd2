//! What a batch did cost is booked, once it is over. Its provider is asked for the answers: what each of them says that it used is charged as
//! that of a call is. What was charged when the batch began is given back with that.
//!
//! It is booked once, whoever asks: the database says whose it is to do. A kill between that and the entry in the ledger leaves charged what
//! was charged at the beginning, which is never too little.

use std::pin::pin;

use bytes::{Buf as _, BytesMut};
use futures::StreamExt as _;
use http::{HeaderMap, Method};
use serde_json::Value;
use shipway_core::Timestamp;
use shipway_dialects::{Dialect, Extras, Price, Usage, batch_api, batch_usage};
use tokio::time::Instant;

use super::{
    DIALECT,
    booking::{Cost, correction},
    progress,
    upload::BATCH_TIER,
};
use crate::{
    call::{Question, TOTAL, ask},
    error::GatewayError,
    ledger::Entry,
    model::StoredBatch,
    service::Gateway,
    store, unpacking,
};

/// After so long somebody has forgotten one, in microseconds.
const FORGOTTEN_AFTER_US: i64 = 300 * 1_000_000;
/// How many are asked about in one go.
const MOST_AT_ONCE: i64 = 20;
/// The longest line of a file of answers.
const LONGEST_LINE: usize = 64 << 20;

/// Whether a provider does nothing more for a batch.
pub(super) fn is_over(object: &Value) -> bool {
    matches!(object["status"].as_str(), Some("completed" | "failed" | "expired" | "cancelled"))
}

/// Settles while its caller goes on.
pub(super) fn in_the_background(gateway: &Gateway, batch: StoredBatch, object: Value) {
    let own = gateway.clone();
    gateway.tracker().spawn(async move {
        if let Err(error) = settle(&own, &batch, &object).await {
            tracing::warn!(batch = batch.id, %error, "what a batch did cost could not be found out; it is tried again");
        }
    });
}

/// Asks about batches that nobody has asked about for a while.
pub(crate) async fn settle_forgotten(gateway: &Gateway) -> Result<(), GatewayError> {
    let now = gateway.now();
    let then = Timestamp(now.0.saturating_sub(FORGOTTEN_AFTER_US));
    for batch in store::batches::forgotten(gateway.store(), then, MOST_AT_ONCE).await? {
        if let Err(told) = progress::ask_again(gateway, &batch).await {
            // Somebody else's turn comes first the next time.
            store::batches::said(gateway.store(), &batch, &batch.object, now).await?;
            tracing::warn!(
                batch = batch.id,
                status = told.status().as_u16(),
                "a provider does not say how a batch is"
            );
        }
    }
    Ok(())
}

async fn settle(gateway: &Gateway, batch: &StoredBatch, object: &Value) -> Result<(), String> {
    let plan = &batch.charge.plan;
    let (dialect, _) = batch_api(&format!("/v1/{}", plan.path)).ok_or("its API is not known")?;
    let installed = gateway.installed();
    let model = installed.find(&plan.model);
    let deployment =
        model.and_then(|model| model.deployments.iter().find(|one| one.spec.name == plan.deployment));
    let price = deployment.and_then(|one| one.spec.price.as_ref());
    if price.is_none() && plan.most_nanos.is_some() {
        return Err("the price of its deployment is gone".to_owned());
    }
    let mut sum = Sum { dialect, price, usage: Usage::default(), nanos: 0 };
    if let Some(file) = object["output_file_id"].as_str().filter(|id| super::is_plain(id)) {
        sum.read(gateway, &batch.provider, file).await?;
    }
    let now = gateway.now();
    if !store::batches::settle(gateway.store(), batch, now).await.map_err(|error| error.to_string())? {
        return Ok(());
    }
    let extras = Extras { service_tier: Some(BATCH_TIER), ..Extras::default() };
    let together_nanos = price.map_or(0, |price| price.cost(&sum.usage, &extras).0);
    let cost = Cost { nanos: sum.nanos, together_nanos, is_unpriced: price.is_none() };
    let as_of = deployment.and_then(|one| one.spec.price_as_of.clone());
    let took_us = now.0.saturating_sub(batch.charge.at_us).max(0);
    let fact = correction(&batch.charge, &sum.usage, cost, as_of, took_us);
    gateway.meter().correct(&batch.charge.chain, Timestamp(fact.at_us), fact.cost_nanos);
    gateway.ledger().ink().enter(&Entry::Settled(Box::new(fact)));
    Ok(())
}

/// What answers used and cost.
struct Sum<'a> {
    dialect: Dialect,
    price: Option<&'a Price>,
    usage: Usage,
    nanos: i64,
}

impl Sum<'_> {
    /// Adds the answers of a file, line by line as they come.
    async fn read(&mut self, gateway: &Gateway, provider: &str, file: &str) -> Result<(), String> {
        let (path, by) = (format!("files/{file}/content"), Instant::now() + TOTAL);
        let question = Question {
            dialect: DIALECT,
            provider,
            method: Method::GET,
            path: &path,
            query: None,
            body: None,
        };
        let answer = ask(gateway, &HeaderMap::new(), question, by).await;
        let answer =
            answer.map_err(|told| format!("its answers cannot be read: status {}", told.status()))?;
        let (mut chunks, mut rest) = (pin!(unpacking::body(answer)), BytesMut::new());
        while let Some(chunk) =
            tokio::time::timeout_at(by, chunks.next()).await.map_err(|_| "its answers take too long")?
        {
            let chunk = chunk.map_err(|error| error.message)?;
            let searched = rest.len();
            rest.extend_from_slice(&chunk);
            let mut from = searched;
            while let Some(found) = rest[from..].iter().position(|byte| *byte == b'\n') {
                let end = from + found;
                self.add(&rest[..end])?;
                rest.advance(end + 1);
                from = 0;
            }
            if rest.len() > LONGEST_LINE {
                return Err("one of its answers is too long".to_owned());
            }
        }
        self.add(&rest)
    }

    fn add(&mut self, line: &[u8]) -> Result<(), String> {
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        let Some(usage) = batch_usage(self.dialect, line).map_err(|error| error.to_string())? else {
            return Ok(());
        };
        self.usage.add(&usage);
        let extras = Extras { service_tier: Some(BATCH_TIER), ..Extras::default() };
        let nanos = self.price.map_or(0, |price| price.cost(&usage, &extras).0);
        self.nanos = self.nanos.saturating_add(nanos);
        Ok(())
    }
}
