//! The table of tokens.

use shipway_core::Grant;
use shipway_store::{Row, Store, StoreError, Transaction, parameters};

use crate::{model::ApiToken, secret::SecretHash};

pub(super) async fn all(store: &Store) -> Result<Vec<ApiToken>, StoreError> {
    let sql = "SELECT id, user_id, name, secret_hash, scopes, created_us, expires_us FROM access_tokens";
    store.fetch_all(sql, parameters![]).await?.iter().map(read).collect()
}

fn read(row: &Row) -> Result<ApiToken, StoreError> {
    let texts: Vec<String> =
        serde_json::from_str(&row.text("scopes")?).map_err(|error| StoreError::Damaged(error.into()))?;
    let scopes: Result<Vec<Grant>, _> = texts.iter().map(|text| text.parse()).collect();
    Ok(ApiToken {
        id: row.text("id")?,
        user_id: row.int("user_id")?,
        name: row.text("name")?,
        secret: SecretHash::kept(row.text("secret_hash")?),
        // Scopes that cannot be read must not become a token without any.
        scopes: scopes.map_err(|error| StoreError::Damaged(error.into()))?,
        created: row.timestamp("created_us")?,
        expires: row.timestamp("expires_us")?,
    })
}

pub(crate) async fn insert(transaction: &mut Transaction, token: &ApiToken) -> Result<(), StoreError> {
    let scopes: Vec<String> = token.scopes.iter().map(Grant::to_string).collect();
    let sql = "INSERT INTO access_tokens (id, user_id, name, secret_hash, scopes, created_us, expires_us) \
               VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let scopes = serde_json::Value::from(scopes).to_string();
    let (id, name, hash) = (token.id.as_str(), token.name.as_str(), token.secret.text());
    let parameters = parameters![id, token.user_id, name, hash, scopes, token.created, token.expires];
    transaction.execute(sql, parameters).await.map(drop)
}

pub(crate) async fn delete(transaction: &mut Transaction, id: &str) -> Result<(), StoreError> {
    transaction.execute("DELETE FROM access_tokens WHERE id = $1", parameters![id]).await.map(drop)
}
