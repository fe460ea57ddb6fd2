//! Sends what waits to be sent, and sends again what failed, until it was taken or is given up.
//!
//! What waits lies in the database, written in the transaction of the change that it tells of: a crash loses nothing. Before
//! each attempt it is written down that it was begun, so a message that brings the process down is not tried for ever. A
//! message may arrive twice; its delivery id stays the same.

use std::time::Duration;

use futures::{StreamExt, stream::FuturesUnordered};
use shipway_core::failure::chain;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::send::{Answered, Letter, NotSent};
use crate::{
    error::TrackingError,
    model::{Webhook, WebhookStatus},
    service::Tracking,
    store::deliveries::Delivery,
};

/// Receivers that are sent to at once; each gets one message at a time.
const AT_ONCE: usize = 8;
/// Attempts before a message is given up. With the default waits (1, 4, 16, 64, 256 seconds) that is after six minutes.
const ATTEMPTS: i64 = 6;
/// A message that could not be sent within this is given up.
const MOST_AGE_MS: i64 = 24 * 3_600 * 1_000;
/// How much longer than a receiver's patience it takes until an attempt that was begun counts as lost with its process.
const LEASE_MARGIN_MS: i64 = 30_000;
/// The worker looks at least this often.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);
/// The wait after the database failed.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Runs until it is told to stop; then what is under way is finished.
pub(crate) async fn run(tracking: Tracking, mut news: watch::Receiver<u64>, stop: CancellationToken) {
    let mut under_way = FuturesUnordered::new();
    let mut busy: Vec<String> = Vec::new();
    loop {
        let sleep = if busy.len() >= AT_ONCE {
            LONGEST_SLEEP
        } else {
            match begin(&tracking, &busy).await {
                Ok(Next::Begun(begun)) => {
                    busy.push(begun.webhook.webhook_id.clone());
                    under_way.push(deliver(&tracking, *begun));
                    continue;
                }
                Ok(Next::Wait(wait)) => wait,
                Err(error) => {
                    tracing::error!(error = %chain(&error), "webhook deliveries cannot be read");
                    AFTER_FAILURE
                }
            }
        };
        tokio::select! {
            () = stop.cancelled() => break,
            Some(webhook_id) = under_way.next() => busy.retain(|one| *one != webhook_id),
            changed = news.changed() => if changed.is_err() { break },
            () = tokio::time::sleep(sleep) => {}
        }
    }
    while under_way.next().await.is_some() {}
}

/// What there is to do.
enum Next {
    /// A message whose attempt is recorded.
    Begun(Box<Begun>),
    /// Nothing for so long.
    Wait(Duration),
}

struct Begun {
    webhook: Webhook,
    delivery: Delivery,
}

async fn begin(tracking: &Tracking, busy: &[String]) -> Result<Next, TrackingError> {
    loop {
        let Some(mut delivery) = tracking.first_delivery(busy).await? else {
            return Ok(Next::Wait(LONGEST_SLEEP));
        };
        let now_ms = tracking.now_ms();
        if delivery.due_ms > now_ms {
            let wait = u64::try_from(delivery.due_ms - now_ms).unwrap_or_default();
            return Ok(Next::Wait(Duration::from_millis(wait).min(LONGEST_SLEEP)));
        }
        // One that was deleted just now took its messages with it.
        let Some(webhook) = tracking.find_webhook(&delivery.webhook_id).await? else { continue };
        let given_up = if webhook.status != WebhookStatus::Active {
            Some("the webhook is disabled")
        } else if now_ms - delivery.created_ms > MOST_AGE_MS {
            Some("it could not be sent for too long")
        } else if delivery.attempts >= ATTEMPTS {
            Some("every attempt was lost with its process")
        } else {
            None
        };
        if let Some(reason) = given_up {
            give_up(tracking, &delivery, reason).await?;
            continue;
        }
        delivery.attempts += 1;
        let patience = i64::try_from(tracking.sender()?.patience.as_millis()).unwrap_or(i64::MAX);
        delivery.due_ms = now_ms.saturating_add(patience).saturating_add(LEASE_MARGIN_MS);
        if !tracking.postpone_delivery(&delivery).await? {
            continue;
        }
        return Ok(Next::Begun(Box::new(Begun { webhook, delivery })));
    }
}

/// Sends once, and records what came of it. Gives the webhook's id back.
async fn deliver(tracking: &Tracking, begun: Begun) -> String {
    let webhook_id = begun.delivery.webhook_id.clone();
    if let Err(error) = attempt(tracking, begun).await {
        // It stays as it was begun, and is tried again when its lease is over.
        tracing::error!(error = %chain(&error), webhook_id, "a webhook delivery could not be recorded");
    }
    webhook_id
}

async fn attempt(tracking: &Tracking, begun: Begun) -> Result<(), TrackingError> {
    let Begun { webhook, mut delivery } = begun;
    let sender = tracking.sender()?;
    let letter = Letter {
        webhook_id: &webhook.webhook_id,
        url: &webhook.url,
        sealed_secret: &webhook.sealed_secret,
        delivery_id: &delivery.delivery_id,
        body: &delivery.body,
        seconds: tracking.now_ms().div_euclid(1_000),
    };
    let (reason, may_pass, asked) = match sender.send(letter).await {
        Ok(answered) if answered.is_success() => {
            return tracking.forget_delivery(&delivery.delivery_id).await;
        }
        Ok(answered) => {
            let may_pass = answered.may_pass();
            let Answered { status, wait, .. } = answered;
            (format!("the receiver answered {status}"), may_pass, wait)
        }
        Err(NotSent { reason, may_pass }) => (reason, may_pass, None),
    };
    if !may_pass || delivery.attempts >= ATTEMPTS {
        return give_up(tracking, &delivery, &reason).await;
    }
    let wait = wait_before(sender.first_wait, delivery.attempts).max(asked.unwrap_or_default());
    tracing::debug!(
        webhook_id = delivery.webhook_id,
        delivery_id = delivery.delivery_id,
        attempts = delivery.attempts,
        reason,
        "a webhook delivery failed and is tried again"
    );
    delivery.due_ms = tracking.now_ms().saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX));
    tracking.postpone_delivery(&delivery).await.map(drop)
}

async fn give_up(tracking: &Tracking, delivery: &Delivery, reason: &str) -> Result<(), TrackingError> {
    tracing::warn!(
        webhook_id = delivery.webhook_id,
        delivery_id = delivery.delivery_id,
        attempts = delivery.attempts,
        reason,
        "a webhook delivery is given up"
    );
    tracking.forget_delivery(&delivery.delivery_id).await
}

/// The wait after this many attempts: fourfold each time.
fn wait_before(first: Duration, attempts: i64) -> Duration {
    let exponent = u32::try_from(attempts.clamp(1, ATTEMPTS) - 1).unwrap_or_default();
    first.saturating_mul(4_u32.saturating_pow(exponent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_fourfold() {
        let first = Duration::from_secs(1);
        let waits: Vec<u64> = (1..=5).map(|attempts| wait_before(first, attempts).as_secs()).collect();
        assert_eq!(waits, [1, 4, 16, 64, 256]);
        assert_eq!(wait_before(first, i64::MAX), wait_before(first, ATTEMPTS));
    }
}
