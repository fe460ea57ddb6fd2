//! Table `webhook_deliveries`: what is still to be sent.

use shipway_store::{Row, SqlValue, Transaction, parameters};

use super::{Rows, Stored, placeholders};

/// A message that waits to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delivery {
    pub(crate) delivery_id: String,
    pub(crate) webhook_id: String,
    pub(crate) body: String,
    /// How often sending it was begun.
    pub(crate) attempts: i64,
    pub(crate) due_ms: i64,
    pub(crate) created_ms: i64,
}

fn delivery(row: &Row) -> Stored<Delivery> {
    Ok(Delivery {
        delivery_id: row.text("delivery_id")?,
        webhook_id: row.text("webhook_id")?,
        body: row.text("body")?,
        attempts: row.int("attempts")?,
        due_ms: row.int("due_ms")?,
        created_ms: row.int("created_ms")?,
    })
}

pub(crate) async fn insert(transaction: &mut Transaction, delivery: &Delivery) -> Stored<()> {
    let sql = "INSERT INTO webhook_deliveries (delivery_id, webhook_id, body, attempts, due_ms, created_ms) \
               VALUES ($1, $2, $3, $4, $5, $6)";
    let values = parameters![
        delivery.delivery_id.as_str(),
        delivery.webhook_id.as_str(),
        delivery.body.as_str(),
        delivery.attempts,
        delivery.due_ms,
        delivery.created_ms
    ];
    transaction.execute(sql, values).await?;
    Ok(())
}

/// How many messages wait for one webhook.
pub(crate) async fn waiting(rows: &mut impl Rows, webhook_id: &str) -> Stored<i64> {
    let sql = "SELECT COUNT(*) AS waiting FROM webhook_deliveries WHERE webhook_id = $1";
    let found = rows.first(sql, parameters![webhook_id]).await?;
    found.map_or(Ok(0), |row| row.int("waiting"))
}

/// The message that is due first, of webhooks other than these; it may be due in the future.
pub(crate) async fn first(rows: &mut impl Rows, other_than: &[String]) -> Stored<Option<Delivery>> {
    let condition = if other_than.is_empty() {
        String::new()
    } else {
        format!(" WHERE webhook_id NOT IN ({})", placeholders(1, other_than.len()))
    };
    let sql = format!("SELECT * FROM webhook_deliveries{condition} ORDER BY due_ms, delivery_id LIMIT 1");
    let values = other_than.iter().map(|id| SqlValue::from(id.as_str())).collect();
    rows.first(&sql, values).await?.as_ref().map(delivery).transpose()
}

/// Writes how often it was begun and when it is due again; false when it is gone.
pub(crate) async fn postpone(transaction: &mut Transaction, delivery: &Delivery) -> Stored<bool> {
    let sql = "UPDATE webhook_deliveries SET attempts = $2, due_ms = $3 WHERE delivery_id = $1";
    let values = parameters![delivery.delivery_id.as_str(), delivery.attempts, delivery.due_ms];
    Ok(transaction.execute(sql, values).await? > 0)
}

pub(crate) async fn delete(transaction: &mut Transaction, delivery_id: &str) -> Stored<()> {
    let sql = "DELETE FROM webhook_deliveries WHERE delivery_id = $1";
    transaction.execute(sql, parameters![delivery_id]).await?;
    Ok(())
}

/// Forgets what waits for one webhook.
pub(crate) async fn delete_of(transaction: &mut Transaction, webhook_id: &str) -> Stored<()> {
    let sql = "DELETE FROM webhook_deliveries WHERE webhook_id = $1";
    transaction.execute(sql, parameters![webhook_id]).await?;
    Ok(())
}
