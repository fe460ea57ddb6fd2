//! Use cases of webhooks: who is told of changes of the registry, and what is still to be told.

use serde_json::json;
use shipway_store::Transaction;
use tokio_util::task::TaskTracker;
use url::Url;
use uuid::Uuid;

use crate::{
    error::{Thing, TrackingError},
    model::{Webhook, WebhookStatus, bounds, webhook::EventKind},
    service::{Found, Tracking, cursor, workspaces},
    store::{self, deliveries::Delivery},
    webhook::{
        WebhookSettings, WebhookSetupError,
        news::{News, example},
        send::{Answered, Letter, NotSent, Sender},
        worker,
    },
};

const PAGE_DEFAULT: i64 = 100;
const PAGE_MAX: i64 = 1_000;
/// Messages that may wait for one webhook; further ones are not kept for it.
const MOST_WAITING: i64 = 10_000;

#[derive(Debug, Clone)]
pub(crate) struct NewWebhook {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) url: String,
    pub(crate) events: Vec<EventKind>,
    pub(crate) secret: String,
    pub(crate) status: WebhookStatus,
}

/// What a client wants changed; `None` stays.
#[derive(Debug, Clone, Default)]
pub(crate) struct WebhookChange {
    pub(crate) name: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) url: Option<String>,
    pub(crate) events: Option<Vec<EventKind>>,
    /// An empty one takes the secret away.
    pub(crate) secret: Option<String>,
    pub(crate) status: Option<WebhookStatus>,
}

fn check_events(mut events: Vec<EventKind>) -> Result<Vec<EventKind>, TrackingError> {
    if events.is_empty() {
        return Err(TrackingError::invalid("events", "Webhook events cannot be empty"));
    }
    let mut seen = Vec::new();
    events.retain(|kind| {
        let is_new = !seen.contains(kind);
        seen.push(*kind);
        is_new
    });
    Ok(events)
}

/// The host alone: paths of such addresses are often secrets.
fn host_of(url: &str) -> String {
    Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
}

impl Tracking {
    /// Decides what webhooks may reach and how their secrets are kept; the first decision stays. Without one, webhooks reach
    /// public addresses over HTTPS only, and secrets are kept as they are.
    pub fn set_webhooks(&self, settings: &WebhookSettings) -> Result<(), WebhookSetupError> {
        let _ = self.inner.sender.set(Sender::new(settings)?);
        Ok(())
    }

    /// Begins to send what waits, and goes on until [`Tracking::stop_webhooks`].
    pub fn start_webhooks(&self, tracker: &TaskTracker) {
        let stop = self.inner.stopping.clone();
        let tasks = &self.inner.tasks;
        tracker.spawn(tasks.track_future(worker::run(self.clone(), self.inner.news.subscribe(), stop)));
    }

    /// Ends sending, after what is under way; the rest is sent after the next start.
    pub async fn stop_webhooks(&self) {
        self.inner.stopping.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }

    /// Who sends to webhooks.
    pub(crate) fn sender(&self) -> Result<&Sender, TrackingError> {
        if let Some(sender) = self.inner.sender.get() {
            return Ok(sender);
        }
        let strict = Sender::new(&WebhookSettings::default());
        let strict = strict.map_err(|error| TrackingError::Elsewhere(Box::new(error)))?;
        Ok(self.inner.sender.get_or_init(|| strict))
    }

    async fn check_url(&self, url: &str) -> Result<(), TrackingError> {
        bounds::webhook_url(url)?;
        self.sender()?.check(url).await.map_err(|reason| TrackingError::invalid("url", reason))
    }

    fn seal(&self, webhook_id: &str, secret: &str) -> Result<String, TrackingError> {
        bounds::webhook_secret(secret)?;
        let sealed = self.sender()?.sealer.seal(webhook_id, secret);
        sealed.map_err(|error| TrackingError::invalid("secret", error.to_string()))
    }

