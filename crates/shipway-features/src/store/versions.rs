//! The versions of services and views in the order in which they came into force.

use std::{collections::HashMap, sync::Arc};

use shipway_core::{Digest, Name};
use shipway_store::{Store, StoreError, parameters};

/// So many versions of a definition are remembered: the newest.
const REMEMBERED: i64 = 32;

/// What a version is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Service,
    View,
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::View => "view",
        }
    }
}

/// All of them, in memory.
#[derive(Debug, Default)]
pub(crate) struct Versions(HashMap<(Kind, Name), Arc<[Digest]>>);

impl Versions {
    pub(crate) async fn read(store: &Store) -> Result<Self, StoreError> {
        let mut all: HashMap<(Kind, Name), Vec<Digest>> = HashMap::new();
        let sql = "SELECT kind, name, hash FROM feature_versions ORDER BY position DESC";
        for row in store.fetch_all(sql, vec![]).await? {
            let kind = [Kind::Service, Kind::View]
                .into_iter()
                .find(|kind| row.text("kind").is_ok_and(|word| word == kind.word()));
            if let (Some(kind), Ok(name), Ok(hash)) =
                (kind, row.text("name")?.parse(), row.text("hash")?.parse())
            {
                all.entry((kind, name)).or_default().push(hash);
            }
        }
        Ok(Self(all.into_iter().map(|(of, hashes)| (of, hashes.into())).collect()))
    }

    /// Those of one definition, the newest first.
    pub(crate) fn of(&self, kind: Kind, name: &Name) -> Arc<[Digest]> {
        self.0.get(&(kind, name.clone())).cloned().unwrap_or_default()
    }

    pub(crate) fn set(&mut self, kind: Kind, name: &Name, hashes: Vec<Digest>) {
        self.0.insert((kind, name.clone()), hashes.into());
    }
}

/// Records that a version has come into force; answers with all that are remembered, the newest first.
pub(crate) async fn record(
    store: &Store,
    kind: Kind,
    name: &Name,
    hash: &Digest,
) -> Result<Vec<Digest>, StoreError> {
    let of = || parameters![kind.word(), name.as_str()];
    let mut transaction = store.begin().await?;
    let sql = "INSERT INTO feature_versions (kind, name, position, hash) \
               SELECT $1, $2, COALESCE(MAX(position), 0) + 1, $3 FROM feature_versions WHERE kind = $1 AND name = $2";
    transaction.execute(sql, parameters![kind.word(), name.as_str(), hash.to_string()]).await?;
    let sql = "DELETE FROM feature_versions WHERE kind = $1 AND name = $2 AND position <= \
               (SELECT MAX(position) FROM feature_versions WHERE kind = $1 AND name = $2) - $3";
    transaction.execute(sql, parameters![kind.word(), name.as_str(), REMEMBERED]).await?;
    let sql = "SELECT hash FROM feature_versions WHERE kind = $1 AND name = $2 ORDER BY position DESC";
    let rows = transaction.fetch_all(sql, of()).await?;
    transaction.commit().await?;
    Ok(rows.iter().filter_map(|row| row.text("hash").ok()?.parse().ok()).collect())
}
