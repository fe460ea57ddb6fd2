//! Each crate brings its own tables: migrations run in order, once, and may not change afterwards.

use std::collections::BTreeMap;

use shipway_core::{Clock, Digest};

use crate::{Store, StoreError, Transaction, parameters};

/// One step of a crate's tables. The text is fixed for ever once it was released; a change is a new migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migration {
    /// Its number among those of its owner: 1, 2, 3, …
    pub version: i64,
    /// What it does, in a word or two.
    pub name: &'static str,
    /// Its statements, separated by semicolons: `include_str!("../migrations/0001_x.sql")`.
    pub sql: &'static str,
}

/// A migration that the database has.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Applied {
    version: i64,
    name: String,
    digest: String,
}

const LEDGER: &str = "CREATE TABLE IF NOT EXISTS store_migrations (
    owner         TEXT   NOT NULL,
    version       BIGINT NOT NULL,
    name          TEXT   NOT NULL,
    digest        TEXT   NOT NULL,
    applied_at_us BIGINT NOT NULL,
    PRIMARY KEY (owner, version)
)";

/// Applies what is missing, all of it or none of it.
pub(crate) async fn migrate(
    store: &Store,
    clock: &dyn Clock,
    owner: &'static str,
    migrations: &[Migration],
) -> Result<(), StoreError> {
    let mut transaction = store.begin().await?;
    transaction.run_script(LEDGER).await?;
    let applied = applied_by(&mut transaction, owner).await?;
    for migration in missing(owner, migrations, &applied)? {
        transaction.run_script(migration.sql).await.map_err(|error| failed(owner, migration, error))?;
        transaction
            .execute(
                "INSERT INTO store_migrations (owner, version, name, digest, applied_at_us) VALUES ($1, $2, $3, $4, $5)",
                parameters![owner, migration.version, migration.name, Digest::of(migration.sql), clock.now()],
            )
            .await?;
    }
    transaction.commit().await
}

/// A script of table definitions as PostgreSQL takes it: bytes are BYTEA there, and texts compare by their bytes, as in SQLite, so
/// that pages of both are ordered alike. Tables without row ids, which lie in the order of their primary key, are SQLite's alone.
pub(crate) fn for_postgres(script: &str) -> String {
    let line = |line: &str| {
        let (code, comment) = line.split_once("--").unwrap_or((line, ""));
        let mut written = String::with_capacity(line.len() + 16);
        let mut rest = code;
        while let Some(start) = rest.find(|letter: char| letter.is_ascii_alphanumeric() || letter == '_') {
            let word = &rest[start..];
            let end = word
                .find(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'))
                .unwrap_or(word.len());
            written.push_str(&rest[..start]);
            written.push_str(match &word[..end] {
                "TEXT" => "TEXT COLLATE \"C\"",
                "BLOB" => "BYTEA",
                other => other,
            });
            rest = &word[end..];
        }
        written.push_str(rest);
        if !comment.is_empty() {
            written.push_str("--");
            written.push_str(comment);
        }
        written
    };
    script.replace(") WITHOUT ROWID", ")").lines().map(line).collect::<Vec<_>>().join("\n")
}

/// Names the migration, unless it is the disk or another writer that failed.
fn failed(owner: &str, migration: &Migration, error: StoreError) -> StoreError {
    match error {
        StoreError::Statement(source) | StoreError::Conflict(source) => StoreError::MigrationFailed {
            owner: owner.to_owned(),
            version: migration.version,
            name: migration.name.to_owned(),
            source,
        },
        other => other,
    }
}

async fn applied_by(transaction: &mut Transaction, owner: &str) -> Result<Vec<Applied>, StoreError> {
    let rows = transaction
        .fetch_all(
            "SELECT version, name, digest FROM store_migrations WHERE owner = $1 ORDER BY version",
            parameters![owner],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Applied { version: row.int("version")?, name: row.text("name")?, digest: row.text("digest")? })
        })
        .collect()
}

