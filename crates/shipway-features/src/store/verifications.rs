//! The book of replays: what each found, and when.

use shipway_core::Timestamp;
use shipway_store::{Row, Store, StoreError, parameters};
use uuid::Uuid;

use crate::verification::Verification;

/// Replays kept for each deployment.
const KEPT: i64 = 1_000;

const COLUMNS: &str = "deployment, ended_us, compared, differing, late_events, error";

/// Records a replay, and forgets the oldest of its deployment beyond [`KEPT`].
pub(crate) async fn record(store: &Store, replay: &Verification) -> Result<(), StoreError> {
    let sql = "INSERT INTO feature_verifications (verification_id, deployment, ended_us, compared, differing, late_events, error) \
               VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let values = parameters![
        Uuid::now_v7().to_string(),
        replay.deployment.as_str(),
        replay.ended.micros(),
        replay.compared.cast_signed(),
        replay.differing.cast_signed(),
        replay.late_events.cast_signed(),
        replay.error.clone()
    ];
    store.execute(sql, values).await?;
    let sql = "DELETE FROM feature_verifications WHERE deployment = $1 AND ended_us < (SELECT min(ended_us) FROM \
               (SELECT ended_us FROM feature_verifications WHERE deployment = $1 ORDER BY ended_us DESC LIMIT $2) AS kept)";
    store.execute(sql, parameters![replay.deployment.as_str(), KEPT]).await.map(|_| ())
}

/// The last replay of `deployment` that could be made.
pub(crate) async fn last(store: &Store, deployment: &str) -> Result<Option<Verification>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM feature_verifications WHERE deployment = $1 AND error IS NULL \
         ORDER BY ended_us DESC, verification_id DESC LIMIT 1"
    );
    store.fetch_all(&sql, parameters![deployment]).await?.first().map(read).transpose()
}

/// The newest `limit` replays, of one deployment or of all, newest first.
pub(crate) async fn newest(
    store: &Store,
    deployment: Option<&str>,
    limit: i64,
) -> Result<Vec<Verification>, StoreError> {
    let order = "ORDER BY ended_us DESC, verification_id DESC LIMIT";
    let rows = match deployment {
        Some(deployment) => {
            let sql = format!("SELECT {COLUMNS} FROM feature_verifications WHERE deployment = $1 {order} $2");
            store.fetch_all(&sql, parameters![deployment, limit]).await?
        }
        None => {
            let sql = format!("SELECT {COLUMNS} FROM feature_verifications {order} $1");
            store.fetch_all(&sql, parameters![limit]).await?
        }
    };
    rows.iter().map(read).collect()
}

fn read(row: &Row) -> Result<Verification, StoreError> {
    Ok(Verification {
        deployment: row.text("deployment")?,
        ended: Timestamp(row.int("ended_us")?),
        compared: row.int("compared")?.unsigned_abs(),
        differing: row.int("differing")?.unsigned_abs(),
        late_events: row.int("late_events")?.unsigned_abs(),
        error: row.optional_text("error")?,
    })
}
