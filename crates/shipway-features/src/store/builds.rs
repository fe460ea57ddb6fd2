//! The book of builds: how much history each took in, how long that took, and what it found of the state that it replaced.

use shipway_core::{Digest, Timestamp};
use shipway_store::{Row, Store, StoreError, parameters};

/// Builds kept.
const KEPT: i64 = 1_000;

const COLUMNS: &str =
    "build_id, view_name, view_hash, source, row_count, spent_us, key_count, differing, ended_us";

/// A build that has ended.
#[derive(Debug, Clone)]
pub(crate) struct BuildRow {
    pub(crate) view: String,
    pub(crate) view_hash: Digest,
    /// Which of the view's states; one state is recorded once.
    pub(crate) generation: u32,
    pub(crate) source: String,
    pub(crate) rows: u64,
    pub(crate) spent_us: u64,
    /// Keys compared; none when there was no state before.
    pub(crate) keys: Option<u64>,
    pub(crate) differing: Option<u64>,
    pub(crate) ended: Timestamp,
}

/// Records a build, and forgets the oldest beyond [`KEPT`].
pub(crate) async fn record(store: &Store, build: &BuildRow) -> Result<(), StoreError> {
    let sql = "INSERT INTO feature_builds (build_id, view_name, view_hash, source, row_count, spent_us, key_count, differing, \
               ended_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (build_id) DO UPDATE SET \
               row_count = excluded.row_count, spent_us = excluded.spent_us, key_count = excluded.key_count, \
               differing = excluded.differing, ended_us = excluded.ended_us";
    let values = parameters![
        format!("{}/{}", build.view_hash.hex(), build.generation),
        build.view.as_str(),
        build.view_hash.to_string(),
        build.source.as_str(),
        build.rows.cast_signed(),
        build.spent_us.cast_signed(),
        build.keys.map(u64::cast_signed),
        build.differing.map(u64::cast_signed),
        build.ended.micros()
    ];
    store.execute(sql, values).await?;
    let sql = "DELETE FROM feature_builds WHERE build_id NOT IN \
               (SELECT build_id FROM feature_builds ORDER BY ended_us DESC, length(build_id) DESC, build_id DESC LIMIT $1)";
    store.execute(sql, parameters![KEPT]).await.map(|_| ())
}

/// The newest builds first.
pub(crate) async fn newest(store: &Store, limit: u32) -> Result<Vec<BuildRow>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM feature_builds ORDER BY ended_us DESC, length(build_id) DESC, build_id DESC LIMIT $1"
    );
    store.fetch_all(&sql, parameters![limit]).await?.iter().map(read).collect()
}

/// The last build of a view, if there was one.
pub(crate) async fn last(store: &Store, view: &Digest) -> Result<Option<BuildRow>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM feature_builds WHERE view_hash = $1 ORDER BY ended_us DESC, length(build_id) DESC, build_id DESC LIMIT 1"
    );
    store.fetch_optional(&sql, parameters![view.to_string()]).await?.as_ref().map(read).transpose()
}

fn read(row: &Row) -> Result<BuildRow, StoreError> {
    let hash = row.text("view_hash")?;
    Ok(BuildRow {
        view: row.text("view_name")?,
        view_hash: hash.parse().map_err(|_| StoreError::Damaged("view_hash is no digest".into()))?,
        generation: row
            .text("build_id")?
            .rsplit('/')
            .next()
            .and_then(|number| number.parse().ok())
            .unwrap_or(0),
        source: row.text("source")?,
        rows: row.int("row_count")?.unsigned_abs(),
        spent_us: row.int("spent_us")?.unsigned_abs(),
        keys: row.optional_int("key_count")?.map(i64::unsigned_abs),
        differing: row.optional_int("differing")?.map(i64::unsigned_abs),
        ended: Timestamp(row.int("ended_us")?),
    })
}
