//! Endpoints of webhooks. Secrets go in and never come out; addresses, which may be secrets too, are shown to those who may
//! change them.

use serde_json::{Value, json};
use shipway_core::Permission::Manage;
use shipway_web::{Caller, Path, Routes};

use super::{Answer, Body, WireError, both, here::Here, message::Message, view};
use crate::{
    error::TrackingError,
    model::{
        Webhook, WebhookStatus,
        webhook::{Action, Entity, EventKind},
    },
    service::{NewWebhook, Tracking, WebhookChange},
    webhook::send::NotSent,
};

pub(crate) fn routes() -> Routes<Tracking> {
    let routes = Routes::new();
    let routes = both!(routes, post, "2.0/mlflow/webhooks", Manage, create);
    let routes = both!(routes, get, "2.0/mlflow/webhooks", Manage, list);
    let routes = both!(routes, get, "2.0/mlflow/webhooks/{webhook_id}", Manage, get);
    let routes = both!(routes, patch, "2.0/mlflow/webhooks/{webhook_id}", Manage, update);
    let routes = both!(routes, delete, "2.0/mlflow/webhooks/{webhook_id}", Manage, delete);
    both!(routes, post, "2.0/mlflow/webhooks/{webhook_id}/test", Manage, test)
}

const STATUSES: [(&str, i64, WebhookStatus); 2] =
    [("ACTIVE", 1, WebhookStatus::Active), ("DISABLED", 2, WebhookStatus::Disabled)];

const ENTITIES: [(&str, i64, Entity); 10] = [
    ("REGISTERED_MODEL", 1, Entity::RegisteredModel),
    ("MODEL_VERSION", 2, Entity::ModelVersion),
    ("MODEL_VERSION_TAG", 3, Entity::ModelVersionTag),
    ("MODEL_VERSION_ALIAS", 4, Entity::ModelVersionAlias),
    ("PROMPT", 5, Entity::Prompt),
    ("PROMPT_VERSION", 6, Entity::PromptVersion),
    ("PROMPT_TAG", 7, Entity::PromptTag),
    ("PROMPT_VERSION_TAG", 8, Entity::PromptVersionTag),
    ("PROMPT_ALIAS", 9, Entity::PromptAlias),
    ("BUDGET_POLICY", 10, Entity::BudgetPolicy),
];

const ACTIONS: [(&str, i64, Action); 5] = [
    ("CREATED", 1, Action::Created),
    ("UPDATED", 2, Action::Updated),
    ("DELETED", 3, Action::Deleted),
    ("SET", 4, Action::Set),
    ("EXCEEDED", 5, Action::Exceeded),
];

fn event(message: &Message) -> Result<EventKind, WireError> {
    let entity = message.word("entity", &ENTITIES)?.ok_or_else(|| message.missing("entity"))?;
    let action = message.word("action", &ACTIONS)?.ok_or_else(|| message.missing("action"))?;
    let reason = format!("Invalid action '{}' for entity '{}'", action.word(), entity.word());
    Ok(EventKind::of(entity, action).ok_or_else(|| TrackingError::invalid("events", reason))?)
}

fn events(message: &Message) -> Result<Vec<EventKind>, WireError> {
    message.messages("events")?.iter().map(event).collect()
}

fn webhook(webhook: &Webhook) -> Value {
    let event = |kind: &EventKind| json!({ "entity": kind.entity.word().to_uppercase(), "action": kind.action.word().to_uppercase() });
    view::Fields::default()
        .set("webhook_id", webhook.webhook_id.as_str())
        .set("name", webhook.name.as_str())
        .text("description", &webhook.description)
        .set("url", webhook.url.as_str())
        .list("events", webhook.events.iter().map(event).collect())
        .set("status", webhook.status.word())
        .set("creation_timestamp", webhook.created_ms)
        .set("last_updated_timestamp", webhook.updated_ms)
        .value()
}

fn body(of: &Webhook) -> Body {
    Body(json!({ "webhook": webhook(of) }))
}

async fn create(Here(tracking): Here, caller: Caller, message: Message) -> Answer {
    let new = NewWebhook {
        name: message.required_text("name")?,
        description: message.text_or_empty("description")?,
        url: message.required_text("url")?,
        events: events(&message)?,
        secret: message.text_or_empty("secret")?,
        status: message.word("status", &STATUSES)?.unwrap_or(WebhookStatus::Active),
    };
    Ok(body(&tracking.create_webhook(&caller.name, new).await?))
}

async fn list(Here(tracking): Here, message: Message) -> Answer {
    let token = message.text_or_empty("page_token")?;
    let found = tracking.list_webhooks(message.integer("max_results")?, &token).await?;
    Ok(Body(view::page("webhooks", &found, webhook)))
}

async fn get(Here(tracking): Here, Path(webhook_id): Path<String>) -> Answer {
    Ok(body(&tracking.webhook(&webhook_id).await?))
}

/// An empty name or address, and an empty list of events, mean unchanged; an empty description or secret means none.
async fn update(
    Here(tracking): Here,
    caller: Caller,
    Path(webhook_id): Path<String>,
    message: Message,
) -> Answer {
    let events = events(&message)?;
    let change = WebhookChange {
        name: message.text("name")?.filter(|name| !name.is_empty()),
        description: message.text("description")?,
        url: message.text("url")?.filter(|url| !url.is_empty()),
        events: (!events.is_empty()).then_some(events),
        secret: message.text("secret")?,
        status: message.word("status", &STATUSES)?,
    };
    Ok(body(&tracking.update_webhook(&caller.name, &webhook_id, change).await?))
}

async fn delete(Here(tracking): Here, caller: Caller, Path(webhook_id): Path<String>) -> Answer {
    tracking.delete_webhook(&caller.name, &webhook_id).await?;
    Ok(Body::empty())
}

async fn test(Here(tracking): Here, Path(webhook_id): Path<String>, message: Message) -> Answer {
    let kind = if message.has("event") { Some(event(&message.message("event")?)?) } else { None };
    let result = match tracking.try_webhook(&webhook_id, kind).await? {
        Ok(answered) => view::Fields::default()
            .set("success", answered.is_success())
            .set("response_status", answered.status)
            .text("response_body", &answered.body),
        Err(NotSent { reason, .. }) => view::Fields::default()
            .set("success", false)
            .set("error_message", format!("Failed to test webhook: {reason}")),
    };
    Ok(Body(json!({ "result": result.value() })))
}