/// Judges the migrations of a program against those of a database, and says which have to run. Pure.
fn missing<'a>(
    owner: &str,
    migrations: &'a [Migration],
    applied: &[Applied],
) -> Result<Vec<&'a Migration>, StoreError> {
    let mut unseen: BTreeMap<i64, &Applied> =
        applied.iter().map(|applied| (applied.version, applied)).collect();
    let newest_applied = applied.iter().map(|applied| applied.version).max();
    let (mut missing, mut previous) = (Vec::new(), None);
    for migration in migrations {
        let (version, name) = (migration.version, migration.name.to_owned());
        let found = unseen.remove(&version);
        if found.is_some_and(|applied| applied.digest != Digest::of(migration.sql).to_string()) {
            return Err(StoreError::MigrationChanged { owner: owner.to_owned(), version, name });
        }
        let too_late = found.is_none() && newest_applied.is_some_and(|newest| version < newest);
        if too_late || previous.is_some_and(|previous| version <= previous) {
            return Err(StoreError::MigrationOutOfOrder { owner: owner.to_owned(), version, name });
        }
        if found.is_none() {
            missing.push(migration);
        }
        previous = Some(version);
    }
    match unseen.into_values().next() {
        Some(unknown) => Err(StoreError::MigrationUnknown {
            owner: owner.to_owned(),
            version: unknown.version,
            name: unknown.name.clone(),
        }),
        None => Ok(missing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Migration = Migration { version: 1, name: "first", sql: "CREATE TABLE a (x BIGINT)" };
    const SECOND: Migration = Migration { version: 2, name: "second", sql: "CREATE TABLE b (x BIGINT)" };
    const THIRD: Migration = Migration { version: 3, name: "third", sql: "CREATE TABLE c (x BIGINT)" };

    fn applied(migrations: &[Migration]) -> Vec<Applied> {
        let one = |migration: &Migration| Applied {
            version: migration.version,
            name: migration.name.to_owned(),
            digest: Digest::of(migration.sql).to_string(),
        };
        migrations.iter().map(one).collect()
    }

    fn judged(migrations: &[Migration], database: &[Migration]) -> Result<Vec<i64>, String> {
        missing("x", migrations, &applied(database))
            .map(|missing| missing.iter().map(|migration| migration.version).collect())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn only_what_is_missing_runs() {
        assert_eq!(judged(&[FIRST, SECOND], &[]), Ok(vec![1, 2]));
        assert_eq!(judged(&[FIRST, SECOND], &[FIRST]), Ok(vec![2]));
        assert_eq!(judged(&[FIRST, SECOND], &[FIRST, SECOND]), Ok(vec![]));
    }

    #[test]
    fn types_are_written_as_postgresql_calls_them() {
        let script = "CREATE TABLE a (\n  file_BLOB BLOB, -- a BLOB\n  name TEXT NOT NULL);";
        let expected = "CREATE TABLE a (\n  file_BLOB BYTEA, -- a BLOB\n  name TEXT COLLATE \"C\" NOT NULL);";
        assert_eq!(for_postgres(script), expected);
    }

    #[test]
    fn tables_without_row_ids_are_sqlites_alone() {
        let script = "CREATE TABLE a (x BIGINT PRIMARY KEY) WITHOUT ROWID;";
        assert_eq!(for_postgres(script), "CREATE TABLE a (x BIGINT PRIMARY KEY);");
    }

    #[test]
    fn an_edited_migration_is_named() {
        let edited = Migration { sql: "CREATE TABLE a (y BIGINT)", ..FIRST };
        let expected = "migration x 1 first: its text changed after it was applied";
        assert_eq!(judged(&[edited], &[FIRST]), Err(expected.into()));
    }

    #[test]
    fn a_database_of_a_newer_program_is_refused() {
        let expected = "migration x 2 second: applied to the database, but unknown to this program";
        assert_eq!(judged(&[FIRST], &[FIRST, SECOND]), Err(expected.into()));
    }

    #[test]
    fn migrations_are_numbered_upwards_and_none_is_slipped_in() {
        let second = Err("migration x 2 second: out of order".to_owned());
        assert_eq!(judged(&[FIRST, SECOND, THIRD], &[FIRST, THIRD]), second);
        assert_eq!(judged(&[THIRD, SECOND], &[]), second);
        assert_eq!(judged(&[FIRST, SECOND, SECOND], &[]), second);
    }
}
