//! Tables `webhooks`, `webhook_events`.

use std::collections::HashMap;

use shipway_store::{Row, Transaction, parameters};

use super::{Rows, Stored, all_of};
use crate::model::{
    Webhook, WebhookStatus,
    webhook::{Action, Entity, EventKind},
};

fn webhook(row: &Row) -> Stored<Webhook> {
    Ok(Webhook {
        webhook_id: row.text("webhook_id")?,
        workspace: row.text("workspace")?,
        name: row.text("name")?,
        description: row.text("description")?,
        url: row.text("url")?,
        sealed_secret: row.text("sealed_secret")?,
        status: WebhookStatus::from_word(&row.text("status")?),
        events: Vec::new(),
        created_ms: row.int("created_ms")?,
        updated_ms: row.int("updated_ms")?,
    })
}

async fn from_rows(rows: &mut impl Rows, found: &[Row]) -> Stored<Vec<Webhook>> {
    let mut webhooks: Vec<Webhook> = found.iter().map(webhook).collect::<Stored<_>>()?;
    let ids: Vec<String> = webhooks.iter().map(|webhook| webhook.webhook_id.clone()).collect();
    let mut events: HashMap<String, Vec<EventKind>> = HashMap::new();
    let sql = "SELECT webhook_id, entity, action FROM webhook_events WHERE webhook_id IN ({ids}) ORDER BY entity, action";
    for row in all_of(rows, sql, &ids).await? {
        let kind = Entity::from_word(&row.text("entity")?)
            .zip(Action::from_word(&row.text("action")?))
            .and_then(|(entity, action)| EventKind::of(entity, action));
        events.entry(row.text("webhook_id")?).or_default().extend(kind);
    }
    for webhook in &mut webhooks {
        webhook.events = events.remove(&webhook.webhook_id).unwrap_or_default();
    }
    Ok(webhooks)
}

pub(crate) async fn by_id(rows: &mut impl Rows, webhook_id: &str) -> Stored<Option<Webhook>> {
    let found = rows.first("SELECT * FROM webhooks WHERE webhook_id = $1", parameters![webhook_id]).await?;
    Ok(from_rows(rows, found.as_slice()).await?.pop())
}

/// Webhooks, the newest first, after the place `(created_ms, webhook_id)`; and whether there are more.
pub(crate) async fn page(
    rows: &mut impl Rows,
    workspace: &str,
    after: Option<(i64, String)>,
    size: i64,
) -> Stored<(Vec<Webhook>, bool)> {
    let limit = size.saturating_add(1);
    let found = match after {
        None => {
            let sql = "SELECT * FROM webhooks WHERE workspace = $1 ORDER BY created_ms DESC, webhook_id DESC LIMIT $2";
            rows.all(sql, parameters![workspace, limit]).await?
        }
        Some((created_ms, webhook_id)) => {
            let sql = "SELECT * FROM webhooks WHERE workspace = $1 AND (created_ms < $2 OR (created_ms = $2 AND webhook_id < $3)) \
                       ORDER BY created_ms DESC, webhook_id DESC LIMIT $4";
            rows.all(sql, parameters![workspace, created_ms, webhook_id, limit]).await?
        }
    };
    let wanted = usize::try_from(size).unwrap_or(usize::MAX);
    let more = found.len() > wanted;
    let shown = found.get(..wanted).unwrap_or(&found);
    Ok((from_rows(rows, shown).await?, more))
}

/// Writes a new webhook, or what changed of one.
pub(crate) async fn put(transaction: &mut Transaction, webhook: &Webhook) -> Stored<()> {
    transaction
        .execute(
            "INSERT INTO webhooks (webhook_id, name, description, url, sealed_secret, status, created_ms, updated_ms, \
             workspace) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (webhook_id) DO UPDATE SET name = excluded.name, \
             description = excluded.description, url = excluded.url, sealed_secret = excluded.sealed_secret, \
             status = excluded.status, updated_ms = excluded.updated_ms",
            parameters![
                webhook.webhook_id.as_str(),
                webhook.name.as_str(),
                webhook.description.as_str(),
                webhook.url.as_str(),
                webhook.sealed_secret.as_str(),
                webhook.status.word(),
                webhook.created_ms,
                webhook.updated_ms,
                webhook.workspace.as_str()
            ],
        )
        .await?;
    let id = webhook.webhook_id.as_str();
    transaction.execute("DELETE FROM webhook_events WHERE webhook_id = $1", parameters![id]).await?;
    let sql = "INSERT INTO webhook_events (webhook_id, entity, action) VALUES ($1, $2, $3) \
               ON CONFLICT (webhook_id, entity, action) DO NOTHING";
    let event = |kind: &EventKind| parameters![id, kind.entity.word(), kind.action.word()];
    transaction.execute_many(sql, webhook.events.iter().map(event).collect()).await?;
    Ok(())
}

/// Its events, and what waits to be sent to it, go with the webhook.
pub(crate) async fn delete(transaction: &mut Transaction, webhook_id: &str) -> Stored<()> {
    transaction.execute("DELETE FROM webhooks WHERE webhook_id = $1", parameters![webhook_id]).await?;
    Ok(())
}

/// The active webhooks of a workspace that want to know of this.
pub(crate) async fn subscribed(
    rows: &mut impl Rows,
    kind: EventKind,
    workspace: &str,
) -> Stored<Vec<String>> {
    let sql = "SELECT w.webhook_id FROM webhook_events e JOIN webhooks w ON w.webhook_id = e.webhook_id \
               WHERE e.entity = $1 AND e.action = $2 AND w.workspace = $3 AND w.status = 'ACTIVE' ORDER BY w.webhook_id";
    let found = rows.all(sql, parameters![kind.entity.word(), kind.action.word(), workspace]).await?;
    found.iter().map(|row| row.text("webhook_id")).collect()
}
