//! Moves the metadata of a server from SQLite to PostgreSQL: every table as it is, all of them or none.

use crate::{
    Row, SqlValue, StoreError, Transaction, parameters,
    postgres::PostgresPool,
    sqlite::{SqliteOptions, SqlitePools},
    statement::placeholders_of_rows,
};

/// Rows that are held in memory at a time.
const BATCH: u32 = 2_000;

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
    let options = SqliteOptions { path: from.to_owned(), is_durable: true, may_create: false };
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
    let Shape { columns, place, order } = shape(source, table).await?;
    let quoted = columns.iter().map(|column| quoted(column)).collect::<Vec<_>>().join(", ");
    let insert = format!("INSERT INTO \"{table}\" ({quoted}) VALUES {{rows}}");
    let selected = place.iter().zip(&order).map(|(name, column)| format!("{column} AS {name}"));
    let selected = selected.collect::<Vec<_>>().join(", ");
    let (order, placeholders) = (order.join(", "), placeholders_of_rows(1, place.len()));
    let select = |condition: &str| {
        format!("SELECT {selected}, * FROM \"{table}\" {condition} ORDER BY {order} LIMIT {BATCH}")
    };
    let (first, next) = (select(""), select(&format!("WHERE ({order}) > {placeholders}")));
    let mut rows = source.fetch(&first, vec![]).await?;
    let mut copied = 0;
    while let Some(newest) = rows.last() {
        let after = place.iter().map(|name| newest.value(name)).collect::<Result<Vec<_>, _>>()?;
        let values = |row: &Row| columns.iter().map(|column| row.value(column)).collect();
        let values = rows.iter().map(values).collect::<Result<Vec<Vec<SqlValue>>, _>>()?;
        copied += target.insert_rows(&insert, values).await?;
        rows = source.fetch(&next, after).await?;
    }
    Ok(copied)
}

/// How the rows of a table are read.
struct Shape {
    columns: Vec<String>,
    /// What the columns are called that say where a row is.
    place: Vec<String>,
    /// What these columns hold, which orders the rows: their number, or in a table without such numbers its primary key.
    order: Vec<String>,
}

async fn shape(source: &SqlitePools, table: &str) -> Result<Shape, StoreError> {
    let described =
        source.fetch("SELECT name, pk FROM pragma_table_info($1) ORDER BY cid", parameters![table]).await?;
    let (mut columns, mut key) = (Vec::new(), Vec::new());
    for row in &described {
        columns.push(row.text("name")?);
        key.push((row.int("pk")?, quoted(row.str("name")?)));
    }
    let without_numbers = "SELECT wr FROM pragma_table_list($1) WHERE schema = 'main'";
    let listed = source.fetch(without_numbers, parameters![table]).await?;
    let order = match listed.first() {
        Some(row) if row.boolean("wr")? => {
            key.retain(|(place, _)| *place > 0);
            key.sort();
            key.into_iter().map(|(_, column)| column).collect()
        }
        _ => vec!["rowid".to_owned()],
    };
    let place = (0..order.len()).map(|number| format!("place_{number}_of_row")).collect();
    Ok(Shape { columns, place, order })
}

fn quoted(column: &str) -> String {
    format!("\"{column}\"")
}