    pub(crate) async fn create_webhook(
        &self,
        caller: &str,
        new: NewWebhook,
    ) -> Result<Webhook, TrackingError> {
        bounds::webhook_name(&new.name)?;
        bounds::webhook_description(&new.description)?;
        let events = check_events(new.events)?;
        self.check_url(&new.url).await?;
        let webhook_id = Uuid::new_v4().to_string();
        let now_ms = self.now_ms();
        let webhook = Webhook {
            sealed_secret: self.seal(&webhook_id, &new.secret)?,
            webhook_id,
            workspace: self.workspace().as_str().to_owned(),
            name: new.name,
            description: new.description,
            url: new.url,
            status: new.status,
            events,
            created_ms: now_ms,
            updated_ms: now_ms,
        };
        let mut transaction = self.begin().await?;
        workspaces::must_exist(&mut transaction, &webhook.workspace).await?;
        store::webhooks::put(&mut transaction, &webhook).await?;
        self.audit_webhook(&mut transaction, caller, "tracking.create_webhook", &webhook).await?;
        transaction.commit().await?;
        Ok(webhook)
    }

    async fn audit_webhook(
        &self,
        transaction: &mut Transaction,
        caller: &str,
        action: &str,
        webhook: &Webhook,
    ) -> Result<(), TrackingError> {
        let subject = format!("webhook/{}", webhook.webhook_id);
        let detail = json!({ "name": webhook.name, "host": host_of(&webhook.url) });
        self.audit(transaction, caller, action, subject, detail).await
    }

    pub(crate) async fn webhook(&self, webhook_id: &str) -> Result<Webhook, TrackingError> {
        let found = self.find_webhook(webhook_id).await?;
        self.own_webhook(found).ok_or_else(|| TrackingError::missing(Thing::Webhook, webhook_id))
    }

    fn own_webhook(&self, found: Option<Webhook>) -> Option<Webhook> {
        found.filter(|webhook| webhook.workspace == self.workspace().as_str())
    }

    /// A webhook of any workspace.
    pub(crate) async fn find_webhook(&self, webhook_id: &str) -> Result<Option<Webhook>, TrackingError> {
        Ok(store::webhooks::by_id(&mut self.reader(), webhook_id).await?)
    }

    /// Webhooks, the newest first.
    pub(crate) async fn list_webhooks(
        &self,
        max_results: Option<i64>,
        page_token: &str,
    ) -> Result<Found<Webhook>, TrackingError> {
        // Clients that want the default say 0.
        let size = cursor::size(max_results.filter(|size| *size != 0), PAGE_DEFAULT, PAGE_MAX)?;
        let after = cursor::read_time_and_id(page_token, "webhooks")?;
        let workspace = self.workspace().as_str();
        let (items, more) = store::webhooks::page(&mut self.reader(), workspace, after, size).await?;
        let next = items.last().filter(|_| more);
        let next_page_token =
            next.map(|last| cursor::write(vec![json!(last.created_ms), json!(last.webhook_id)], "webhooks"));
        Ok(Found { items, next_page_token })
    }

    /// Changes a webhook. One that is disabled forgets what waits for it.
    pub(crate) async fn update_webhook(
        &self,
        caller: &str,
        webhook_id: &str,
        change: WebhookChange,
    ) -> Result<Webhook, TrackingError> {
        if let Some(url) = &change.url {
            self.check_url(url).await?;
        }
        let mut transaction = self.begin().await?;
        let found = store::webhooks::by_id(&mut transaction, webhook_id).await?;
        let mut webhook =
            self.own_webhook(found).ok_or_else(|| TrackingError::missing(Thing::Webhook, webhook_id))?;
        if let Some(name) = change.name {
            bounds::webhook_name(&name)?;
            webhook.name = name;
        }
        if let Some(description) = change.description {
            bounds::webhook_description(&description)?;
            webhook.description = description;
        }
        if let Some(events) = change.events {
            webhook.events = check_events(events)?;
        }
        if let Some(secret) = change.secret {
            webhook.sealed_secret = self.seal(webhook_id, &secret)?;
        }
        webhook.url = change.url.unwrap_or(webhook.url);
        webhook.status = change.status.unwrap_or(webhook.status);
        webhook.updated_ms = self.now_ms();
        store::webhooks::put(&mut transaction, &webhook).await?;
        if webhook.status == WebhookStatus::Disabled {
            store::deliveries::delete_of(&mut transaction, webhook_id).await?;
        }
        self.audit_webhook(&mut transaction, caller, "tracking.update_webhook", &webhook).await?;
        transaction.commit().await?;
        Ok(webhook)
    }

