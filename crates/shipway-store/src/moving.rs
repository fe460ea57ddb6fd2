//! Moves the metadata of a server from SQLite to PostgreSQL: every table as it is, all of them or none.

use sqlx::sqlite::SqliteConnectOptions;

use crate::{
    Row, SqlValue, StoreError, Transaction, parameters, postgres::PostgresPool, sqlite::SqlitePools,
};

/// Rows that are held in memory at a time.
const BATCH: i64 = 2_000;

/// What was moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// Tables.
    pub tables: u64,
    /// Their rows.
    pub rows: u64,
}

/// Copies the SQLite database at `from` into the empty PostgreSQL database at `url`, which from then on belongs to the data folder
/// called `home`. `from` stays as it is. Nobody may write to it meanwhile.
///
/// `progress` is told each table and its rows when it is done. A database that has tables of ours already is refused.
pub async fn move_to_postgres(
    from: &std::path::Path,
    url: &str,
    home: &str,
    mut progress: impl FnMut(&str, u64),
) -> Result<Moved, StoreError> {
    let options = SqliteConnectOptions::new().filename(from).create_if_missing(false);
    let source = SqlitePools::connect(options).await?;
    let pool = PostgresPool::connect(url, 2).await?;
    let mut target = Transaction::from(pool.begin().await?);
    let taken =
        "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = current_schema()";
    if let Some(row) = target.fetch_optional(taken, vec![]).await? {
        return Err(StoreError::NotEmpty { table: row.text("name")? });
    }
    let mut moved = Moved { tables: 0, rows: 0 };
    let objects = "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid";
    for object in source.fetch(objects, vec![]).await? {
        // As they were written in the migrations; a table comes before what refers to it.
        target.run_script(&object.text("sql")?).await?;
        if object.text("type")? == "table" {
            let table = object.text("name")?;
            let rows = copy_rows(&source, &mut target, &table).await?;
            progress(&table, rows);
            moved = Moved { tables: moved.tables + 1, rows: moved.rows + rows };
        }
    }
    target.execute("INSERT INTO store_home (home) VALUES ($1)", parameters![home]).await?;
    target.commit().await?;
    source.close().await;
    pool.close().await;
    Ok(moved)
}

async fn copy_rows(source: &SqlitePools, target: &mut Transaction, table: &str) -> Result<u64, StoreError> {
    let columns =
        source.fetch("SELECT name FROM pragma_table_info($1) ORDER BY cid", parameters![table]).await?;
    let columns = columns.iter().map(|row| row.text("name")).collect::<Result<Vec<_>, _>>()?;
    let quoted: Vec<String> = columns.iter().map(|column| format!("\"{column}\"")).collect();
    let select =
        format!("SELECT rowid AS place_of_row, * FROM \"{table}\" WHERE rowid > $1 ORDER BY rowid LIMIT $2");
    let insert = format!("INSERT INTO \"{table}\" ({}) VALUES {{rows}}", quoted.join(", "));
    let (mut last, mut copied) = (i64::MIN, 0);
    loop {
        let rows = source.fetch(&select, parameters![last, BATCH]).await?;
        let Some(newest) = rows.last() else { return Ok(copied) };
        last = newest.int("place_of_row")?;
        let values = |row: &Row| columns.iter().map(|column| row.value(column).cloned()).collect();
        let values = rows.iter().map(values).collect::<Result<Vec<Vec<SqlValue>>, _>>()?;
        copied += target.insert_rows(&insert, values).await?;
    }
}
