//! Which data folder a metadata database belongs to. A file in the folder needs no telling; a server elsewhere does.

use crate::{Store, StoreError, parameters};

/// Binds the database to the data folder called `home`, or makes sure that it is bound to it.
///
/// A database of another folder is refused: what its tables say would not fit the log and the states of this one.
pub(crate) async fn settle(store: &Store, home: &str) -> Result<(), StoreError> {
    let mut transaction = store.begin().await?;
    let found = transaction.fetch_optional("SELECT home FROM store_home", vec![]).await?;
    match found.map(|row| row.text("home")).transpose()? {
        Some(found) if found == home => Ok(()),
        Some(found) => Err(StoreError::OtherHome { home: found }),
        None => {
            transaction.execute("INSERT INTO store_home (home) VALUES ($1)", parameters![home]).await?;
            transaction.commit().await
        }
    }
}