    /// Deletes a webhook, and what waits for it.
    pub(crate) async fn delete_webhook(&self, caller: &str, webhook_id: &str) -> Result<(), TrackingError> {
        let webhook = self.webhook(webhook_id).await?;
        let mut transaction = self.begin().await?;
        store::webhooks::delete(&mut transaction, webhook_id).await?;
        self.audit_webhook(&mut transaction, caller, "tracking.delete_webhook", &webhook).await?;
        Ok(transaction.commit().await?)
    }

    /// Sends an example of one of the webhook's events now, once, and says what came of it.
    pub(crate) async fn try_webhook(
        &self,
        webhook_id: &str,
        kind: Option<EventKind>,
    ) -> Result<Result<Answered, NotSent>, TrackingError> {
        let webhook = self.webhook(webhook_id).await?;
        let Some(kind) = kind.or_else(|| webhook.events.first().copied()) else {
            return Err(TrackingError::invalid("event", "the webhook has no events"));
        };
        let body = example(kind).body(self.inner.clock.now());
        let letter = Letter {
            webhook_id,
            url: &webhook.url,
            sealed_secret: &webhook.sealed_secret,
            delivery_id: &Uuid::new_v4().to_string(),
            body: &body,
            seconds: self.now_ms().div_euclid(1_000),
        };
        Ok(self.sender()?.send(letter).await)
    }

    /// Writes down what is to be told of a change, in the transaction of the change: it is told if and only if the change
    /// was made. After the commit [`Tracking::announce_news`] wakes the sender.
    pub(super) async fn tell(&self, transaction: &mut Transaction, news: &News) -> Result<(), TrackingError> {
        for webhook_id in store::webhooks::subscribed(transaction, news.kind, &news.workspace).await? {
            if store::deliveries::waiting(transaction, &webhook_id).await? >= MOST_WAITING {
                tracing::warn!(webhook_id, "too much waits for a webhook: an event is not kept for it");
                continue;
            }
            let now_ms = self.now_ms();
            let delivery = Delivery {
                delivery_id: Uuid::now_v7().to_string(),
                webhook_id,
                body: news.body(self.inner.clock.now()),
                attempts: 0,
                due_ms: now_ms,
                created_ms: now_ms,
            };
            store::deliveries::insert(transaction, &delivery).await?;
        }
        Ok(())
    }

    /// Says that there may be something to send.
    pub(super) fn announce_news(&self) {
        self.inner.news.send_modify(|count| *count += 1);
    }

    pub(crate) async fn first_delivery(
        &self,
        other_than: &[String],
    ) -> Result<Option<Delivery>, TrackingError> {
        Ok(store::deliveries::first(&mut self.reader(), other_than).await?)
    }

    /// Writes how often it was begun and when it is due again; false when it is gone.
    pub(crate) async fn postpone_delivery(&self, delivery: &Delivery) -> Result<bool, TrackingError> {
        let mut transaction = self.begin().await?;
        let is_there = store::deliveries::postpone(&mut transaction, delivery).await?;
        transaction.commit().await?;
        Ok(is_there)
    }

    pub(crate) async fn forget_delivery(&self, delivery_id: &str) -> Result<(), TrackingError> {
        let mut transaction = self.begin().await?;
        store::deliveries::delete(&mut transaction, delivery_id).await?;
        Ok(transaction.commit().await?)
    }
}
